package postgres_test

import (
	"testing"

	"edgesync/core"
	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) func() core.Store {
		url := pgtest.Database(t)
		return func() core.Store { return open(t, url, postgres.Options{}) }
	})
}

func open(t testing.TB, url string, opts postgres.Options) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
