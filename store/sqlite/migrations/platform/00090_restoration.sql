-- +goose Up

-- That the platform was set back to a backup, and whether what was revoked in
-- between is revoked again.
CREATE TABLE restoration (
    id          TEXT NOT NULL PRIMARY KEY,
    backup_at   INTEGER,
    restored_at INTEGER,
    settled_at  INTEGER,
    settled_by  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
