-- +goose Up

-- What a snapshot is judged by, without reading what is asserted.
ALTER TABLE standing ADD COLUMN retracted boolean NOT NULL DEFAULT false;
UPDATE standing SET retracted = true
WHERE assertion IN (SELECT id FROM assertion WHERE retracted_at IS NOT NULL);

ALTER TABLE run ADD COLUMN deleted bigint NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN refused bigint NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN retracted bigint NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN counted boolean NOT NULL DEFAULT false;
CREATE INDEX run_counted ON run (source_id, started_at) WHERE counted;

-- Retractions that wait for an operator; source is the name assertions go by.
CREATE TABLE hold (
    source      text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    run_id      text COLLATE "C" NOT NULL,
    run_started bigint,
    at          bigint,
    retractions bigint NOT NULL,
    living      bigint NOT NULL,
    PRIMARY KEY (source, kind)
);

-- The deletions that are held.
CREATE TABLE pending (
    source text COLLATE "C" NOT NULL,
    key    text COLLATE "C" NOT NULL,
    at     bigint,
    PRIMARY KEY (source, key)
);

-- Operators' pairs, a row for each side.
CREATE TABLE link (
    assertion bigint NOT NULL,
    other     bigint NOT NULL,
    apart     boolean NOT NULL,
    at        bigint,
    by_whom   text COLLATE "C" NOT NULL,
    reason    text COLLATE "C" NOT NULL,
    PRIMARY KEY (assertion, other)
);

CREATE TABLE decision (
    id   bigint PRIMARY KEY,
    body text COLLATE "C" NOT NULL
);

-- The assertions a decision is about.
CREATE TABLE decision_subject (
    assertion bigint NOT NULL,
    decision  bigint NOT NULL,
    PRIMARY KEY (assertion, decision)
);
