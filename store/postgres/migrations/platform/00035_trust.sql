-- +goose Up

-- When an authority that was replaced ends, and its certificate as the roots
-- before the one in use have signed it: DER, one after the other.
ALTER TABLE authority ADD COLUMN ends_at bigint;
ALTER TABLE authority ADD COLUMN cross_certificates bytea NOT NULL DEFAULT '';

-- Certificates that handshakes refuse before they end by themselves; told to
-- every replica at its start. The tenants' own registers are what decides.
CREATE TABLE revocation (
    tenant_id text COLLATE "C" NOT NULL,
    serial    text COLLATE "C" NOT NULL,
    not_after bigint,
    PRIMARY KEY (tenant_id, serial)
);

-- tenant_id is empty for an operator of the whole platform.
CREATE TABLE operator (
    name            text COLLATE "C" PRIMARY KEY,
    role            text COLLATE "C" NOT NULL,
    tenant_id       text COLLATE "C" NOT NULL,
    state           text COLLATE "C" NOT NULL,
    cert_serial     text COLLATE "C" NOT NULL,
    cert_expires_at bigint,
    created_at      bigint
);

CREATE INDEX operator_tenant ON operator (tenant_id);
