-- +goose Up

-- What a service said waits in its outbox, with its last heartbeat.
ALTER TABLE service ADD COLUMN outbox_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE service ADD COLUMN outbox_runs bigint NOT NULL DEFAULT 0;
