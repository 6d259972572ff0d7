package syncrun_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

func TestR13_HelloAndGetConfigComeBeforeAnythingElse(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(3)
		w.configure("a")
		w.run()
		pass(10 * time.Second)
		w.stop()
		calls := w.gateway.calls
		if len(calls) < 4 || calls[0] != "Hello" || calls[1] != "GetConfig" {
			t.Fatalf("calls %v", calls)
		}
	})
}

func TestUpdatesArriveAsTheRuntimeKnowsThem(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(3)
		w.gateway.configure(payload.ScopePlatform, map[string]payload.Source{
			"acme/a": {Type: "fake", Endpoint: "a", Partition: "lab", TenantID: "t-1", TenantSlug: "acme", IntegrationSourceID: "id-a"},
		})
		start := time.Now()
		w.run()
		pass(time.Second)
		w.stop()
		got := w.gateway.got()
		if len(got) != 1 || len(got[0].updates) != 3 {
			t.Fatalf("got %+v", got)
		}
		d := got[0]
		if d.tenantID != "t-1" || d.source() != "id-a" || d.mode() != payload.ModeSnapshot || d.head(payload.HeaderTotalDevices) != "3" {
			t.Fatalf("stream for %q with %v", d.tenantID, d.header)
		}
		if at, err := time.Parse(time.RFC3339Nano, d.head(payload.HeaderRunStarted)); err != nil || !at.Equal(start) {
			t.Fatalf("run started %v, %v", at, err)
		}
		for i, u := range d.updates {
			m := u.SyncMeta
			if u.Source != "fake" || u.AgentID != "hq-sync" || u.Partition != "lab" || u.Metadata[payload.MetaIntegrationSourceID] != "id-a" ||
				u.Metadata[payload.MetaIntegrationID] != fmt.Sprint(i) {
				t.Fatalf("update %+v", u)
			}
			if m == nil || m.SyncRunID != d.run() || m.SyncServiceID != "service-1" || m.Mode != payload.ModeSnapshot || !m.RunStarted.Equal(start) {
				t.Fatalf("sync_meta %+v", m)
			}
		}
		told := w.gateway.told("a")
		if len(told) != 1 || told[0].RunID != d.run() || told[0].Result != payload.ResultSuccess || told[0].Devices != 3 || told[0].TenantID != "t-1" {
			t.Fatalf("told %+v", told)
		}
	})
}

func TestTenantsOwnServiceNamesNoTenant(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		w.configure("a")
		w.run()
		pass(time.Second)
		w.stop()
		if got := w.gateway.got(); len(got) != 1 || got[0].tenantID != "" {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestEmptySnapshotIsOneChunk(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(0)
		w.configure("a")
		w.run()
		pass(time.Second)
		w.stop()
		got := w.gateway.got()
		if len(got) != 1 || len(got[0].chunks) != 1 || string(got[0].chunks[0]) != "[]" || got[0].mode() != payload.ModeSnapshot ||
			got[0].head(payload.HeaderTotalDevices) != "0" {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestManyChunksArriveInOrder(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(large)
		w.chunked()
		w.configure("a")
		w.run()
		pass(time.Minute)
		w.stop()
		got := w.gateway.got()
		if len(got) != 1 || len(got[0].chunks) < 4 || len(got[0].updates) != large {
			t.Fatalf("%d streams", len(got))
		}
		for i, u := range got[0].updates {
			if u.Metadata[payload.MetaIntegrationID] != fmt.Sprint(i) {
				t.Fatalf("update %d is %s", i, u.Metadata[payload.MetaIntegrationID])
			}
		}
	})
}

func TestInvalidDevicesAreToldAndLeaveAPartialRun(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			for _, u := range []payload.Update{device(1), {Hostname: "nothing to know it by"}, device(2), {IP: "10.0.0.1", Hostname: "bad\x00"}} {
				if err := emit(u); err != nil {
					return source.Discovery{}, err
				}
			}
			return source.Discovery{Devices: 4, Total: 4, Mode: payload.ModeSnapshot}, nil
		}
		w.configure("a")
		w.run()
		pass(2 * time.Second)
		w.stop()
		got, told := w.gateway.got(), w.gateway.told("a")
		if len(got) != 1 || len(got[0].updates) != 2 || got[0].mode() != payload.ModeIncremental || got[0].updates[0].SyncMeta.Mode != payload.ModeIncremental {
			t.Fatalf("got %+v", got)
		}
		if len(told) != 1 || told[0].Result != payload.ResultPartial || told[0].Devices != 2 ||
			told[0].Error == "" || told[0].Mode != payload.ModeIncremental {
			t.Fatalf("told %+v", told)
		}
	})
}

