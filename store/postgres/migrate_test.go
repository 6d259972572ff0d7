package postgres_test

import (
	"io/fs"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
)

// TestNewSchemasAreAsMigrationsLeaveThem compares new schemas with ones that goose
// took from version to version, as those of an older program are.
func TestNewSchemasAreAsMigrationsLeaveThem(t *testing.T) {
	url, id := pgtest.Database(t), uuid.New()
	store := open(t, url, postgres.Options{})
	defer store.Close()
	if _, err := store.CreateTenant(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tenant, _ := store.SchemaOf(id)
	for kind, schema := range map[string]string{"platform": "platform", "tenant": tenant} {
		files, err := fs.Sub(postgres.Migrations, "migrations/"+kind)
		if err != nil {
			t.Fatal(err)
		}
		grown := "grown_" + kind
		if _, err := conn.Exec(t.Context(), `CREATE SCHEMA `+grown); err != nil {
			t.Fatal(err)
		}
		within := config.Copy()
		within.RuntimeParams["search_path"] = grown
		db := stdlib.OpenDB(*within)
		steps, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := steps.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		want, got := shape(t, conn, grown), shape(t, conn, schema)
		if len(want) < 20 || !slices.Equal(got, want) {
			t.Errorf("%s: a new schema has\n%q\nand one that was migrated\n%q", kind, got, want)
		}
	}
}

// shape is what a schema's tables are, and which migrations it had.
func shape(t *testing.T, conn *pgx.Conn, schema string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		SELECT 'column ' || c.relname || ' ' || attnum || ' ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attcollation || ' ' || attnotnull
			|| ' ' || attidentity::text || ' ' || coalesce(pg_get_expr(adbin, adrelid), '') || ' ' || coalesce(reloptions::text, '')
		FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
		UNION ALL SELECT replace(indexdef, $1 || '.', '') FROM pg_indexes WHERE schemaname = $1
		UNION ALL SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = $1::text::regnamespace
		UNION ALL SELECT 'other ' || relkind::text || ' ' || relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind NOT IN ('r', 'i')
		UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = $1::text::regnamespace
		ORDER BY 1`, schema)
	if err != nil {
		t.Fatal(err)
	}
	shape, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	rows, err = conn.Query(t.Context(), `SELECT 'version ' || version_id || ' ' || is_applied FROM `+schema+`.goose_db_version ORDER BY version_id`)
	if err != nil {
		t.Fatal(err)
	}
	versions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return append(shape, versions...)
}
