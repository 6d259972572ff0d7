package syncrun_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// begun returns when the runs of a source began, counted from start.
func (w *world) begun(key string, start time.Time) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []time.Duration
	for _, e := range w.events {
		if e.Kind == syncrun.RunStarted && e.Source == key {
			list = append(list, e.Time.Sub(start))
		}
	}
	return list
}

// paced gives sources an interval too short for jitter.
func paced(w *world, every string, names ...string) map[string]payload.Source {
	sources := w.configure(names...)
	for key, s := range sources {
		s.PollInterval = every
		sources[key] = s
	}
	w.gateway.configure(payload.ScopeTenant, sources)
	return sources
}

func wantBegun(t *testing.T, w *world, key string, start time.Time, want ...time.Duration) {
	t.Helper()
	if got := w.begun(key, start); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s began at %v, want %v", key, got, want)
	}
}

func TestConfigChangeDisturbsOnlyWhatChanged(t *testing.T) {
	const s = time.Second
	simulate(t, func(t *testing.T, w *world) {
		for _, name := range []string{"kept", "changed", "removed", "added", "faster", "elsewhere"} {
			w.adapters[name] = devices(1)
		}
		w.gateway.settings.ConfigPollIntervalSec = 60
		sources := paced(w, "50s", "kept", "changed", "removed", "faster")
		start := time.Now()
		w.run()
		pass(30 * s)
		changed, faster := sources["changed"], sources["faster"]
		changed.Endpoint, faster.PollInterval = "elsewhere", "20s"
		added := payload.Source{Type: "fake", Endpoint: "added", PollInterval: "50s"}
		w.gateway.configure(payload.ScopeTenant, map[string]payload.Source{
			"kept": sources["kept"], "changed": changed, "faster": faster, "added": added,
		})
		pass(95 * s)
		w.stop()
		wantBegun(t, w, "kept", start, 0, 50*s, 100*s)
		wantBegun(t, w, "removed", start, 0, 50*s)
		wantBegun(t, w, "changed", start, 0, 50*s, 60*s, 110*s)
		wantBegun(t, w, "added", start, 60*s, 110*s)
		wantBegun(t, w, "faster", start, 0, 50*s, 70*s, 90*s, 110*s)
		if want := []string{"added", "changed", "elsewhere", "faster", "kept", "removed"}; len(w.made) != len(want) {
			t.Fatalf("adapters made for %v, want once each of %v", w.made, want)
		}
	})
}

func TestRenamedSourceKeepsItsPace(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["old"] = devices(1)
		sources := paced(w, "50s", "old")
		start := time.Now()
		w.run()
		pass(30 * time.Second)
		w.gateway.configure(payload.ScopeTenant, map[string]payload.Source{"new": sources["old"]})
		pass(90 * time.Second)
		w.stop()
		wantBegun(t, w, "old", start, 0, 50*time.Second)
		wantBegun(t, w, "new", start, 100*time.Second)
	})
}

func TestChangeEndsARunThatHangs(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["hung"] = func(ctx context.Context, _ func(payload.Update) error) (source.Discovery, error) {
			<-ctx.Done()
			return source.Discovery{}, ctx.Err()
		}
		w.adapters["mended"] = devices(1)
		sources := w.configure("hung")
		w.run()
		pass(30 * time.Second)
		mended := sources["hung"]
		mended.Endpoint = "mended"
		w.gateway.configure(payload.ScopeTenant, map[string]payload.Source{"hung": mended})
		pass(40 * time.Second)
		w.stop()
		if told := w.gateway.told("hung"); len(told) != 1 || told[0].Result != payload.ResultSuccess {
			t.Fatalf("told %+v", told)
		}
	})
}

func TestEmptyConfigStopsEveryLoop(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"], w.adapters["b"] = devices(1), devices(1)
		paced(w, "10s", "a", "b")
		start := time.Now()
		w.run()
		pass(55 * time.Second)
		w.gateway.configure(payload.ScopeTenant, nil)
		pass(time.Hour)
		w.stop()
		for _, key := range []string{"a", "b"} {
			if got := w.begun(key, start); len(got) != 6 && len(got) != 7 {
				t.Fatalf("%s began at %v", key, got)
			}
		}
	})
}

