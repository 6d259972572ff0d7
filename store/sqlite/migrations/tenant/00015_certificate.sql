-- +goose Up

-- Every certificate the tenant's authorities have signed; issuer is the key id
-- of the one that did. Rows stay: they are the history of an identity.
CREATE TABLE certificate (
    serial     TEXT NOT NULL PRIMARY KEY,
    issuer     TEXT NOT NULL,
    type       TEXT NOT NULL,
    partition  TEXT NOT NULL,
    component  TEXT NOT NULL,
    issued_at  INTEGER,
    not_after  INTEGER,
    revoked_at INTEGER,
    reason     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX certificate_component ON certificate (type, component);
CREATE INDEX certificate_not_after ON certificate (not_after);
