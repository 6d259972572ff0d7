-- +goose Up

-- Times are microseconds since 1970 UTC, NULL for none; durations are
-- nanoseconds; lists and maps are JSON.
CREATE TABLE service (
    id                TEXT NOT NULL PRIMARY KEY,
    name              TEXT NOT NULL,
    component_id      TEXT NOT NULL UNIQUE,
    partition         TEXT NOT NULL,
    type              TEXT NOT NULL,
    is_platform_sync  INTEGER NOT NULL,
    endpoint          TEXT NOT NULL,
    state             TEXT NOT NULL,
    version           TEXT NOT NULL,
    capabilities      TEXT NOT NULL,
    hostname          TEXT NOT NULL,
    os                TEXT NOT NULL,
    arch              TEXT NOT NULL,
    cert_serial       TEXT NOT NULL,
    cert_expires_at   INTEGER,
    first_hello_at    INTEGER,
    last_heartbeat_at INTEGER,
    created_at        INTEGER
) STRICT;

CREATE TABLE source (
    id                   TEXT NOT NULL PRIMARY KEY,
    name                 TEXT NOT NULL UNIQUE,
    type                 TEXT NOT NULL,
    endpoint             TEXT NOT NULL,
    enabled              INTEGER NOT NULL,
    sync_service_id      TEXT NOT NULL,
    partition            TEXT NOT NULL,
    poll_interval        INTEGER NOT NULL,
    discovery_interval   INTEGER NOT NULL,
    sweep_interval       INTEGER NOT NULL,
    page_size            INTEGER NOT NULL,
    batch_size           INTEGER NOT NULL,
    network_blacklist    TEXT NOT NULL,
    queries              TEXT NOT NULL,
    custom_field         TEXT NOT NULL,
    settings             TEXT NOT NULL,
    insecure_skip_verify INTEGER NOT NULL,
    confidence           INTEGER NOT NULL,
    credentials          TEXT NOT NULL,
    created_at           INTEGER,
    updated_at           INTEGER,
    last_sync_at         INTEGER,
    last_result          TEXT NOT NULL DEFAULT '',
    last_device_count    INTEGER NOT NULL DEFAULT 0,
    last_error           TEXT NOT NULL DEFAULT '',
    consecutive_failures INTEGER NOT NULL DEFAULT 0,
    total_syncs          INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE run (
    source_id   TEXT NOT NULL,
    id          TEXT NOT NULL,
    mode        TEXT NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    result      TEXT NOT NULL,
    devices     INTEGER NOT NULL,
    received    INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    complete    INTEGER NOT NULL,
    error       TEXT NOT NULL,
    PRIMARY KEY (source_id, id)
) STRICT;

CREATE INDEX run_latest ON run (source_id, started_at);

CREATE TABLE event (
    seq          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    at           INTEGER NOT NULL,
    type         TEXT NOT NULL,
    severity     TEXT NOT NULL,
    actor_name   TEXT NOT NULL,
    actor_origin TEXT NOT NULL,
    source_id    TEXT NOT NULL,
    service_id   TEXT NOT NULL,
    message      TEXT NOT NULL,
    details      TEXT NOT NULL
) STRICT;

CREATE INDEX event_at ON event (at);

-- Sources and partitions by a number, since every row below names one.
CREATE TABLE name (
    id    INTEGER PRIMARY KEY,
    value TEXT NOT NULL UNIQUE
) STRICT;

-- What one source says of one thing. Rows are wide and change only when what is
-- said changes; what changes with every run is in standing. Rows are never
-- deleted: home_id is what a device that was merged away redirects by.
CREATE TABLE assertion (
    id           INTEGER PRIMARY KEY,
    source       INTEGER NOT NULL,
    key          TEXT NOT NULL,
    partition    INTEGER NOT NULL,
    home_id      TEXT NOT NULL UNIQUE,
    hash         BLOB NOT NULL,
    first_seen   INTEGER,
    changed      INTEGER,
    retracted_at INTEGER,
    facts        TEXT NOT NULL,
    UNIQUE (source, key)
) STRICT;

-- A device is numbered like the assertion whose home id it carries.
CREATE TABLE device (
    id            INTEGER PRIMARY KEY,
    device_id     TEXT NOT NULL,
    partition     INTEGER NOT NULL,
    retracted     INTEGER NOT NULL,
    ip            TEXT NOT NULL,
    mac           TEXT NOT NULL,
    hostname      TEXT NOT NULL,
    ips           TEXT NOT NULL,
    macs          TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    manufacturer  TEXT NOT NULL,
    model         TEXT NOT NULL,
    os            TEXT NOT NULL,
    device_type   TEXT NOT NULL,
    site          TEXT NOT NULL,
    tags          TEXT NOT NULL,
    available     INTEGER NOT NULL,
    sources       TEXT NOT NULL,
    first_seen    INTEGER
) STRICT;

CREATE INDEX device_retracted ON device (retracted);

-- What a device can be searched by: its values in lower case, a line each. A
-- search reads all of it, and it is a quarter of the size of device.
CREATE TABLE device_text (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

-- How an assertion stands: the device it is part of, and when and by which run
-- it was last seen. device_last_seen is that of the device of the same number.
CREATE TABLE standing (
    assertion        INTEGER PRIMARY KEY,
    device           INTEGER NOT NULL REFERENCES device (id) DEFERRABLE INITIALLY DEFERRED,
    source           INTEGER NOT NULL,
    last_seen        INTEGER,
    device_last_seen INTEGER,
    run_started      INTEGER,
    run_id           TEXT NOT NULL
) STRICT;

CREATE INDEX standing_device ON standing (device, source);

-- What an assertion can be found by within its partition. class tells living
-- (even) from retracted (odd) and, from 2 on, those with a native id.
CREATE TABLE identifier (
    value     TEXT NOT NULL,
    kind      TEXT NOT NULL,
    partition INTEGER NOT NULL,
    class     INTEGER NOT NULL,
    source    INTEGER NOT NULL,
    assertion INTEGER NOT NULL,
    PRIMARY KEY (value, kind, partition, class, source, assertion)
) STRICT, WITHOUT ROWID;

CREATE INDEX identifier_assertion ON identifier (assertion);
