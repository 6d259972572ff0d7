package syncrun_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/payload"
	"edgesync/syncrun"
)

const canary = "canary-credential-4711"

// caching gives the world a cache and a source with a credential.
func caching(w *world) {
	w.options.CacheKey = filepath.Join(w.t.TempDir(), "key.json")
	w.adapters["a"] = devices(5)
	w.gateway.configure(payload.ScopeTenant, map[string]payload.Source{
		"a": {Type: "fake", Endpoint: "a", PollInterval: "10m", Credentials: map[string]string{"secret_key": canary}},
	})
}

func TestRestartWhileTheGatewayIsAwayGoesOnFromTheCache(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		caching(w)
		w.run()
		pass(time.Minute)
		w.gateway.kill()
		w.restart()
		pass(25 * time.Minute)
		if n := w.count(syncrun.Spooled, "a"); n != 4 {
			t.Fatalf("%d runs, want one before and three without the gateway", n)
		}
		w.gateway.mu.Lock()
		w.gateway.calls = nil
		w.gateway.mu.Unlock()
		w.gateway.start()
		pass(5 * time.Minute)
		w.stop()
		if calls := w.gateway.calls; len(calls) < 2 || calls[0] != "Hello" || calls[1] != "GetConfig" {
			t.Errorf("after its return the gateway was asked for %v", calls)
		}
		got := w.gateway.gotFrom("a")
		if len(got) < 3 {
			t.Fatalf("%d streams", len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i].head(payload.HeaderRunStarted) <= got[i-1].head(payload.HeaderRunStarted) {
				t.Error("runs arrived out of their order")
			}
		}
	})
}

// TestUnfinishedFilesAreClearedAway leaves what a process leaves that is killed while
// it writes, and what looks alike and is not its own.
func TestUnfinishedFilesAreClearedAway(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		caching(w)
		place := func(name string) string { return filepath.Join(w.options.DataDir, name) }
		others := []string{"config.sealed.old", "config.sealed.", "reports.1.2", "xreports.1", "reports1", "notes.7"}
		for _, name := range append(others, "config.sealed.2812359075", "reports.17") {
			if err := os.WriteFile(place(name), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(place("reports.4711"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("notes.7", place("config.sealed.4711")); err != nil {
			t.Fatal(err)
		}
		w.run()
		pass(time.Minute)
		w.stop()
		entries, err := os.ReadDir(w.options.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, entry := range entries {
			got = append(got, entry.Name())
		}
		want := append(others, "config.sealed", "config.sealed.4711", "reports.4711", "outbox", "reports")
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the directory holds %q, want %q", got, want)
		}
	})
}

func TestCacheIsSealedAndPrivate(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		caching(w)
		w.run()
		pass(time.Minute)
		w.stop()
		path := filepath.Join(w.options.DataDir, "config.sealed")
		for _, file := range []string{path, w.options.CacheKey} {
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("%s has mode %v: %v", file, info.Mode(), err)
			}
		}
		err := filepath.WalkDir(w.options.DataDir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if bytes.Contains(content, []byte(canary)) {
				t.Errorf("%s holds a credential in clear", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestCacheThatIsNoGoodIsNotUsed: too old, spoiled, of another key, of a service
// the gateway refused.
func TestCacheThatIsNoGoodIsNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"old": func(*world) { pass(8 * 24 * time.Hour) },
		"spoiled": func(w *world) {
			path := filepath.Join(w.options.DataDir, "config.sealed")
			content, err := os.ReadFile(path)
			if err != nil {
				w.t.Fatal(err)
			}
			content[len(content)/2] ^= 1
			if err := os.WriteFile(path, content, 0o600); err != nil {
				w.t.Fatal(err)
			}
		},
		"other key":    func(w *world) { w.options.CacheKey = filepath.Join(w.t.TempDir(), "other.json") },
		"other person": func(w *world) { w.options.Config.AgentID = "somebody" },
		"refused": func(w *world) {
			w.gateway.onHello = func() error { return status.Error(codes.PermissionDenied, "this service was revoked") }
			w.gateway.start()
			w.run()
			pass(time.Minute)
			w.cancel()
			<-w.done
			w.gateway.kill()
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				caching(w)
				w.run()
				pass(time.Minute)
				w.stop()
				before := w.count(syncrun.RunStarted, "a")
				spoil(w)
				w.run()
				pass(time.Hour)
				w.stop()
				if n := w.count(syncrun.RunStarted, "a"); n != before {
					t.Errorf("%d runs began without a configuration", n-before)
				}
			})
		})
	}
}

// runsFromTheCache has a service start anew while its gateway is away.
func runsFromTheCache(t *testing.T, w *world) {
	t.Helper()
	before := w.count(syncrun.RunStarted, "a")
	w.gateway.kill()
	w.restart()
	pass(15 * time.Minute)
	w.stop()
	if w.count(syncrun.RunStarted, "a") == before {
		t.Error("no run began from the cache")
	}
}

func TestCacheKeyThatIsNoGoodIsMadeAnew(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"empty":       func(path string) error { return os.Truncate(path, 0) },
		"not private": func(path string) error { return os.Chmod(path, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				caching(w)
				w.run()
				pass(time.Minute)
				w.stop()
				if err := spoil(w.options.CacheKey); err != nil {
					t.Fatal(err)
				}
				w.gateway.start()
				w.run()
				pass(time.Minute)
				runsFromTheCache(t, w)
			})
		})
	}
}

func TestConfigurationIsCachedOnceThereIsRoom(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		caching(w)
		w.options.DataDir = t.TempDir()
		inTheWay := filepath.Join(w.options.DataDir, "config.sealed")
		if err := os.Mkdir(inTheWay, 0o700); err != nil {
			t.Fatal(err)
		}
		w.run()
		pass(time.Minute)
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		runsFromTheCache(t, w)
	})
}

func TestCacheThatIsNoGoodIsToldOfOnce(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		caching(w)
		w.run()
		pass(time.Minute)
		w.stop()
		w.gateway.kill()
		var log bytes.Buffer
		w.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
		pass(8 * 24 * time.Hour)
		w.run()
		pass(24 * time.Hour)
		w.stop()
		if lines := bytes.Count(log.Bytes(), []byte("\n")); lines > 3 || !strings.Contains(log.String(), "start without the gateway") {
			t.Errorf("%d lines in a day without the gateway:\n%.2000s", lines, log.String())
		}
	})
}

func TestCacheStaysFreshWhileTheGatewayConfirmsIt(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		caching(w)
		w.gateway.settings.ConfigPollIntervalSec, w.gateway.hello.HeartbeatIntervalSec = 3600, 3600
		w.options.CacheLife = 24 * time.Hour
		w.run()
		pass(27 * time.Hour)
		before := w.count(syncrun.RunStarted, "a")
		w.gateway.kill()
		w.restart()
		pass(time.Minute)
		if n := w.count(syncrun.RunStarted, "a"); n != before+1 {
			t.Errorf("%d runs began from a cache confirmed an hour ago", n-before)
		}
		w.stop()
		var told []string
		for _, call := range w.gateway.calls {
			if strings.Contains(call, "Hello") {
				told = append(told, call)
			}
		}
		if len(told) != 1 {
			t.Errorf("%d times Hello", len(told))
		}
	})
}
