-- +goose Up

-- Join tokens, recorded when they are minted.
CREATE TABLE join_token (
    seq          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    service_id   TEXT NOT NULL,
    component    TEXT NOT NULL,
    partition    TEXT NOT NULL,
    created_by   TEXT NOT NULL,
    created_at   INTEGER,
    expires_at   INTEGER NOT NULL,
    used_at      INTEGER,
    used_key     TEXT NOT NULL,
    cancelled_at INTEGER
) STRICT;

CREATE INDEX join_token_component ON join_token (component);

-- Ids of tokens for one use that were not minted here.
CREATE TABLE used_once (
    id    TEXT NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every certificate issued for a component: a serial that is not here was never
-- issued by this tenant.
CREATE TABLE certificate (
    seq        INTEGER PRIMARY KEY,
    serial     TEXT NOT NULL UNIQUE,
    component  TEXT NOT NULL,
    issued_at  INTEGER,
    not_after  INTEGER NOT NULL,
    revoked_at INTEGER,
    reason     TEXT NOT NULL
) STRICT;

CREATE INDEX certificate_component ON certificate (component, not_after);

-- Identities issued before certificates were recorded.
INSERT INTO certificate (serial, component, issued_at, not_after, revoked_at, reason)
SELECT cert_serial, component_id, created_at, cert_expires_at, NULL, ''
FROM service
WHERE cert_serial <> '' AND cert_expires_at IS NOT NULL AND state = 'active';
