-- +goose Up

-- When, and by which chunk of which run, assertions were last seen, and the devices
-- of the same numbers: 16 of them a row, those numbered from 16 times block. body has
-- a cell of 17 bytes for each, big-endian: when it was seen, when its device was (the
-- lowest number but one for never), and in the last byte the number of who saw it, from
-- 1, with the highest bit set if it is retracted. Who saw them follows, each as its
-- source, when its run began, its chunk, and the run's id behind its length in four
-- bytes.
CREATE TABLE sighting (
    block INTEGER PRIMARY KEY,
    body  BLOB NOT NULL
) STRICT;

WITH RECURSIVE
cell AS MATERIALIZED (
    SELECT id, id >> 4 AS block, source, coalesce(run_started, -9223372036854775807) AS started, chunk, run_id,
        coalesce(last_seen, -9223372036854775807) AS last, coalesce(device_last_seen, -9223372036854775807) AS device,
        CASE WHEN retracted_at IS NULL THEN 0 ELSE 128 END AS retracted,
        dense_rank() OVER (PARTITION BY id >> 4 ORDER BY source, coalesce(run_started, -9223372036854775807), chunk, run_id) AS by_whom
    FROM assertion
),
run (block, hex) AS MATERIALIZED (
    SELECT block, group_concat(printf('%016x%016x%016x%08x', source, started, chunk, length(CAST(run_id AS BLOB))) || hex(run_id), '' ORDER BY by_whom)
    FROM (SELECT DISTINCT block, by_whom, source, started, chunk, run_id FROM cell) r GROUP BY block
),
place (place) AS (
    SELECT 0 UNION ALL SELECT place + 1 FROM place WHERE place < 15
),
seen (block, hex) AS MATERIALIZED (
    SELECT b.block, group_concat(printf('%016x%016x%02x', coalesce(c.last, -9223372036854775807), coalesce(c.device, -9223372036854775807),
        coalesce(c.by_whom + c.retracted, 0)), '' ORDER BY p.place)
    FROM run b CROSS JOIN place p LEFT JOIN cell c ON c.id = (b.block << 4) + p.place
    GROUP BY b.block
)
INSERT INTO sighting (block, body)
SELECT s.block, unhex(s.hex || r.hex) FROM seen s JOIN run r ON r.block = s.block ORDER BY s.block;

-- Which thing of a source an assertion is of, the device it is part of and the hash
-- of what it says. home is the UUID of its own id. Rows are never deleted: a device
-- that was merged away redirects by its home. They are narrow, since every run reads
-- them, and change only when what is said does.
CREATE TABLE narrow (
    id           INTEGER PRIMARY KEY,
    source       INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    device       INTEGER NOT NULL,
    retracted_at INTEGER,
    home         BLOB NOT NULL,
    hash         BLOB NOT NULL,
    key          TEXT NOT NULL
) STRICT;

INSERT INTO narrow SELECT id, source, partition, device, retracted_at, home, hash, key FROM assertion ORDER BY id;

DROP TABLE assertion;
ALTER TABLE narrow RENAME TO assertion;
CREATE UNIQUE INDEX assertion_home ON assertion (home);
CREATE UNIQUE INDEX assertion_key ON assertion (source, key);

-- The members of a device that do not head it: most devices have none.
CREATE INDEX assertion_member ON assertion (device) WHERE device <> id;
