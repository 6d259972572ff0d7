-- +goose Up

-- What became of the updates of a run beside those received: older than what was
-- stored, and kept out for an operator to decide. With these every update that a
-- complete run announced is accounted for.
ALTER TABLE run ADD COLUMN superseded bigint NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN held bigint NOT NULL DEFAULT 0;