func TestRemovedSourceDeliversNothingMore(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		w.configure("a")
		w.gateway.onChunk = unavailable
		w.run()
		pass(30 * time.Second)
		w.gateway.configure(payload.ScopeTenant, nil)
		pass(2 * time.Minute)
		w.wantNoSpool()
		w.gateway.misbehave(nil, nil)
		pass(time.Hour)
		w.stop()
		if got := w.gateway.got(); len(got) != 0 {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestMalformedConfigKeepsTheLastGoodOne(t *testing.T) {
	twice := `{"scope":"tenant","sources":{"a":{"type":"fake","integration_source_id":"x"},"b":{"type":"fake","integration_source_id":"x"}}}`
	for name, config := range map[string]string{"no JSON": `{"sources":`, "wrong type": `{"sources":[]}`, "one id twice": twice} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				w.adapters["a"], w.adapters["b"] = devices(1), devices(1)
				sources := paced(w, "30s", "a")
				start := time.Now()
				w.run()
				pass(40 * time.Second)
				w.gateway.configureRaw([]byte(config))
				pass(4 * time.Minute)
				if got := len(w.begun("a", start)); got != 10 {
					t.Errorf("the source ran %d times", got)
				}
				if w.count(syncrun.ConfigRefused, "") == 0 {
					t.Error("nobody was told of the malformed configuration")
				}
				sources["b"] = payload.Source{Type: "fake", Endpoint: "b"}
				w.gateway.configure(payload.ScopeTenant, sources)
				pass(time.Minute)
				w.stop()
				if len(w.gateway.gotFrom("b")) != 1 {
					t.Error("the next good configuration was not applied")
				}
			})
		})
	}
}

// TestMalformedSourceFailsAlone: it is told of as one that fails, what was read of it
// before is still delivered, and it runs again once it is mended.
func TestMalformedSourceFailsAlone(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"], w.adapters["b"] = devices(1), devices(2)
		sources := paced(w, "30s", "a", "b")
		w.gateway.onChunk = func(ctx context.Context, source string, chunk *monitoring.GatewayStatusChunk) error {
			if source == "id-b" {
				return unavailable(ctx, source, chunk)
			}
			return nil
		}
		w.run()
		pass(10 * time.Second)
		w.gateway.configureRaw([]byte(`{"scope":"tenant","sources":{
			"a":{"type":"fake","endpoint":"a","poll_interval":"30s","integration_source_id":"id-a"},
			"b":{"type":"fake","endpoint":"b","poll_interval":"30s","integration_source_id":"id-b","credentials":{"secret_key":["` + canary + `"]}}}}`))
		pass(5 * time.Minute)
		if n := w.count(syncrun.ConfigRefused, ""); n != 0 {
			t.Errorf("the whole configuration was refused %d times", n)
		}
		w.gateway.misbehave(nil, nil)
		pass(5 * time.Minute)
		if told := w.gateway.told("b"); !slices.ContainsFunc(told, func(r payload.RunReport) bool {
			return r.Result == payload.ResultFailed && r.Error == `read configuration of source b: "credentials" has the wrong type`
		}) {
			t.Errorf("of the malformed source was told %+v", told)
		}
		if a, b := len(w.gateway.gotFrom("a")), len(w.gateway.gotFrom("b")); a < 15 || b == 0 {
			t.Errorf("%d runs of the other source and %d of what was read before were delivered", a, b)
		}
		before := len(w.gateway.gotFrom("b"))
		w.gateway.configure(payload.ScopeTenant, sources)
		pass(5 * time.Minute)
		w.stop()
		if n := len(w.gateway.gotFrom("b")); n == before {
			t.Error("the source does not run once it is mended")
		}
	})
}

func TestRuntimeWaitsForAConfigItCanRead(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		w.gateway.configureRaw([]byte(`nonsense`))
		w.run()
		pass(3 * time.Minute)
		if len(w.gateway.heartbeats()) < 5 {
			t.Error("the service says nothing while it waits")
		}
		w.configure("a")
		pass(2 * time.Minute)
		w.stop()
		if len(w.gateway.gotFrom("a")) != 1 {
			t.Error("the source was not read")
		}
	})
}

func TestLargeConfigIsTaken(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		sources := w.configure("a")
		a := sources["a"]
		a.Settings = map[string]string{"long": strings.Repeat("0123456789abcdef", 20<<16)}
		w.gateway.configure(payload.ScopeTenant, map[string]payload.Source{"a": a})
		w.run()
		pass(time.Minute)
		w.stop()
		if len(w.gateway.gotFrom("a")) != 1 {
			t.Fatal("a configuration of 20 MB was not taken")
		}
	})
}

func TestManySourcesStartSpreadOut(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["any"] = devices(1)
		sources := map[string]payload.Source{}
		for i := range 500 {
			sources[fmt.Sprintf("s%d", i)] = payload.Source{Type: "fake", Endpoint: "any", TenantID: fmt.Sprint(i / 3)}
		}
		w.gateway.configure(payload.ScopePlatform, sources)
		start := time.Now()
		w.run()
		pass(10 * time.Second)
		w.stop()
		if got := len(w.gateway.got()); got != 500 {
			t.Fatalf("%d sources delivered", got)
		}
		late := 0
		for key := range sources {
			if began := w.begun(key, start); len(began) != 1 || began[0] > 5*time.Second {
				t.Fatalf("%s began at %v", key, began)
			} else if began[0] > time.Second {
				late++
			}
		}
		if late < 250 {
			t.Fatalf("%d of 500 sources began after the first second", late)
		}
	})
}
