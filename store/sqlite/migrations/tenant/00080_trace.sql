-- +goose Up

-- How a run came: by which service and under which trace, how many of its chunks
-- were stored and when the last of them, and how far a run came that failed.
ALTER TABLE run ADD COLUMN service_id TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN trace_id TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN total_chunks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN stored_at INTEGER;
ALTER TABLE run ADD COLUMN stage TEXT NOT NULL DEFAULT '';

-- The number of the chunk of run_id, from 1; 0 where it is not known.
ALTER TABLE standing ADD COLUMN chunk INTEGER NOT NULL DEFAULT 0;
