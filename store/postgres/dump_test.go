package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/core"
	"edgesync/dire"
	"edgesync/store/dump"
	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

type dumper interface {
	Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error
}

func sums(t *testing.T, store dumper, tenant uuid.UUID) map[string]dump.Sum {
	t.Helper()
	found := map[string]dump.Sum{}
	err := store.Dump(t.Context(), tenant, func(table dump.Table) error {
		sum, err := dump.Of(table)
		found[table.Name] = sum
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTenantMovesFromFiles loads a tenant's file into a schema: every row is the
// same there, and the tenant goes on where it was.
func TestTenantMovesFromFiles(t *testing.T) {
	files, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	store := open(t, pgtest.Database(t), postgres.Options{})
	defer store.Close()
	ids, handles := tenants(t, files, 1)
	for run, source := range []string{storetest.Armis, storetest.NetBox, storetest.Armis} {
		if _, err := storetest.Ingest(t.Context(), handles[0], source, run+1, storetest.Inventory(run*50, 300, run/2)); err != nil {
			t.Fatal(err)
		}
	}
	service := core.SyncService{ID: uuid.New(), Name: "s", ComponentID: "s", IsPlatformSync: true, Capabilities: []string{"a"}}
	source := core.Source{ID: uuid.New(), Name: "s", Enabled: true, Credentials: map[string][]byte{"k": {0, 1, 255}}}
	event := func() core.Event {
		return core.Event{ID: uuid.New(), Time: storetest.Started, Type: "x", Message: "it's ünïcode"}
	}
	err = handles[0].Update(t.Context(), func(tx core.TenantTx) error {
		if err := tx.PutService(t.Context(), service); err != nil {
			return err
		}
		if err := tx.PutSource(t.Context(), source); err != nil {
			return err
		}
		return tx.AppendEvents(t.Context(), event(), event())
	})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := store.CreateTenant(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	load := func() error {
		return store.Load(t.Context(), ids[0], func(visit func(dump.Table) error) error { return files.Dump(t.Context(), ids[0], visit) })
	}
	if err := load(); err != nil {
		t.Fatal(err)
	}
	sent, arrived := sums(t, files, ids[0]), sums(t, store, ids[0])
	if len(sent) != len(arrived) || sent["assertion"].Rows < 500 || sent["event"].Rows != 2 {
		t.Fatalf("%d tables were sent and %d arrived: %v", len(sent), len(arrived), sent)
	}
	for table, sum := range sent {
		if arrived[table] != sum {
			t.Errorf("table %s: %d rows with %s were sent, %d with %s arrived", table, sum.Rows, sum.Hash(), arrived[table].Rows, arrived[table].Hash())
		}
	}
	if err := load(); err == nil {
		t.Error("it was loaded again over what is there")
	}
	for name, check := range map[string]func() ([]string, error){
		"files":    func() ([]string, error) { return files.Check(t.Context(), ids[0]) },
		"database": func() ([]string, error) { return store.Check(t.Context(), ids[0]) },
	} {
		if problems, err := check(); err != nil || strings.Join(problems, "") != "1 runs of no source" && len(problems) > 0 {
			t.Errorf("check of the %s: %q, error %v", name, problems, err)
		}
	}
	// What was stored is known, and what is new gets numbers of its own.
	stats, err := storetest.Ingest(t.Context(), moved, storetest.Armis, 4, storetest.Inventory(100, 320, 1))
	if err != nil || stats != (dire.Stats{Unchanged: 200, Stored: 20}) {
		t.Errorf("ingest after the move: %+v, error %v", stats, err)
	}
	if err := moved.Update(t.Context(), func(tx core.TenantTx) error { return tx.AppendEvents(t.Context(), event()) }); err != nil {
		t.Error(err)
	}
}

// TestCheckFindsDamage breaks each rule by hand.
func TestCheckFindsDamage(t *testing.T) {
	store := open(t, pgtest.Database(t), postgres.Options{})
	defer store.Close()
	ids, handles := tenants(t, store, 1)
	if _, err := storetest.Ingest(t.Context(), handles[0], storetest.Armis, 1, storetest.Inventory(0, 50, 0)); err != nil {
		t.Fatal(err)
	}
	if problems, err := store.Check(t.Context(), ids[0]); err != nil || len(problems) > 0 {
		t.Fatalf("check of a sound store: %q, error %v", problems, err)
	}
	err := store.AsTenant(t.Context(), ids[0], func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `DELETE FROM device WHERE id = 3; DELETE FROM fact WHERE assertion = 5;
			DELETE FROM assertion WHERE id = 7; DELETE FROM device_text WHERE id = 9; DELETE FROM name WHERE value = 'default'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := store.Check(t.Context(), ids[0])
	if err != nil || len(problems) < 7 {
		t.Errorf("check of a damaged store: %q, error %v", problems, err)
	}
}

// TestListingsOfAllKindsShareAConnection has one connection list what has other columns
// each time. A listing that failed would be begun again, so it must be begun once.
func TestListingsOfAllKindsShareAConnection(t *testing.T) {
	store := open(t, pgtest.Database(t), postgres.Options{Connections: 1})
	defer store.Close()
	ids, handles := tenants(t, store, 1)
	if _, err := storetest.Ingest(t.Context(), handles[0], storetest.Armis, 1, storetest.Inventory(0, 50, 0)); err != nil {
		t.Fatal(err)
	}
	devices, assertions, begun := 0, 0, 0
	for name, list := range map[string]func(core.TenantTx) error{
		"devices": func(tx core.TenantTx) error {
			return tx.Devices(t.Context(), core.DeviceFilter{}, func(dire.Device) error { devices++; return nil })
		},
		"assertions": func(tx core.TenantTx) error {
			return tx.Assertions(t.Context(), func(dire.Assertion) error { assertions++; return nil })
		},
	} {
		err := handles[0].View(t.Context(), func(tx core.TenantTx) error { begun++; return list(tx) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if devices != 50 || assertions != 50 || begun != 2 {
		t.Errorf("%d devices and %d assertions in %d transactions", devices, assertions, begun)
	}
	if sums := sums(t, store, ids[0]); sums["assertion"].Rows != 50 || sums["device"].Rows != 50 {
		t.Errorf("dumped are %+v", sums)
	}
}
