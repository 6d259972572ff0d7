package state_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	adminv1 "edgesync/proto/admin/v1"
)

func connect(t *testing.T, opts state.Options) *state.Connection {
	t.Helper()
	opts.Now = time.Now
	connection, err := state.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

func TestAbandonedBootstrapLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	connection := connect(t, state.Options{Dir: dir, Create: true})
	if _, err := connection.Client.Bootstrap(t.Context(), &adminv1.BootstrapRequest{TrustDomain: "no domain"}); err == nil {
		t.Fatal("it was bootstrapped")
	}
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
}

func TestAbandonedBootstrapTakesNothingOfOthers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"notes.txt", "tenants/kept.db"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := connect(t, state.Options{Dir: dir, Create: true}).Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"notes.txt", "tenants/kept.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "platform.db")); !os.IsNotExist(err) {
		t.Errorf("a database is left: %v", err)
	}
}

func TestWaitsForItsTurnAndNotForEver(t *testing.T) {
	dir := t.TempDir()
	holder := connect(t, state.Options{Dir: dir, Create: true})
	if _, err := holder.Client.Bootstrap(t.Context(), &adminv1.BootstrapRequest{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := state.Connect(ctx, state.Options{Dir: dir, Now: time.Now}); cmdutil.ExitCode(err) != cmdutil.ExitUnavailable {
		t.Errorf("a held directory: %v", err)
	}
	if _, err := state.Open(ctx, state.Options{Dir: dir, Now: time.Now}); cmdutil.ExitCode(err) != cmdutil.ExitUnavailable {
		t.Errorf("opening a held directory: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		connection, err := state.Connect(t.Context(), state.Options{Dir: dir, Now: time.Now})
		if err == nil {
			err = connection.Close()
		}
		waited <- err
	}()
	if err := holder.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("after it was given back: %v", err)
	}
}

func TestNothingIsMadeWhereThereIsNoPlatform(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := state.Connect(t.Context(), state.Options{Dir: dir, Now: time.Now}); cmdutil.ExitCode(err) != cmdutil.ExitConflict {
		t.Errorf("without a platform: %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory was made: %v", err)
	}
}
