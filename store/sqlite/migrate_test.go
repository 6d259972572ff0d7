package sqlite_test

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"edgesync/store/sqlite"
)

// TestNewFilesAreAsMigrationsLeaveThem compares new files with ones that goose took
// from version to version, as those of an older program are.
func TestNewFilesAreAsMigrationsLeaveThem(t *testing.T) {
	dir, id := t.TempDir(), uuid.New()
	store := open(t, dir, sqlite.Options{})
	defer store.Close()
	if _, err := store.CreateTenant(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for kind, path := range map[string]string{"platform": "platform.db", "tenant": filepath.Join("tenants", id.String()+".db")} {
		files, err := fs.Sub(sqlite.Migrations, "migrations/"+kind)
		if err != nil {
			t.Fatal(err)
		}
		grown := filepath.Join(t.TempDir(), "grown.db")
		if err := os.WriteFile(grown, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		db := other(t, grown)
		steps, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := steps.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, got := shape(t, db), shape(t, other(t, filepath.Join(dir, path)))
		if len(want) < 4 || !slices.Equal(got, want) {
			t.Errorf("%s: a new file has\n%q\nand one that was migrated\n%q", kind, got, want)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "tenants"))
	for _, entry := range entries {
		if name := entry.Name(); err != nil || len(name) < len(id.String()) || name[:36] != id.String() {
			t.Errorf("file %s was left beside the tenant's, error %v", name, err)
		}
	}
}

// shape is what a file's tables are, and which migrations it had.
func shape(t *testing.T, db *sql.DB) (shape []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema
		UNION ALL SELECT printf('version %05d applied %d', version_id, is_applied) FROM goose_db_version ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		shape = append(shape, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return shape
}
