-- +goose Up

-- The one record of the platform itself.
CREATE TABLE platform (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    tenant_id    TEXT NOT NULL,
    slug         TEXT NOT NULL,
    trust_domain TEXT NOT NULL,
    gateway_addr TEXT NOT NULL,
    ca_addr      TEXT NOT NULL,
    created_at   INTEGER
) STRICT;

CREATE TABLE tenant (
    id            TEXT NOT NULL PRIMARY KEY,
    slug          TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    is_platform   INTEGER NOT NULL,
    state         TEXT NOT NULL,
    platform_sync INTEGER NOT NULL,
    created_at    INTEGER
) STRICT;

-- tenant_id is empty for the root, which is no tenant's.
CREATE TABLE authority (
    key_id      TEXT NOT NULL PRIMARY KEY,
    kind        TEXT NOT NULL,
    tenant_id   TEXT NOT NULL,
    certificate BLOB NOT NULL,
    sealed_key  BLOB NOT NULL,
    state       TEXT NOT NULL,
    created_at  INTEGER
) STRICT;

CREATE INDEX authority_tenant ON authority (tenant_id);

-- Which service runs sources of which tenant; rebuilt from the tenants' rows.
CREATE TABLE assignment (
    service_id TEXT NOT NULL,
    tenant_id  TEXT NOT NULL,
    sources    INTEGER NOT NULL CHECK (sources > 0),
    PRIMARY KEY (service_id, tenant_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX assignment_tenant ON assignment (tenant_id);
