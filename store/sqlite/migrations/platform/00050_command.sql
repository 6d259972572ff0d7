-- +goose Up

-- Commands that were given to a service and have not met their end: what the
-- process that was asked for them knew. life is in microseconds, as times are.
CREATE TABLE command (
    id           TEXT NOT NULL PRIMARY KEY,
    type         TEXT NOT NULL,
    service_id   TEXT NOT NULL,
    tenant_id    TEXT NOT NULL,
    source_id    TEXT NOT NULL,
    created_at   INTEGER,
    life         INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    asked_by     TEXT NOT NULL,
    what         TEXT NOT NULL,
    ended        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX command_service ON command (service_id);
CREATE INDEX command_tenant ON command (tenant_id);
