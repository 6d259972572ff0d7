package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

// wantFailure is for what could not be done: it must not look like an answer.
func wantFailure(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, core.ErrNotFound) || errors.Is(err, core.ErrConflict) {
		t.Fatalf("%s: got error %v, want a failure", what, err)
	}
	t.Logf("%s: %v", what, err)
}

// wantTold is for what whoever asked is told to try again.
func wantTold(t *testing.T, err error, code codes.Code) {
	t.Helper()
	var told *core.Error
	if !errors.As(err, &told) || told.Code != code || code == codes.ResourceExhausted && told.RetryAfter == 0 {
		t.Errorf("told %#v, want %s", told, code)
	}
}

func sources(t *testing.T, tenant core.TenantStore) (n int) {
	t.Helper()
	err := tenant.View(t.Context(), func(tx core.TenantTx) error {
		found, err := tx.Sources(t.Context())
		n = len(found)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFilesAreTheirOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c=%41#d&mode=ro")
	store := open(t, dir, sqlite.Options{})
	defer store.Close()
	ids, _ := tenants(t, store, 1)
	if err := putSource(t, store, ids[0]); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		seen++
		return nil
	})
	if err != nil || seen < 2+3+3 {
		t.Fatalf("saw %d files and directories, error %v", seen, err)
	}
}

// TestFullDisk stops a file from growing: the batch that does not fit is an
// error and leaves nothing, and the store goes on once there is room.
func TestFullDisk(t *testing.T) {
	store := open(t, t.TempDir(), sqlite.Options{})
	defer store.Close()
	ids, handles := tenants(t, store, 1)
	if err := store.Pragma(t.Context(), ids[0], "max_page_count(300)"); err != nil {
		t.Fatal(err)
	}
	_, err := storetest.Ingest(t.Context(), handles[0], storetest.Armis, 1, storetest.Inventory(0, 5000, 0))
	wantFailure(t, "ingest to a full disk", err)
	wantTold(t, err, codes.ResourceExhausted)
	count(t, handles[0])
	if stats, err := storetest.Ingest(t.Context(), handles[0], storetest.Armis, 1, storetest.Inventory(0, 50, 0)); err != nil || stats.Stored != 50 {
		t.Fatalf("ingest what fits: stored %d, error %v", stats.Stored, err)
	}
	if err := store.Pragma(t.Context(), ids[0], "max_page_count(1000000)"); err != nil {
		t.Fatal(err)
	}
	if stats, err := storetest.Ingest(t.Context(), handles[0], storetest.Armis, 1, storetest.Inventory(0, 5000, 0)); err != nil || stats.Stored != 4950 {
		t.Fatalf("ingest with room again: stored %d, error %v", stats.Stored, err)
	}
}

func TestUnreadableFilesAreNotAbsentOnes(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir, sqlite.Options{})
	defer store.Close()
	for name, prepare := range map[string]func(path string) error{
		"garbage": func(path string) error {
			return os.WriteFile(path, []byte("not a database, and longer than a header is"), 0o600)
		},
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a dead link": func(path string) error { return os.Symlink(filepath.Join(dir, "nowhere"), path) },
	} {
		id := uuid.New()
		if err := prepare(filepath.Join(dir, "tenants", id.String()+".db")); err != nil {
			t.Fatal(err)
		}
		_, err := store.Tenant(t.Context(), id)
		wantFailure(t, "open "+name, err)
		_, err = store.CreateTenant(t.Context(), id)
		wantFailure(t, "create over "+name, err)
	}
}

func TestFileOfANewerProgramIsRefused(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir, sqlite.Options{})
	ids, _ := tenants(t, store, 1)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "tenants", ids[0].String()+".db"), filepath.Join(dir, "platform.db")} {
		db := other(t, path)
		if _, err := db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
			t.Fatal(err)
		}
		db.Close()
		again, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
		if err == nil {
			_, err = again.Tenant(t.Context(), ids[0])
			defer again.Close()
		}
		wantFailure(t, "open "+filepath.Base(path), err)
	}
}

// other is another process's connection to a file.
func other(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestBusyFile has another process hold the write lock: an update waits for it,
// up to a point; reading goes on.
func TestBusyFile(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir, sqlite.Options{BusyTimeout: 40 * time.Millisecond})
	defer store.Close()
	ids, handles := tenants(t, store, 1)
	db := other(t, filepath.Join(dir, "tenants", ids[0].String()+".db"))
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = putSource(t, store, ids[0])
	wantFailure(t, "update while another process writes", err)
	wantTold(t, err, codes.Unavailable)
	if n := sources(t, handles[0]); n != 0 {
		t.Fatalf("%d sources were kept", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := putSource(t, store, ids[0]); err != nil {
		t.Fatal(err)
	}

	patient := open(t, dir, sqlite.Options{BusyTimeout: time.Minute})
	defer patient.Close()
	if tx, err = db.BeginTx(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- putSource(t, patient, ids[0]) }()
	select {
	case err := <-done:
		t.Fatalf("update did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// victim is the directory a child process of this test writes to until it is
// killed, saying the number of each update once it is acknowledged.
const victim = "EDGESYNC_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		fmt.Fprintln(os.Stderr, writeForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var victimTenant = uuid.MustParse("11111111-1111-4111-8111-111111111111")

func writeForever(dir string) error {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return err
	}
	tenant, err := store.CreateTenant(ctx, victimTenant)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if _, err := storetest.Ingest(ctx, tenant, storetest.Armis, 1, storetest.Inventory(i*20, i*20+20, 0)); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// TestKilled kills a writer and opens what it left: every batch it was told was
// stored is there, and no batch is there in part.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), victim+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := -1
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatal(err)
			}
			if acknowledged == 20+round*37 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil || acknowledged < 20 {
			t.Fatalf("the writer ended by itself after %d batches", acknowledged)
		}
		store := open(t, dir, sqlite.Options{})
		tenant, err := store.Tenant(t.Context(), victimTenant)
		if err != nil {
			t.Fatal(err)
		}
		err = tenant.View(t.Context(), func(tx core.TenantTx) error {
			n, err := tx.CountDevices(t.Context(), core.DeviceFilter{})
			if n%20 != 0 || int(n) < (acknowledged+1)*20 {
				t.Errorf("%d devices are stored after %d batches of 20", n, acknowledged+1)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
