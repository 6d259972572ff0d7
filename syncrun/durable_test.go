package syncrun_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// restart ends the runtime and begins another on the same data, as a new process
// would.
func (w *world) restart() {
	w.t.Helper()
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Errorf("run: %v", err)
	}
	w.run()
}

// TestRestartDeliversWhatWaits: what one process has taken, the next delivers
// before anything it reads itself.
func TestRestartDeliversWhatWaits(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		runs := 0
		w.adapters["a"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			if runs++; runs == 3 {
				// Read as fast as it is delivered, it would take the second one's place.
				time.Sleep(10 * time.Second)
			}
			return devices(100*runs)(context.Background(), emit)
		}
		paced(w, "10m", "a")
		w.gateway.onChunk = unavailable
		w.run()
		pass(time.Minute)
		w.restart()
		pass(time.Minute)
		if n := len(w.gateway.got()); n != 0 {
			t.Fatalf("%d streams were taken", n)
		}
		w.gateway.misbehave(nil, nil)
		w.restart()
		pass(5 * time.Minute)
		w.stop()
		var sizes []int
		for _, d := range w.gateway.got() {
			sizes = append(sizes, len(d.updates))
		}
		if fmt.Sprint(sizes) != "[100 200 300]" {
			t.Fatalf("delivered %v", sizes)
		}
	})
}

func TestRunOfASourceThatIsGoneIsNotDelivered(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"], w.adapters["b"] = devices(5), devices(7)
		w.configure("a", "b")
		w.gateway.onChunk = unavailable
		w.run()
		pass(time.Minute)
		w.gateway.misbehave(nil, nil)
		w.configure("b")
		w.restart()
		pass(5 * time.Minute)
		w.stop()
		if len(w.gateway.gotFrom("a")) != 0 || len(w.gateway.gotFrom("b")) != 2 {
			t.Fatalf("%d and %d streams", len(w.gateway.gotFrom("a")), len(w.gateway.gotFrom("b")))
		}
	})
}

// TestFullOutboxPausesReadingAndHeals: with the gateway away the outbox fills,
// sources are then left alone, and all goes on by itself once the gateway is back.
func TestFullOutboxPausesReadingAndHeals(t *testing.T) {
	const fullAt = 60_000
	simulate(t, func(t *testing.T, w *world) {
		var names []string
		var reads atomic.Int64
		for i := range 20 {
			name := fmt.Sprint("s", i)
			names = append(names, name)
			w.adapters[name] = func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
				reads.Add(1)
				return devices(200)(ctx, emit)
			}
		}
		paced(w, "1m", names...)
		w.options.OutboxMax, w.options.Workers = fullAt, 1
		w.options.Logger = nil
		w.gateway.onChunk = unavailable
		w.run()
		pass(20 * time.Minute)
		if w.count(syncrun.OutboxFull, "") != 1 {
			t.Fatalf("%d alarms", w.count(syncrun.OutboxFull, ""))
		}
		before := reads.Load()
		pass(20 * time.Minute)
		if n := reads.Load() - before; n != 0 {
			t.Fatalf("%d reads while the outbox was full", n)
		}
		if size := diskUse(t, w); size > fullAt {
			t.Fatalf("the outbox takes %d bytes", size)
		}
		w.gateway.misbehave(nil, nil)
		pass(5 * time.Minute)
		w.stop()
		if w.count(syncrun.OutboxRoom, "") == 0 {
			t.Error("the alarm is not called off")
		}
		for _, name := range names {
			if got := w.gateway.gotFrom(name); len(got) == 0 || len(got[len(got)-1].updates) != 200 {
				t.Errorf("%s has %d streams", name, len(got))
			}
		}
	})
}

func diskUse(t *testing.T, w *world) (size int64) {
	t.Helper()
	runs, err := filepath.Glob(filepath.Join(w.options.DataDir, "outbox", "*.run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range runs {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// TestDamagedRunIsReportedAndTheSourceReadAgain spoils a waiting run.
func TestDamagedRunIsReportedAndTheSourceReadAgain(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart=", restart), func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				w.adapters["a"], w.adapters["b"] = devices(2000), devices(5)
				w.configure("a", "b")
				w.gateway.onChunk = unavailable
				w.run()
				pass(time.Minute)
				spoil(t, w, "a")
				if restart {
					w.restart()
				}
				w.gateway.misbehave(nil, nil)
				pass(5 * time.Minute)
				w.stop()
				if got := w.gateway.gotFrom("a"); len(got) != 1 || len(got[0].updates) != 2000 {
					t.Fatalf("got %d streams", len(got))
				}
				if len(w.gateway.gotFrom("b")) == 0 {
					t.Error("nothing of the other source arrived")
				}
				told := w.gateway.told("a")
				if len(told) != 2 || told[0].Result != payload.ResultFailed || told[1].Result != payload.ResultSuccess {
					t.Fatalf("told %+v", told)
				}
			})
		})
	}
}

// spoil flips a byte in the middle of a source's run, at its end with restart.
func spoil(t *testing.T, w *world, name string) {
	t.Helper()
	runs, _ := filepath.Glob(filepath.Join(w.options.DataDir, "outbox", "*.run"))
	for _, path := range runs {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) < 10_000 {
			continue // The small one is the other source's.
		}
		content[len(content)/2] ^= 1
		content[len(content)-1] ^= 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%s has no run on disk", name)
}

// TestHalfSentRunIsSentAgainWhole cuts a stream in its middle, again and again.
func TestHalfSentRunIsSentAgainWhole(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(large)
		w.chunked()
		w.configure("a")
		cuts := 0
		w.gateway.onChunk = func(ctx context.Context, source string, c *monitoring.GatewayStatusChunk) error {
			if c.GetChunkIndex() == int32(cuts) && cuts < 4 {
				cuts++
				return unavailable(ctx, source, c)
			}
			return nil
		}
		w.run()
		for range 4 {
			pass(20 * time.Second)
			w.restart()
		}
		pass(time.Minute)
		w.stop()
		got := w.gateway.got()
		if len(got) == 0 || len(got[0].updates) != large {
			t.Fatalf("got %d streams", len(got))
		}
		ids := map[string]bool{}
		for _, d := range got {
			if ids[d.run()] {
				t.Errorf("run %s was acknowledged twice", d.run())
			}
			ids[d.run()] = true
		}
	})
}
