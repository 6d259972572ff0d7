package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

// wantFailure is for what could not be done: it must not look like an answer.
func wantFailure(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, core.ErrNotFound) || errors.Is(err, core.ErrConflict) {
		t.Fatalf("%s: got error %v, want a failure", what, err)
	}
}

func count(t *testing.T, tenant core.TenantStore) (n int64) {
	t.Helper()
	err := tenant.View(t.Context(), func(tx core.TenantTx) (err error) {
		n, err = tx.CountDevices(t.Context(), core.DeviceFilter{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestServerEndsInMidCommit restarts and kills the server over and over while
// three writers of one tenant ingest and count. What was acknowledged is there
// and happened once; what was not is there wholly or not at all; and no writer
// saw more than a delay.
func TestServerEndsInMidCommit(t *testing.T) {
	cluster := pgtest.Start(t)
	url, id := cluster.Database(t), uuid.New()
	first := open(t, url, postgres.Options{})
	if _, err := first.CreateTenant(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	source := core.Source{ID: uuid.New(), Name: "counter"}
	update := func(store core.Store, fn func(core.TenantTx) error) error {
		tenant, err := store.Tenant(t.Context(), id)
		if err != nil {
			return err
		}
		return tenant.Update(t.Context(), fn)
	}
	if err := update(first, func(tx core.TenantTx) error { return tx.PutSource(t.Context(), source) }); err != nil {
		t.Fatal(err)
	}
	// Two processes: the third writer shares the first one's store.
	second := open(t, url, postgres.Options{})
	var acknowledged atomic.Int64
	var done atomic.Bool
	var group errgroup.Group
	for writer, store := range []*postgres.Store{first, second, first} {
		group.Go(func() error {
			for i := 0; !done.Load(); i++ {
				from := (writer*10_000 + i) * 10
				err := update(store, func(tx core.TenantTx) error {
					if err := countUp(t.Context(), tx, source.ID); err != nil {
						return err
					}
					_, err := storetest.IngestIn(t.Context(), tx, storetest.Armis, 1, storetest.Inventory(from, from+10, 0))
					return err
				})
				if err != nil {
					return fmt.Errorf("writer %d: %w", writer, err)
				}
				acknowledged.Add(1)
			}
			return nil
		})
	}
	ends := []func() error{cluster.Restart, cluster.Crash, cluster.Crash, cluster.Restart, cluster.Crash}
	for round, end := range ends {
		reached := acknowledged.Load() + 15
		deadline := time.Now().Add(time.Minute)
		for acknowledged.Load() < reached && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if err := end(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	done.Store(true)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	tenant, err := second.Tenant(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var counted int64
	err = tenant.View(t.Context(), func(tx core.TenantTx) error {
		got, err := tx.Source(t.Context(), source.ID)
		counted = got.Stats.TotalSyncs
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	devices := count(t, tenant)
	if n := acknowledged.Load(); counted != n || devices != 10*n {
		t.Errorf("%d transactions were acknowledged: %d are counted, and there are %d devices of 10 each", n, counted, devices)
	}
	t.Logf("%d transactions over %d ends of the server", acknowledged.Load(), len(ends))
	for _, store := range []*postgres.Store{first, second} {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

func countUp(ctx context.Context, tx core.TenantTx, source uuid.UUID) error {
	got, err := tx.Source(ctx, source)
	if err != nil {
		return err
	}
	got.Stats.TotalSyncs++
	return tx.PutSourceStats(ctx, source, got.Stats)
}

// TestServerAway checks that a server that stays away is a failure after a
// while, which says that the same may succeed later.
func TestServerAway(t *testing.T) {
	cluster := pgtest.Start(t)
	store := open(t, cluster.Database(t), postgres.Options{Patience: 300 * time.Millisecond})
	defer store.Close()
	_, handles := tenants(t, store, 1)
	cluster.Stop(t)
	err := handles[0].Update(t.Context(), func(tx core.TenantTx) error { return nil })
	wantFailure(t, "update without a server", err)
	var told *core.Error
	if !errors.As(err, &told) || told.Code.String() != "Unavailable" {
		t.Errorf("update without a server: got error %v, want one that is told as unavailable", err)
	}
	wantFailure(t, "view without a server", handles[0].View(t.Context(), func(core.TenantTx) error { return nil }))
	_, err = store.Tenant(t.Context(), uuid.New())
	wantFailure(t, "open a tenant without a server", err)
	if _, err := postgres.Open(t.Context(), "postgres:///x?host=/nonexistent", postgres.Options{}); err == nil {
		t.Error("open a store without a server: no error")
	}
}

// TestRefusedConnectionsAreWaitedFor has a server refuse every connection for a
// while, as where all are taken. It is told as unavailable where it lasts.
func TestRefusedConnectionsAreWaitedFor(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	command := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	command(`CREATE ROLE limited LOGIN CREATEROLE`)
	command(`GRANT CREATE ON DATABASE ` + admin.Config().Database + ` TO limited`)
	limited := strings.Replace(url, "user=postgres", "user=limited", 1)
	store, patient := open(t, limited, postgres.Options{Patience: 2 * time.Second}), open(t, limited, postgres.Options{Patience: time.Minute})
	defer store.Close()
	defer patient.Close()
	ids, handles := tenants(t, store, 1)
	other, err := patient.Tenant(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	command(`ALTER ROLE limited CONNECTION LIMIT 0`)
	command(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'limited'`)
	nothing := func(core.TenantTx) error { return nil }
	err = handles[0].Update(t.Context(), nothing)
	var told *core.Error
	if !errors.As(err, &told) || told.Code.String() != "Unavailable" {
		t.Errorf("update while connections are refused: got error %v, want one that is told as unavailable", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- other.Update(t.Context(), nothing) }()
	time.Sleep(200 * time.Millisecond)
	command(`ALTER ROLE limited CONNECTION LIMIT -1`)
	if err := <-ended; err != nil {
		t.Errorf("update while connections were refused for a moment: %v", err)
	}
}

// TestDatabaseThatTakesNoWrites checks that one is told as unavailable, is read all
// the same, and is written again as soon as it takes writes.
func TestDatabaseThatTakesNoWrites(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	store := open(t, url, postgres.Options{})
	defer store.Close()
	_, handles := tenants(t, store, 1)
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	takesWrites := func(does string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), `SET default_transaction_read_only = off`); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			`ALTER DATABASE ` + admin.Config().Database + ` SET default_transaction_read_only = ` + does,
			`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND '` + does + `' = 'on'`,
		} {
			if _, err := admin.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantUnavailable := func(what string, err error) {
		t.Helper()
		var told *core.Error
		if !errors.As(err, &told) || told.Code != codes.Unavailable || !strings.Contains(told.Message, "takes no writes") {
			t.Errorf("%s: got error %v, want one that is told as unavailable", what, err)
		}
	}
	nothing := func(core.TenantTx) error { return nil }
	takesWrites("on")
	wantUnavailable("update", handles[0].Update(t.Context(), nothing))
	_, err = store.CreateTenant(t.Context(), uuid.New())
	wantUnavailable("create a tenant", err)
	if err := handles[0].View(t.Context(), nothing); err != nil {
		t.Errorf("view: %v", err)
	}
	// Sessions that began meanwhile were told to take none for good.
	takesWrites("off")
	for range 10 {
		if err = handles[0].Update(t.Context(), nothing); err == nil {
			return
		}
	}
	t.Errorf("update, after it takes writes again: %v", err)
}

// TestEmptyDatabaseThatTakesNoWrites checks what is told to who would begin there.
func TestEmptyDatabaseThatTakesNoWrites(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	if _, err := admin.Exec(t.Context(), `ALTER DATABASE `+admin.Config().Database+` SET default_transaction_read_only = on`); err != nil {
		t.Fatal(err)
	}
	for what, begin := range map[string]func() error{
		"open a store":  func() error { _, err := postgres.Open(t.Context(), url, postgres.Options{}); return err },
		"begin a store": func() error { _, err := postgres.NewBlank(t.Context(), url, postgres.Options{}); return err },
	} {
		var told *core.Error
		if err := begin(); !errors.As(err, &told) || told.Code != codes.Unavailable || !strings.Contains(err.Error(), "open database") {
			t.Errorf("%s: got error %v, want one that is told as unavailable", what, err)
		}
	}
}

// TestReplicasStartTogether opens one empty database from many sides at once,
// makes one tenant from all of them, and finds one of each.
func TestReplicasStartTogether(t *testing.T) {
	url, id := pgtest.Database(t), uuid.New()
	var group errgroup.Group
	for range 6 {
		group.Go(func() error {
			store, err := postgres.Open(t.Context(), url, postgres.Options{Connections: 4})
			if err != nil {
				return err
			}
			defer store.Close()
			tenant, err := store.CreateTenant(t.Context(), id)
			if err != nil {
				return err
			}
			return tenant.Update(t.Context(), func(tx core.TenantTx) error {
				return tx.AppendEvents(t.Context(), core.Event{ID: uuid.New(), Time: storetest.Started, Type: "x"})
			})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var schemas int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'tenant_')`).Scan(&schemas); err != nil || schemas != 1 {
		t.Errorf("%d tenants' schemas, error %v", schemas, err)
	}
}

func TestSchemaOfANewerProgramIsRefused(t *testing.T) {
	url := pgtest.Database(t)
	store := open(t, url, postgres.Options{})
	ids, _ := tenants(t, store, 1)
	newer := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
		return err
	}
	if err := store.AsTenant(t.Context(), ids[0], newer); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open(t, url, postgres.Options{})
	_, err := store.Tenant(t.Context(), ids[0])
	wantFailure(t, "open a newer tenant", err)
	if err := store.AsPlatform(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	store.Close()
	_, err = postgres.Open(t.Context(), url, postgres.Options{})
	wantFailure(t, "open a newer platform", err)
}

// TestLockHoldsAcrossProcesses has two stores take turns.
func TestLockHoldsAcrossProcesses(t *testing.T) {
	url := pgtest.Database(t)
	a, b := open(t, url, postgres.Options{}), open(t, url, postgres.Options{})
	defer a.Close()
	defer b.Close()
	unlock, err := a.Lock(t.Context(), "administration")
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Lock(t.Context(), "something else")
	if err != nil {
		t.Fatal(err)
	}
	other()
	waiting, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Lock(waiting, "administration"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("lock that is held: got error %v", err)
	}
	unlock()
	if unlock, err = b.Lock(t.Context(), "administration"); err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestNotices checks what one process hears of another: what was committed, and
// nothing of its own or of what was not.
func TestNotices(t *testing.T) {
	cluster := pgtest.Start(t)
	url := cluster.Database(t)
	a, b := open(t, url, postgres.Options{}), open(t, url, postgres.Options{})
	defer a.Close()
	defer b.Close()
	ids, handles := tenants(t, a, 1)
	heard := make(chan core.Signal, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Listen(ctx, func(n core.Signal) error { heard <- n; return nil }) }()
	want := func(wanted core.Signal) {
		t.Helper()
		select {
		case got := <-heard:
			if got != wanted {
				t.Fatalf("heard %+v, want %+v", got, wanted)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("heard nothing, want %+v", wanted)
		}
	}
	want(core.Signal{Topic: core.TopicLost})
	boom := errors.New("boom")
	put := func(err error) error {
		return handles[0].Update(t.Context(), func(tx core.TenantTx) error {
			if err := tx.PutService(t.Context(), core.SyncService{ID: uuid.New(), Name: "s", ComponentID: uuid.NewString()}); err != nil {
				return err
			}
			return err
		})
	}
	if err := put(boom); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if err := put(nil); err != nil {
		t.Fatal(err)
	}
	want(core.Signal{Topic: core.TopicConfig, Tenant: ids[0]})
	own := core.Signal{Topic: "test", Data: "from b itself"}
	if err := b.Notify(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	other := core.Signal{Topic: "test", Tenant: ids[0], Data: `it's "quoted"`}
	if err := a.Notify(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	want(other)
	large := core.Signal{Topic: "test", Data: strings.Repeat("\"ü\x01", 20_000)}
	if err := a.Notify(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	want(large)
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	want(core.Signal{Topic: core.TopicLost})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("listening ended with %v", err)
	}
}
