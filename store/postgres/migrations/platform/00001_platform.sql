-- +goose Up

-- Which transactions were committed lately, for whoever did not hear it.
CREATE TABLE committed (
    token uuid PRIMARY KEY,
    at    bigint NOT NULL
);

CREATE INDEX committed_at ON committed (at);

-- The one record of the platform itself.
CREATE TABLE platform (
    id           bigint PRIMARY KEY CHECK (id = 1),
    tenant_id    text COLLATE "C" NOT NULL,
    slug         text COLLATE "C" NOT NULL,
    trust_domain text COLLATE "C" NOT NULL,
    gateway_addr text COLLATE "C" NOT NULL,
    ca_addr      text COLLATE "C" NOT NULL,
    created_at   bigint
);

CREATE TABLE tenant (
    id            text COLLATE "C" PRIMARY KEY,
    slug          text COLLATE "C" NOT NULL UNIQUE,
    name          text COLLATE "C" NOT NULL,
    is_platform   boolean NOT NULL,
    state         text COLLATE "C" NOT NULL,
    platform_sync boolean NOT NULL,
    created_at    bigint
);

-- tenant_id is empty for the root, which is no tenant's.
CREATE TABLE authority (
    key_id      text COLLATE "C" PRIMARY KEY,
    kind        text COLLATE "C" NOT NULL,
    tenant_id   text COLLATE "C" NOT NULL,
    certificate bytea NOT NULL,
    sealed_key  bytea NOT NULL,
    state       text COLLATE "C" NOT NULL,
    created_at  bigint
);

CREATE INDEX authority_tenant ON authority (tenant_id);

-- Which service runs sources of which tenant; rebuilt from the tenants' rows.
CREATE TABLE assignment (
    service_id text COLLATE "C" NOT NULL,
    tenant_id  text COLLATE "C" NOT NULL,
    sources    bigint NOT NULL CHECK (sources > 0),
    PRIMARY KEY (service_id, tenant_id)
);

CREATE INDEX assignment_tenant ON assignment (tenant_id);
