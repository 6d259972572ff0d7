-- +goose Up

-- What an assertion says. Rows are wide and change only when what is said
-- changes; what changes with every run is in assertion. identifiers is a list of
-- "kind value".
CREATE TABLE fact (
    assertion   INTEGER PRIMARY KEY,
    first_seen  INTEGER,
    changed     INTEGER,
    identifiers TEXT NOT NULL,
    facts       TEXT NOT NULL
) STRICT;

INSERT INTO fact (assertion, first_seen, changed, identifiers, facts)
SELECT a.id, a.first_seen, a.changed,
    coalesce((SELECT nullif(json_group_array(i.kind || ' ' || i.value), '[]') FROM identifier i WHERE i.assertion = a.id), ''),
    a.facts
FROM assertion a ORDER BY a.id;

DROP INDEX identifier_assertion;

-- Which thing of a source an assertion is of and how it stands: the device it is
-- part of, the hash of what it says, and when and by which chunk of which run it
-- was last seen. device_last_seen is that of the device of the same number. home
-- is the UUID of its own id. Rows are narrow, since every run reads and writes
-- them, and never deleted: a device that was merged away redirects by its home.
CREATE TABLE narrow (
    id               INTEGER PRIMARY KEY,
    source           INTEGER NOT NULL,
    partition        INTEGER NOT NULL,
    device           INTEGER NOT NULL,
    run_started      INTEGER,
    chunk            INTEGER NOT NULL,
    last_seen        INTEGER,
    device_last_seen INTEGER,
    retracted_at     INTEGER,
    home             BLOB NOT NULL,
    hash             BLOB NOT NULL,
    key              TEXT NOT NULL,
    run_id           TEXT NOT NULL
) STRICT;

INSERT INTO narrow
SELECT a.id, a.source, a.partition, s.device, s.run_started, s.chunk, s.last_seen, s.device_last_seen, a.retracted_at,
    unhex(substr(a.home_id, 4), '-'), a.hash, a.key, s.run_id
FROM assertion a JOIN standing s ON s.assertion = a.id ORDER BY a.id;

DROP TABLE standing;
DROP TABLE assertion;
ALTER TABLE narrow RENAME TO assertion;
CREATE UNIQUE INDEX assertion_home ON assertion (home);
CREATE UNIQUE INDEX assertion_key ON assertion (source, key);

-- The members of a device that do not head it: most devices have none.
CREATE INDEX assertion_member ON assertion (device) WHERE device <> id;

-- A device has the id of the assertion of its number. Few are retracted.
ALTER TABLE device DROP COLUMN device_id;
DROP INDEX device_retracted;
CREATE INDEX device_retracted ON device (id) WHERE retracted;

-- Most tenants have no weak assertion, which this tells at once.
CREATE INDEX identifier_weak ON identifier (value, partition) WHERE kind = 'weak_ip';
