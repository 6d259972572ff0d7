-- +goose Up

-- What a snapshot is judged by, without reading what is asserted.
ALTER TABLE standing ADD COLUMN retracted INTEGER NOT NULL DEFAULT 0;
UPDATE standing SET retracted = 1
WHERE assertion IN (SELECT id FROM assertion WHERE retracted_at IS NOT NULL);

ALTER TABLE run ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN retracted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX run_counted ON run (source_id, started_at) WHERE counted = 1;

-- Retractions that wait for an operator; source is the name assertions go by.
CREATE TABLE hold (
    source      TEXT NOT NULL,
    kind        TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    run_started INTEGER,
    at          INTEGER,
    retractions INTEGER NOT NULL,
    living      INTEGER NOT NULL,
    PRIMARY KEY (source, kind)
) STRICT, WITHOUT ROWID;

-- The deletions that are held.
CREATE TABLE pending (
    source TEXT NOT NULL,
    key    TEXT NOT NULL,
    at     INTEGER,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

-- Operators' pairs, a row for each side.
CREATE TABLE link (
    assertion INTEGER NOT NULL,
    other     INTEGER NOT NULL,
    apart     INTEGER NOT NULL,
    at        INTEGER,
    by_whom   TEXT NOT NULL,
    reason    TEXT NOT NULL,
    PRIMARY KEY (assertion, other)
) STRICT, WITHOUT ROWID;

CREATE TABLE decision (
    id   INTEGER PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- The assertions a decision is about.
CREATE TABLE decision_subject (
    assertion INTEGER NOT NULL,
    decision  INTEGER NOT NULL,
    PRIMARY KEY (assertion, decision)
) STRICT, WITHOUT ROWID;
