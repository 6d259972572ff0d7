-- +goose Up

-- When an authority that was replaced ends, and its certificate as the roots
-- before the one in use have signed it: DER, one after the other.
ALTER TABLE authority ADD COLUMN ends_at INTEGER;
ALTER TABLE authority ADD COLUMN cross_certificates BLOB NOT NULL DEFAULT x'';

-- Certificates that handshakes refuse before they end by themselves; told to
-- every replica at its start. The tenants' own registers are what decides.
CREATE TABLE revocation (
    tenant_id TEXT NOT NULL,
    serial    TEXT NOT NULL,
    not_after INTEGER,
    PRIMARY KEY (tenant_id, serial)
) STRICT, WITHOUT ROWID;

-- tenant_id is empty for an operator of the whole platform.
CREATE TABLE operator (
    name            TEXT NOT NULL PRIMARY KEY,
    role            TEXT NOT NULL,
    tenant_id       TEXT NOT NULL,
    state           TEXT NOT NULL,
    cert_serial     TEXT NOT NULL,
    cert_expires_at INTEGER,
    created_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX operator_tenant ON operator (tenant_id);
