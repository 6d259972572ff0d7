package syncrun_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// TestBreakerLeavesAFailingSourceAlone: five failures in a row, then one try an
// interval, then all as before.
func TestBreakerLeavesAFailingSourceAlone(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		start := time.Now()
		var works atomic.Bool
		var at []time.Duration
		w.adapters["a"] = func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			at = append(at, time.Since(start).Truncate(time.Second))
			if !works.Load() {
				return source.Discovery{}, source.Errorf(source.ReasonServer, "status 500")
			}
			return devices(3)(ctx, emit)
		}
		w.adapters["b"] = devices(3)
		paced(w, "1m", "a", "b")
		w.run()
		pass(30 * time.Minute)
		works.Store(true)
		pass(5 * time.Minute)
		w.stop()
		open := 0
		for i := 5; i < len(at) && at[i] < 30*time.Minute; i++ {
			if pause := at[i] - at[i-1]; pause < time.Minute || pause > 80*time.Second {
				t.Errorf("tried after %s while it was left alone", pause)
			}
			open++
		}
		if open < 15 {
			t.Errorf("%d tries while it failed: %v", open, at)
		}
		ended := w.ended("a")
		if len(ended) == 0 || ended[len(ended)-1] != payload.ResultSuccess {
			t.Errorf("does not come back: %v", ended)
		}
		if n := len(w.ended("b")); n < 30 {
			t.Errorf("the other source ran %d times in 35 minutes", n)
		}
	})
}

// TestRetryAfterOfASourceIsKept, and one beyond belief is not.
func TestRetryAfterOfASourceIsKept(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{3 * time.Hour: 3 * time.Hour, 30 * 365 * 24 * time.Hour: 24 * time.Hour} {
		simulateAlone(t, func(t *testing.T, w *world) {
			var at []time.Time
			w.adapters["a"] = func(context.Context, func(payload.Update) error) (source.Discovery, error) {
				at = append(at, time.Now())
				failure := source.Errorf(source.ReasonRateLimit, "status 429")
				failure.RetryAfter = asked
				return source.Discovery{}, failure
			}
			paced(w, "5m", "a")
			w.gateway.hello.HeartbeatIntervalSec, w.gateway.settings.ConfigPollIntervalSec = 3600, 3600
			w.run()
			pass(want + 10*time.Minute)
			w.stop()
			if len(at) != 2 || at[1].Sub(at[0]) < want || at[1].Sub(at[0]) > want+time.Minute {
				t.Errorf("asked to wait %s, was asked again at %v", asked, at)
			}
		})
	}
}

// hangs is a source that answers after an hour.
func hangs(ctx context.Context, _ func(payload.Update) error) (source.Discovery, error) {
	select {
	case <-time.After(time.Hour):
	case <-ctx.Done():
	}
	return source.Discovery{}, context.Cause(ctx)
}

// TestSourceThatHangsForAnHourChangesNoOtherSchedule runs 40 sources beside
// those of a tenant all of which hang, and without.
func TestSourceThatHangsForAnHourChangesNoOtherSchedule(t *testing.T) {
	t.Parallel()
	schedule := func(hang bool) map[string]string {
		began := map[string]string{}
		simulateAlone(t, func(t *testing.T, w *world) {
			sources := map[string]payload.Source{}
			for i := range 16 {
				name := "s" + string(rune('a'+i))
				w.adapters[name] = devices(2)
				tenant := "tenant-" + name
				if i%2 == 0 {
					tenant = "hung"
					if hang {
						w.adapters[name] = hangs
					}
				}
				sources[name] = payload.Source{Type: "fake", Endpoint: name, PollInterval: "50s", TenantID: tenant, TenantSlug: tenant}
			}
			w.gateway.configure(payload.ScopePlatform, sources)
			w.options.Logger = nil
			start := time.Now()
			w.run()
			pass(90 * time.Minute)
			w.stop()
			for name, s := range sources {
				if s.TenantSlug != "hung" {
					began[name] = ""
					for _, at := range w.begun(name, start) {
						began[name] += at.Truncate(time.Second).String() + " "
					}
				}
			}
		})
		return began
	}
	calm, hung := schedule(false), schedule(true)
	for name, times := range calm {
		if times != hung[name] || strings.Count(times, " ") < 100 {
			t.Errorf("%s began at %s beside sources that hang, at %s without", name, hung[name], times)
		}
	}
}

func TestChangesAreReadBetweenSnapshots(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = changing
		w.gateway.configure(payload.ScopeTenant, map[string]payload.Source{
			"a": {Type: "fake", Endpoint: "a", PollInterval: "10m", DiscoveryInterval: "1h"},
		})
		start := time.Now()
		w.run()
		pass(2*time.Hour + 15*time.Minute)
		w.stop()
		whole := 0
		for i, request := range w.asked["a"] {
			began := w.begun("a", start)
			switch {
			case request.Since.IsZero():
				whole++
			case i == 0:
				t.Fatal("the first run reads changes only")
			default:
				if last := start.Add(began[i-1]); request.Since.After(last) || request.Since.Before(last.Add(-6*time.Minute)) {
					t.Errorf("run %d reads what changed since %s, the one before began at %s", i, request.Since, last)
				}
			}
		}
		if n := len(w.asked["a"]); n < 12 || whole != 3 {
			t.Errorf("%d runs, %d of them whole", n, whole)
		}
		for i, d := range w.gateway.gotFrom("a") {
			if want := map[bool]string{true: payload.ModeSnapshot, false: payload.ModeIncremental}[w.asked["a"][i].Since.IsZero()]; d.mode() != want {
				t.Errorf("run %d is declared %s", i, d.mode())
			}
		}
	})
}

// changing says what it was asked for.
func changing(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
	found, err := devices(3)(ctx, emit)
	if request, _ := ctx.Value(requested{}).(source.Request); !request.Since.IsZero() {
		found.Mode = payload.ModeIncremental
	}
	return found, err
}

// TestWhatWasNeverDeliveredIsReadWholeAgain: changes the gateway refused are not
// taken for known.
func TestWhatWasNeverDeliveredIsReadWholeAgain(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = changing
		w.gateway.configure(payload.ScopeTenant, map[string]payload.Source{
			"a": {Type: "fake", Endpoint: "a", PollInterval: "10m", DiscoveryInterval: "24h"},
		})
		w.run()
		pass(15 * time.Minute)
		w.gateway.misbehave(nil, refuse(3))
		pass(10 * time.Minute)
		w.gateway.misbehave(nil, nil)
		pass(20 * time.Minute)
		w.stop()
		var whole []bool
		for _, request := range w.asked["a"] {
			whole = append(whole, request.Since.IsZero())
		}
		if len(whole) != 5 || !whole[0] || whole[1] || whole[2] || !whole[3] || whole[4] {
			t.Errorf("read whole: %v", whole)
		}
		if w.count(syncrun.RunEnded, "a") != 5 {
			t.Errorf("%d runs ended", w.count(syncrun.RunEnded, "a"))
		}
	})
}
