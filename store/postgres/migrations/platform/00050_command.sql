-- +goose Up

-- Commands that were given to a service and have not met their end: what the
-- process that was asked for them knew. life is in microseconds, as times are.
CREATE TABLE command (
    id           text COLLATE "C" PRIMARY KEY,
    type         text COLLATE "C" NOT NULL,
    service_id   text COLLATE "C" NOT NULL,
    tenant_id    text COLLATE "C" NOT NULL,
    source_id    text COLLATE "C" NOT NULL,
    created_at   bigint,
    life         bigint NOT NULL,
    acknowledged boolean NOT NULL,
    asked_by     text COLLATE "C" NOT NULL,
    what         text COLLATE "C" NOT NULL,
    ended        text COLLATE "C" NOT NULL
);

CREATE INDEX command_service ON command (service_id);
CREATE INDEX command_tenant ON command (tenant_id);
