package sqlite_test

import (
	"testing"

	"edgesync/core"
	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) func() core.Store {
		dir := t.TempDir()
		return func() core.Store { return open(t, dir, sqlite.Options{}) }
	})
}

func open(t testing.TB, dir string, opts sqlite.Options) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
