-- +goose Up

-- What an assertion says. Rows are wide and change only when what is said
-- changes; what changes with every run is in assertion. identifiers is a list of
-- "kind value".
CREATE TABLE fact (
    assertion   bigint PRIMARY KEY,
    first_seen  bigint,
    changed     bigint,
    identifiers text COLLATE "C" NOT NULL,
    facts       text COLLATE "C" NOT NULL
) WITH (fillfactor = 85);

INSERT INTO fact (assertion, first_seen, changed, identifiers, facts)
SELECT a.id, a.first_seen, a.changed,
    coalesce((SELECT json_agg(i.kind || ' ' || i.value)::text FROM identifier i WHERE i.assertion = a.id), ''),
    a.facts
FROM assertion a ORDER BY a.id;

DROP INDEX identifier_assertion;

-- Which thing of a source an assertion is of and how it stands: the device it is
-- part of, the hash of what it says, and when and by which chunk of which run it
-- was last seen. device_last_seen is that of the device of the same number. home
-- is the UUID of its own id. Rows are never deleted: a device that was merged away
-- redirects by its home. They are narrow, since every run reads and writes them:
-- no column that a repeated run changes is in an index, and pages have room, so
-- that a row's next version stays on its page.
CREATE TABLE narrow (
    id               bigint NOT NULL,
    source           bigint NOT NULL,
    partition        bigint NOT NULL,
    device           bigint NOT NULL,
    run_started      bigint,
    chunk            bigint NOT NULL,
    last_seen        bigint,
    device_last_seen bigint,
    retracted_at     bigint,
    home             bytea NOT NULL,
    hash             bytea NOT NULL,
    key              text COLLATE "C" NOT NULL,
    run_id           text COLLATE "C" NOT NULL
) WITH (fillfactor = 50);

INSERT INTO narrow
SELECT a.id, a.source, a.partition, s.device, s.run_started, s.chunk, s.last_seen, s.device_last_seen, a.retracted_at,
    decode(replace(substr(a.home_id, 4), '-', ''), 'hex'), a.hash, a.key, s.run_id
FROM assertion a JOIN standing s ON s.assertion = a.id ORDER BY a.id;

DROP TABLE standing;
DROP TABLE assertion;
ALTER TABLE narrow RENAME TO assertion;
ALTER TABLE assertion ADD CONSTRAINT assertion_pkey PRIMARY KEY (id);
ALTER TABLE assertion ADD CONSTRAINT assertion_home UNIQUE (home);
ALTER TABLE assertion ADD CONSTRAINT assertion_key UNIQUE (source, key);

-- The members of a device that do not head it: most devices have none.
CREATE INDEX assertion_member ON assertion (device) WHERE device <> id;

-- A device has the id of the assertion of its number.
ALTER TABLE device DROP COLUMN device_id;

-- Most tenants have no weak assertion, which this tells at once.
CREATE INDEX identifier_weak ON identifier (value, partition) WHERE kind = 'weak_ip';
