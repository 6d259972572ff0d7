-- +goose Up

-- When, and by which chunk of which run, assertions were last seen, and the devices
-- of the same numbers: 16 of them a row, those numbered from 16 times block. body has
-- a cell of 17 bytes for each, big-endian: when it was seen, when its device was (the
-- lowest number but one for never), and in the last byte the number of who saw it, from
-- 1, with the highest bit set if it is retracted. Who saw them follows, each as its
-- source, when its run began, its chunk, and the run's id behind its length in four
-- bytes. Pages have room, so that a row's next version stays on its page.
CREATE TABLE sighting (
    block bigint PRIMARY KEY,
    body  bytea NOT NULL
) WITH (fillfactor = 50);

WITH cell AS MATERIALIZED (
    SELECT id >> 4 AS block, id & 15 AS place, source, coalesce(run_started, -9223372036854775807) AS started, chunk, run_id,
        coalesce(last_seen, -9223372036854775807) AS last, coalesce(device_last_seen, -9223372036854775807) AS device,
        CASE WHEN retracted_at IS NULL THEN 0 ELSE 128 END AS retracted,
        dense_rank() OVER (PARTITION BY id >> 4 ORDER BY source, coalesce(run_started, -9223372036854775807), chunk, run_id) AS by_whom
    FROM assertion
),
run (block, hex) AS (
    SELECT block, string_agg(lpad(to_hex(source), 16, '0') || lpad(to_hex(started), 16, '0') || lpad(to_hex(chunk), 16, '0')
        || lpad(to_hex(octet_length(run_id)), 8, '0') || encode(convert_to(run_id, 'UTF8'), 'hex'), '' ORDER BY by_whom)
    FROM (SELECT DISTINCT block, by_whom, source, started, chunk, run_id FROM cell) r GROUP BY block
),
seen (block, hex) AS (
    SELECT b.block, string_agg(lpad(to_hex(coalesce(c.last, -9223372036854775807)), 16, '0')
        || lpad(to_hex(coalesce(c.device, -9223372036854775807)), 16, '0')
        || lpad(to_hex(coalesce(c.by_whom + c.retracted, 0)), 2, '0'), '' ORDER BY p.place)
    FROM run b CROSS JOIN generate_series(0, 15) p (place) LEFT JOIN cell c ON c.block = b.block AND c.place = p.place
    GROUP BY b.block
)
INSERT INTO sighting (block, body)
SELECT s.block, decode(s.hex || r.hex, 'hex') FROM seen s JOIN run r ON r.block = s.block ORDER BY s.block;

-- Which thing of a source an assertion is of, the device it is part of and the hash
-- of what it says. home is the UUID of its own id. Rows are never deleted: a device
-- that was merged away redirects by its home. They are narrow, since every run reads
-- them, and change only when what is said does.
CREATE TABLE narrow (
    id           bigint NOT NULL,
    source       bigint NOT NULL,
    partition    bigint NOT NULL,
    device       bigint NOT NULL,
    retracted_at bigint,
    home         bytea NOT NULL,
    hash         bytea NOT NULL,
    key          text COLLATE "C" NOT NULL
) WITH (fillfactor = 85);

INSERT INTO narrow SELECT id, source, partition, device, retracted_at, home, hash, key FROM assertion ORDER BY id;

DROP TABLE assertion;
ALTER TABLE narrow RENAME TO assertion;
ALTER TABLE assertion ADD CONSTRAINT assertion_pkey PRIMARY KEY (id);
ALTER TABLE assertion ADD CONSTRAINT assertion_home UNIQUE (home);
ALTER TABLE assertion ADD CONSTRAINT assertion_key UNIQUE (source, key);

-- The members of a device that do not head it: most devices have none.
CREATE INDEX assertion_member ON assertion (device) WHERE device <> id;
