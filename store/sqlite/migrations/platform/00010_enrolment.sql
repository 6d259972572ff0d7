-- +goose Up

-- What each tenant's join tokens are signed with. key_id is what a token names
-- it by, and so how its tenant is found.
CREATE TABLE token_key (
    tenant_id  TEXT NOT NULL PRIMARY KEY,
    key_id     TEXT NOT NULL UNIQUE,
    sealed_key BLOB NOT NULL,
    created_at INTEGER
) STRICT;
