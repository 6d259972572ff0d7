// Package pgtest gives tests a PostgreSQL: a throwaway server made from the
// binaries that are installed, one for each test process, or the server that
// EDGESYNC_TEST_POSTGRES names. Each test has a database of its own in it.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The environment: the URL of a server whose user may make databases and roles,
// and whether a test without PostgreSQL fails instead of being skipped.
const (
	serverVar  = "EDGESYNC_TEST_POSTGRES"
	requireVar = "EDGESYNC_REQUIRE_POSTGRES"
)

var errNone = errors.New("no PostgreSQL server is installed (Debian: apt-get install postgresql) and " + serverVar + " names none")

// server is where tests make their databases.
type server struct {
	url string
	// cluster is nil when the server is not of this process's making. It is kept
	// here so that its end of the pipe stays open.
	cluster *Cluster
}

// shared is the server of this process, started when a test first asks. It ends
// with the process.
var shared = sync.OnceValues(func() (server, error) {
	if url := os.Getenv(serverVar); url != "" {
		return server{url: url}, nil
	}
	cluster, err := newCluster(false)
	if err != nil {
		return server{}, err
	}
	return server{cluster.url("postgres"), cluster}, nil
})

// Available tells whether a test that can do without PostgreSQL should use it.
func Available() bool {
	return os.Getenv(serverVar) != "" || os.Getenv(requireVar) != "" || binaries() != ""
}

// Database makes an empty database and returns its URL. It is dropped, with the
// roles a platform made for it, when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	server, err := shared()
	if err != nil {
		missing(t, err)
	}
	return database(t, server.url)
}

// Start starts a server of the test's own that can be restarted. Its files are
// on the disk as those of a real one.
func Start(t testing.TB) *Cluster {
	t.Helper()
	cluster, err := newCluster(true)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		if err := cluster.stop(); err != nil {
			t.Errorf("stop cluster: %v", err)
		}
	})
	return cluster
}

// Database makes an empty database in the cluster and returns its URL. It goes
// with the cluster.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name, _ := makeDatabase(t, c.url("postgres"))
	return c.url(name)
}

// missing ends a test for want of a server.
func missing(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNone) && os.Getenv(requireVar) == "" {
		t.Skipf("SKIPPED, NOTHING WAS TESTED ON POSTGRESQL: %v", err)
	}
	t.Fatal(err)
}

func database(t testing.TB, server string) string {
	t.Helper()
	name, oid := makeDatabase(t, server)
	t.Cleanup(func() {
		do(t, server, func(ctx context.Context, conn *pgx.Conn) error { return drop(ctx, conn, name, oid) })
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("read %s: %v", serverVar, err)
	}
	u.Path = "/" + name
	return u.String()
}

func makeDatabase(t testing.TB, server string) (name string, oid uint32) {
	t.Helper()
	name = "edgesync_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	do(t, server, func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, `CREATE DATABASE `+name+` TEMPLATE template0`); err != nil {
			return err
		}
		return conn.QueryRow(ctx, `SELECT oid FROM pg_database WHERE datname = $1`, name).Scan(&oid)
	})
	return name, oid
}

// drop drops a database and the roles whose names begin with its number.
func drop(ctx context.Context, conn *pgx.Conn, name string, oid uint32) error {
	if _, err := conn.Exec(ctx, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)`, fmt.Sprintf("edgesync_%d_", oid))
	if err != nil {
		return err
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(roles) == 0 {
		return err
	}
	_, err = conn.Exec(ctx, `DROP ROLE "`+strings.Join(roles, `", "`)+`"`)
	return err
}

// do works on the server itself, which may be starting again.
func do(t testing.TB, server string, work func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer conn.Close(ctx)
	if err := work(ctx, conn); err != nil {
		t.Fatalf("prepare test database: %v", err)
	}
}
