package postgres_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"edgesync/core"
	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

func tenants(t *testing.T, store core.Store, n int) (ids []uuid.UUID, handles []core.TenantStore) {
	t.Helper()
	for range n {
		id := uuid.New()
		handle, err := store.CreateTenant(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		ids, handles = append(ids, id), append(handles, handle)
	}
	return ids, handles
}

// TestServerRefusesAnotherTenantsRows sends wrong queries within a tenant's
// transaction: PostgreSQL itself refuses every one.
func TestServerRefusesAnotherTenantsRows(t *testing.T) {
	store := open(t, pgtest.Database(t), postgres.Options{})
	defer store.Close()
	ids, _ := tenants(t, store, 2)
	other, role := store.SchemaOf(ids[1])
	wrong := map[string]string{
		"select":                   `SELECT count(*) FROM ` + other + `.device`,
		"insert":                   `INSERT INTO ` + other + `.name VALUES (1, 'x')`,
		"update":                   `UPDATE ` + other + `.source SET name = 'x'`,
		"delete":                   `DELETE FROM ` + other + `.assertion`,
		"drop":                     `DROP SCHEMA ` + other + ` CASCADE`,
		"foreign key":              `CREATE TABLE spy (id bigint REFERENCES ` + other + `.device (id))`,
		"grant to oneself":         `GRANT USAGE ON SCHEMA ` + other + ` TO CURRENT_USER`,
		"the platform's tenants":   `SELECT slug FROM platform.tenant`,
		"the platform's keys":      `SELECT sealed_key FROM platform.authority`,
		"the platform's migration": `DELETE FROM platform.goose_db_version`,
		"a schema of its own":      `CREATE SCHEMA spy`,
	}
	refuse := func(name, statement string, run func(func(pgx.Tx) error) error) {
		err := run(func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "42501" {
			t.Errorf("%s: got error %v, want a refusal by the server (42501)", name, err)
		}
	}
	for name, statement := range wrong {
		refuse(name, statement, func(fn func(pgx.Tx) error) error { return store.AsTenant(t.Context(), ids[0], fn) })
	}
	refuse("the platform reading a tenant", `SELECT count(*) FROM `+other+`.device`, func(fn func(pgx.Tx) error) error {
		return store.AsPlatform(t.Context(), fn)
	})
	// By search path as well as by name.
	err := store.AsTenant(t.Context(), ids[0], func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SET LOCAL search_path = `+other)
		if err == nil {
			_, err = tx.Exec(t.Context(), `SELECT count(*) FROM device`)
		}
		return err
	})
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "42P01" && e.Code != "42501" {
		t.Errorf("search path of another tenant: got error %v", err)
	}
	t.Logf("owner of the other schema: %s", role)
}

// TestNothingLeavesItsSchema checks what sharding by schema, as in Citus, asks:
// no foreign key, view or sequence ties two schemas together; every text sorts
// by its bytes, whatever the database's locale; each schema has one owner.
func TestNothingLeavesItsSchema(t *testing.T) {
	url := pgtest.Database(t)
	store := open(t, url, postgres.Options{})
	defer store.Close()
	tenants(t, store, 2)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for what, query := range map[string]string{
		"foreign key": `SELECT conname FROM pg_constraint c JOIN pg_class a ON a.oid = c.conrelid JOIN pg_class b ON b.oid = c.confrelid
			WHERE contype = 'f' AND a.relnamespace <> b.relnamespace`,
		"dependency": `SELECT a.relname || ' on ' || b.relname FROM pg_depend d JOIN pg_class a ON a.oid = d.objid JOIN pg_class b ON b.oid = d.refobjid
			JOIN pg_namespace n ON n.oid = a.relnamespace WHERE a.relnamespace <> b.relnamespace AND (n.nspname = 'platform' OR starts_with(n.nspname, 'tenant_'))`,
		"collation": `SELECT table_schema || '.' || table_name || '.' || column_name FROM information_schema.columns
			WHERE (table_schema = 'platform' OR starts_with(table_schema, 'tenant_')) AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`,
		"owner": `SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE (nspname = 'platform' OR starts_with(nspname, 'tenant_')) AND relowner <> nspowner`,
		"shared owner": `SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'platform' OR starts_with(nspname, 'tenant_')
			GROUP BY nspowner HAVING count(*) > 1`,
		"relation outside": `SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'public'`,
	} {
		rows, err := conn.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(found) > 0 {
			t.Errorf("%s: found %q, error %v", what, found, err)
		}
	}
}

// TestNoStatementTouchesTwoSchemas runs a tenant's life and looks at all that
// was sent: no statement of a transaction names a schema at all, and what begins
// one names one.
func TestNoStatementTouchesTwoSchemas(t *testing.T) {
	var sending storetest.Statements
	store := open(t, pgtest.Database(t), postgres.Options{}.Observe(sending.Add))
	defer store.Close()
	ids, handles := tenants(t, store, 2)
	sent := sending.During(func() {
		for _, tenant := range handles {
			if _, err := storetest.Ingest(t.Context(), tenant, storetest.Armis, 1, storetest.Inventory(0, 20, 0)); err != nil {
				t.Fatal(err)
			}
			err := tenant.View(t.Context(), func(tx core.TenantTx) error {
				if _, err := tx.CountDevices(t.Context(), core.DeviceFilter{Search: "host"}); err != nil {
					return err
				}
				_, err := tx.Events(t.Context(), core.EventFilter{})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := store.Platform().Update(t.Context(), func(tx core.PlatformTx) error {
			return tx.PutTenant(t.Context(), core.Tenant{ID: ids[0], Slug: "a"})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.DropTenant(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
	})
	schemas := regexp.MustCompile(`tenant_[0-9a-f]{32}|\bplatform\.`)
	for _, statement := range sent {
		named := schemas.FindAllString(statement, -1)
		slices.Sort(named)
		if named = slices.Compact(named); len(named) > 1 {
			t.Errorf("a statement names %q: %s", named, statement)
		}
		setup := strings.HasPrefix(statement, "BEGIN ") || strings.HasPrefix(statement, "DROP ")
		if len(named) > 0 && !setup {
			t.Errorf("a statement within a transaction names %q: %s", named, statement)
		}
	}
	if len(sent) < 20 {
		t.Fatalf("only %d statements were seen", len(sent))
	}
}

func TestURLWithAPasswordIsRefusedAsArgument(t *testing.T) {
	for url, ok := range map[string]bool{
		"postgres://u@h/d":                         true,
		"postgresql://u@h:5433/d?sslmode=require":  true,
		"postgres:///d?host=/run/postgresql":       true,
		"postgres://u:canary@h/d":                  false,
		"postgres://u:@h/d":                        false,
		"postgres://u@h/d?password=canary":         false,
		"postgres://u@h/d?sslpassword=canary":      false,
		"postgres://u:canary%zz@h/d":               false,
		"host=h user=u password=canary dbname=d":   false,
		"mysql://u@h/d":                            false,
		"postgres://u:canary@h:notaport/d":         false,
		"\x00postgres://u:canary@h/d":              false,
		"postgres://u@h/d?pool_max_conns=5#canary": true,
	} {
		err := postgres.CheckArgument(url)
		if (err == nil) != ok {
			t.Errorf("%s: got error %v", url, err)
		}
		if err != nil && strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: the error tells the password: %v", url, err)
		}
		if strings.Contains(postgres.Redact(url), "canary") && !strings.Contains(url, "#") {
			t.Errorf("%s: redacted it is %s", url, postgres.Redact(url))
		}
	}
	for _, url := range []string{"postgres://u:canary@h:notaport/d", "postgres://u:canary%zz@h/d", "postgres://u:canary@h/d?sslmode=perhaps"} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("open %s: %v", url, err)
		}
	}
}
