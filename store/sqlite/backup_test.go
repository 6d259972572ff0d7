package sqlite_test

import (
	"context"
	"testing"

	"edgesync/store/backup"
	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

// files are a store in a directory, with what it has for backups.
type files struct{ dir string }

func (f files) Open(t testing.TB) storetest.Dumper { return open(t, f.dir, sqlite.Options{}) }

func (f files) Snapshot(ctx context.Context) (backup.Snapshot, error) {
	return sqlite.OpenSnapshot(ctx, f.dir, sqlite.Options{})
}

func (f files) Blank(ctx context.Context) (storetest.Blank, error) {
	return sqlite.NewBlank(ctx, f.dir, sqlite.Options{})
}

func TestBackup(t *testing.T) {
	storetest.RunBackup(t, func(t testing.TB) storetest.Kept { return files{t.TempDir()} })
}
