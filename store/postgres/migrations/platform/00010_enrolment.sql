-- +goose Up

-- What each tenant's join tokens are signed with. key_id is what a token names
-- it by, and so how its tenant is found.
CREATE TABLE token_key (
    tenant_id  text COLLATE "C" PRIMARY KEY,
    key_id     text COLLATE "C" NOT NULL UNIQUE,
    sealed_key bytea NOT NULL,
    created_at bigint
);
