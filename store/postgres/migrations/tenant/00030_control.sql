-- +goose Up

-- What a service said it runs.
ALTER TABLE service ADD COLUMN config_version text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE service ADD COLUMN config_applied_at bigint;