func TestIncompleteDiscoveryIsNoSnapshot(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			return source.Discovery{Devices: 1, Total: 2, Mode: payload.ModeSnapshot, Partial: "pages drifted"}, emit(device(1))
		}
		w.configure("a")
		w.run()
		pass(2 * time.Second)
		w.stop()
		if got := w.gateway.got(); len(got) != 1 || got[0].mode() != payload.ModeIncremental {
			t.Fatalf("got %+v", got)
		}
		if told := w.gateway.told("a"); len(told) != 1 || told[0].Result != payload.ResultPartial || told[0].Error != "pages drifted" {
			t.Fatalf("told %+v", told)
		}
	})
}

func TestR20_SlowFailingAndBrokenSourcesDelayNobody(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["hung"] = func(ctx context.Context, _ func(payload.Update) error) (source.Discovery, error) {
			<-ctx.Done()
			return source.Discovery{}, ctx.Err()
		}
		w.adapters["failing"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			return source.Discovery{}, fmt.Errorf("read page 2: %w", context.DeadlineExceeded)
		}
		w.adapters["broken"] = func(context.Context, func(payload.Update) error) (source.Discovery, error) { panic("a bug") }
		w.adapters["good"] = devices(10)
		sources := w.configure("hung", "failing", "broken", "good", "wrong")
		for key, s := range sources {
			// One tenant's, so that fairness between tenants does not help.
			s.TenantID, s.PollInterval = "t-1", "10m"
			sources[key] = s
		}
		sources["odd"] = payload.Source{Type: "unheard-of", IntegrationSourceID: "id-odd"}
		sources["timeless"] = payload.Source{Type: "fake", Endpoint: "good", PollInterval: "soon", IntegrationSourceID: "id-timeless"}
		w.gateway.configure(payload.ScopeTenant, sources)
		start := time.Now()
		w.run()
		pass(3*time.Hour + time.Minute)
		w.stop()
		good := w.gateway.gotFrom("good")
		if len(good) != 19 && len(good) != 18 {
			t.Fatalf("the good source was read %d times in 3 h", len(good))
		}
		for i, d := range good {
			latest := start.Add(time.Duration(i) * (10*time.Minute + 30*time.Second)).Add(time.Second)
			if d.at.After(latest) {
				t.Fatalf("run %d of the good source came at %v", i, d.at.Sub(start))
			}
		}
		for _, key := range []string{"failing", "broken", "wrong", "odd", "timeless"} {
			if told := w.gateway.told(key); len(told) == 0 || told[0].Result != payload.ResultFailed || told[0].Error == "" {
				t.Errorf("%s: told %+v", key, told)
			}
		}
		hung := w.gateway.told("hung")
		if len(hung) != 2 && len(hung) != 3 || hung[0].Result != payload.ResultTimeout {
			t.Errorf("hung: told %+v", hung)
		}
	})
}

func TestFailedRunDeliversNothing(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			if err := emit(device(1)); err != nil {
				return source.Discovery{}, err
			}
			return source.Discovery{Devices: 1}, source.Errorf(source.ReasonServer, "status 500")
		}
		w.configure("a")
		w.run()
		pass(2 * time.Second)
		w.stop()
		if got := w.gateway.got(); len(got) != 0 {
			t.Fatalf("got %+v", got)
		}
		if told := w.gateway.told("a"); len(told) != 1 || told[0].Result != payload.ResultFailed || told[0].Devices != 1 {
			t.Fatalf("told %+v", told)
		}
	})
}

func TestFailedSourceIsReadAgainSoonAndThenLessOften(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = func(context.Context, func(payload.Update) error) (source.Discovery, error) {
			return source.Discovery{}, source.Errorf(source.ReasonConnect, "connection refused")
		}
		w.configure("a")
		w.run()
		pass(24 * time.Hour)
		w.stop()
		if n := len(w.ended("a")); n < 10 || n > 20 {
			t.Fatalf("%d runs in a day", n)
		}
	})
}

func TestEventsTellOfEveryStep(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1000)
		w.configure("a")
		w.run()
		pass(time.Second)
		w.stop()
		var kinds []syncrun.Kind
		for _, e := range w.events {
			if len(kinds) == 0 || kinds[len(kinds)-1] != e.Kind {
				kinds = append(kinds, e.Kind)
			}
		}
		want := []syncrun.Kind{syncrun.Connected, syncrun.Configured, syncrun.RunStarted, syncrun.Discovered, syncrun.Spooled, syncrun.Sent, syncrun.RunEnded}
		if fmt.Sprint(kinds) != fmt.Sprint(want) {
			t.Fatalf("kinds %v, want %v", kinds, want)
		}
		last := w.events[len(w.events)-1]
		if last.Devices != 1000 || last.Acknowledged != 1000 || last.Result != payload.ResultSuccess || last.Tenant != "a" || last.SourceID != "id-a" {
			t.Fatalf("last event %+v", last)
		}
	})
}
