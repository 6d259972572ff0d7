package postgres_test

import (
	"context"
	"testing"

	"edgesync/store/backup"
	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

// database is a store in a database, with what it has for backups.
type database struct{ url string }

func (d database) Open(t testing.TB) storetest.Dumper { return open(t, d.url, postgres.Options{}) }

func (d database) Snapshot(ctx context.Context) (backup.Snapshot, error) {
	return postgres.OpenSnapshot(ctx, d.url, postgres.Options{})
}

func (d database) Blank(ctx context.Context) (storetest.Blank, error) {
	return postgres.NewBlank(ctx, d.url, postgres.Options{})
}

// files are a store in a directory, likewise.
type files struct{ dir string }

func (f files) Open(t testing.TB) storetest.Dumper {
	t.Helper()
	store, err := sqlite.Open(t.Context(), f.dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (f files) Snapshot(ctx context.Context) (backup.Snapshot, error) {
	return sqlite.OpenSnapshot(ctx, f.dir, sqlite.Options{})
}

func (f files) Blank(ctx context.Context) (storetest.Blank, error) {
	return sqlite.NewBlank(ctx, f.dir, sqlite.Options{})
}

func TestBackup(t *testing.T) {
	inDatabase := func(t testing.TB) storetest.Kept { return database{pgtest.Database(t)} }
	storetest.RunBackup(t, inDatabase)
	t.Run("ToFiles", func(t *testing.T) { storetest.RestoreElsewhere(t, inDatabase(t), files{t.TempDir()}) })
	t.Run("FromFiles", func(t *testing.T) { storetest.RestoreElsewhere(t, files{t.TempDir()}, inDatabase(t)) })
}
