-- +goose Up

-- What a service said waits in its outbox, with its last heartbeat.
ALTER TABLE service ADD COLUMN outbox_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE service ADD COLUMN outbox_runs INTEGER NOT NULL DEFAULT 0;
