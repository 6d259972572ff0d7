-- +goose Up

-- That the platform was set back to a backup, and whether what was revoked in
-- between is revoked again.
CREATE TABLE restoration (
    id          text COLLATE "C" PRIMARY KEY,
    backup_at   bigint,
    restored_at bigint,
    settled_at  bigint,
    settled_by  text COLLATE "C" NOT NULL
);
