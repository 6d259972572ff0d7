-- +goose Up

-- What a service said it runs.
ALTER TABLE service ADD COLUMN config_version TEXT NOT NULL DEFAULT '';
ALTER TABLE service ADD COLUMN config_applied_at INTEGER;
