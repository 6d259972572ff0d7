package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"edgesync/store/postgres/pgtest"
)

// TestServerComesBack checks the two ways in which a test can end a server: what
// was committed is there afterwards.
func TestServerComesBack(t *testing.T) {
	cluster := pgtest.Start(t)
	url := cluster.Database(t)
	exec(t, url, `CREATE TABLE kept (n int)`)
	for _, end := range []func() error{cluster.Restart, cluster.Crash} {
		exec(t, url, `INSERT INTO kept VALUES (1)`)
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, url, `DO $$ BEGIN ASSERT (SELECT count(*) FROM kept) = 2; END $$`)
}

func exec(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
