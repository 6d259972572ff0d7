package sqlite_test

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// TestUnfinishedFilesAreClearedAway leaves what a process leaves that is killed while
// it makes a file: before the file has its name, and when it has two.
func TestUnfinishedFilesAreClearedAway(t *testing.T) {
	dir, id := filepath.Join(t.TempDir(), "[state]"), uuid.New()
	store := open(t, dir, sqlite.Options{})
	if _, err := store.CreateTenant(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	tenants := filepath.Join(dir, "tenants")
	for path, left := range map[string]string{
		filepath.Join(dir, "platform.db"):         filepath.Join(dir, ".platform.db.1234567890"),
		filepath.Join(tenants, id.String()+".db"): filepath.Join(tenants, "."+id.String()+".db.1234567890"),
	} {
		if err := os.Link(path, left); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tenants, "."+uuid.NewString()+".db.1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	store = open(t, dir, sqlite.Options{})
	defer store.Close()
	if _, err := store.Tenant(t.Context(), id); err != nil {
		t.Error(err)
	}
	for _, place := range []string{dir, tenants} {
		entries, err := os.ReadDir(place)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), ".") {
				t.Errorf("%s is still in %s", entry.Name(), place)
			}
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
