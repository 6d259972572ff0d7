package postgres_test

import (
	"os"
	"strings"
	"testing"

	"edgesync/core"
	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) func() core.Store {
		url := pgtest.Database(t)
		if os.Getenv("EDGESYNC_STREAMS") != "" {
			// Each of very many streams finds an empty store: its plans may be kept.
			url = with(url, "plan_cache_mode=force_generic_plan")
		}
		return func() core.Store { return open(t, url, postgres.Options{}) }
	})
}

// with adds a parameter to a URL.
func with(url, parameter string) string {
	if strings.Contains(url, "?") {
		return url + "&" + parameter
	}
	return url + "?" + parameter
}

func open(t testing.TB, url string, opts postgres.Options) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
