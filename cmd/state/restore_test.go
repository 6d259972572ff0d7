package state_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/seal"
	"edgesync/store/backup"
)

const passphrase = "correct horse battery"

func options(dir string) state.Options {
	return state.Options{Dir: dir, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
}

// bootstrap makes a platform in a directory.
func bootstrap(t *testing.T, dir string) {
	t.Helper()
	connection := connect(t, state.Options{Dir: dir, Create: true})
	if _, err := connection.Client.Bootstrap(t.Context(), &adminv1.BootstrapRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := connection.Close(); err != nil {
		t.Fatal(err)
	}
}

func takeBackup(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := state.Backup(t.Context(), options(dir), &out, backup.QuickLock(passphrase), nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func restore(t *testing.T, dir string, data []byte) error {
	t.Helper()
	key, err := backup.KeyPassphrase(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	_, err = state.Restore(t.Context(), options(dir), bytes.NewReader(data), key, core.Actor{Name: "local:0", Origin: "cli"}, nil)
	return err
}

func TestRestoreIsWholeOrNothing(t *testing.T) {
	home := t.TempDir()
	bootstrap(t, home)
	data := takeBackup(t, home)
	dir := filepath.Join(t.TempDir(), "state")
	for _, n := range []int{0, 100, len(data) / 2, len(data) - 1} {
		if err := restore(t, dir, data[:n]); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%d of %d bytes: %v", n, len(data), err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %d of %d bytes the directory is there: %v", n, len(data), err)
		}
	}
	if err := restore(t, dir, data); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "keyset.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keyset: %v, %v", info, err)
	}
	if !state.Exists(dir) {
		t.Error("there is no platform")
	}
}

func TestRestoreRefusesWhatIsNotEmpty(t *testing.T) {
	home := t.TempDir()
	bootstrap(t, home)
	data := takeBackup(t, home)
	notes := t.TempDir()
	if err := os.WriteFile(filepath.Join(notes, "notes.txt"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{home, notes} {
		before := list(t, dir)
		if err := restore(t, dir, data); cmdutil.ExitCode(err) != cmdutil.ExitConflict {
			t.Errorf("restore into %s: %v", dir, err)
		}
		if after := list(t, dir); after != before && after != before+" lock" && after != "lock "+before {
			t.Errorf("%s holds %s, and held %s", dir, after, before)
		}
	}
	if !state.Exists(home) {
		t.Error("the platform that was there is gone")
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

// TestRestoreBeginsAnewAfterAKill finds in a directory what a restore leaves that
// was killed at its worst moment.
func TestRestoreBeginsAnewAfterAKill(t *testing.T) {
	home := t.TempDir()
	bootstrap(t, home)
	data := takeBackup(t, home)
	dir := t.TempDir()
	if _, err := seal.Create(filepath.Join(dir, "keyset.json")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"restoring/platform.db", "tenants/11111111-1111-4111-8111-111111111111.db", "platform-sync/config/sync.json"} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := state.Connect(t.Context(), state.Options{Dir: dir, Create: true, Now: time.Now}); cmdutil.ExitCode(err) != cmdutil.ExitConflict || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("bootstrap over a restore that was cut short: %v", err)
	}
	if err := restore(t, dir, data); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "restoring")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what was cut short is still there")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "tenants"))
	if err != nil || len(entries) != 1 {
		t.Errorf("tenants: %v, %v", entries, err)
	}
	connection := connect(t, state.Options{Dir: dir})
	if _, err := connection.Client.GetPlatform(t.Context(), &adminv1.GetPlatformRequest{}); err != nil {
		t.Error(err)
	}
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
}

func TestBackupWantsTheKeysetThatOpensThePlatform(t *testing.T) {
	dir := t.TempDir()
	bootstrap(t, dir)
	path := filepath.Join(dir, "keyset.json")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := state.Backup(t.Context(), options(dir), &out, backup.QuickLock(passphrase), nil); cmdutil.ExitCode(err) != cmdutil.ExitNotFound {
		t.Errorf("without a keyset: %v", err)
	}
	if _, err := seal.Create(path); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Backup(t.Context(), options(dir), &out, backup.QuickLock(passphrase), nil); cmdutil.ExitCode(err) != cmdutil.ExitConflict {
		t.Errorf("with another keyset: %v", err)
	}
}
