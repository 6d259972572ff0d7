package syncrun_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/onboarding"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// once runs the world's sources once and returns how that ended and how long it took.
func (w *world) once() (time.Duration, error) {
	w.options.Once = true
	start := time.Now()
	w.run()
	err := <-w.done
	w.cancel()
	w.gateway.kill()
	w.wantNoSpool()
	return time.Since(start), err
}

func TestOnceReadsEachSourceOnce(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"], w.adapters["b"] = devices(10), devices(0)
		paced(w, "1s", "a", "b")
		took, err := w.once()
		if err != nil || took > 5*time.Second {
			t.Fatalf("%v after %v", err, took)
		}
		if len(w.gateway.gotFrom("a")) != 1 || len(w.gateway.gotFrom("b")) != 1 {
			t.Fatalf("got %+v", w.gateway.got())
		}
		if len(w.gateway.told("a")) != 1 || len(w.gateway.told("b")) != 1 {
			t.Fatal("the runs were not told of before the end")
		}
	})
}

func TestOnceWithoutSourcesEndsWell(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		if took, err := w.once(); err != nil || took > time.Second {
			t.Fatalf("%v after %v", err, took)
		}
	})
}

func TestOnceNamesWhatFailed(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["good"] = devices(1)
		w.adapters["bad"] = func(context.Context, func(payload.Update) error) (source.Discovery, error) {
			return source.Discovery{}, source.Errorf(source.ReasonToken, "status 401")
		}
		w.adapters["partial"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			return source.Discovery{Partial: "pages drifted"}, emit(device(1))
		}
		w.configure("good", "bad", "partial")
		_, err := w.once()
		var failed *syncrun.SourcesError
		if !errors.As(err, &failed) || failed.Total != 3 || len(failed.Failed) != 2 {
			t.Fatalf("got %v", err)
		}
		if failed.Failed[0].Source != "bad" || failed.Failed[0].Result != payload.ResultFailed || failed.Failed[1].Result != payload.ResultPartial {
			t.Fatalf("failed %+v", failed.Failed)
		}
		if len(w.gateway.told("bad")) != 1 || strings.Contains(err.Error(), "good") {
			t.Fatalf("error %q", err)
		}
	})
}

func TestOnceGivesUpOnAGatewayThatTakesNothing(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		w.configure("a")
		w.gateway.onChunk = unavailable
		took, err := w.once()
		if err == nil || !strings.Contains(err.Error(), "store is away") || took < 2*time.Minute || took > 3*time.Minute {
			t.Fatalf("%v after %v", err, took)
		}
	})
}

func TestOnceTellsWhyTheGatewayIsNoGood(t *testing.T) {
	tests := map[string]struct {
		spoil func(*world)
		code  codes.Code
		most  time.Duration
	}{
		"away": {func(w *world) { w.gateway.kill() }, codes.Unavailable, 3 * time.Minute},
		"refuses": {func(w *world) {
			w.gateway.onHello = func() error { return status.Error(codes.PermissionDenied, "revoked") }
		}, codes.PermissionDenied, time.Second},
		"rejects": {func(w *world) { w.gateway.hello.Accepted = false }, codes.PermissionDenied, time.Second},
		"recovers": {func(w *world) {
			tries := 0
			w.gateway.onHello = func() error {
				if tries++; tries < 3 {
					return status.Error(codes.Unavailable, "starting")
				}
				return nil
			}
		}, codes.OK, time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				test.spoil(w)
				took, err := w.once()
				if status.Code(err) != test.code || took > test.most {
					t.Fatalf("%v after %v", err, took)
				}
			})
		})
	}
}

// A gateway that says not_modified to a service that has no configuration left it
// waiting for ever.
func TestOnceEndsWithoutAConfiguration(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.gateway.settings.NotModified = true
		if took, err := w.once(); err == nil || !strings.Contains(err.Error(), "not changed") || took > time.Minute {
			t.Fatalf("%v after %v", err, took)
		}
	})
}

func TestDaemonWaitsForItsGateway(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		w.configure("a")
		w.gateway.kill()
		w.run()
		pass(time.Hour)
		w.gateway.start()
		pass(2 * time.Minute)
		w.stop()
		if len(w.gateway.gotFrom("a")) != 1 {
			t.Fatal("nothing was delivered")
		}
	})
}

func TestShutdownBeforeTheGatewayAnswersIsQuick(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.gateway.kill()
		w.run()
		pass(time.Minute)
		start := time.Now()
		w.stop()
		if took := time.Since(start); took > time.Second {
			t.Fatalf("took %v", took)
		}
	})
}

func TestShutdownFinishesStreamsInFlight(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(large)
		w.chunked()
		w.configure("a")
		w.gateway.onChunk = func(context.Context, string, *monitoring.GatewayStatusChunk) error {
			time.Sleep(700 * time.Millisecond)
			return nil
		}
		w.run()
		pass(1500 * time.Millisecond)
		start := time.Now()
		w.stop()
		if took := time.Since(start); took > 9*time.Second {
			t.Errorf("took %v", took)
		}
		if got := w.gateway.got(); len(got) != 1 || len(got[0].updates) != large {
			t.Fatalf("%d streams arrived", len(got))
		}
		if told := w.gateway.told("a"); len(told) != 1 || told[0].Result != payload.ResultSuccess {
			t.Fatalf("told %+v", told)
		}
	})
}

func TestShutdownCutsStreamsThatHang(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(5)
		w.adapters["hung"] = func(ctx context.Context, _ func(payload.Update) error) (source.Discovery, error) {
			<-ctx.Done()
			return source.Discovery{}, ctx.Err()
		}
		w.configure("a", "hung")
		w.gateway.onChunk = func(ctx context.Context, _ string, _ *monitoring.GatewayStatusChunk) error {
			<-ctx.Done()
			return ctx.Err()
		}
		w.run()
		pass(time.Second)
		start := time.Now()
		w.stop()
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("took %v", took)
		}
		if len(w.ended("a"))+len(w.ended("hung")) != 0 {
			t.Error("runs that were cut count as ended")
		}
	})
}

func TestNewNamesWhatTheConfigLacks(t *testing.T) {
	for _, config := range []onboarding.MinimalConfig{
		{GatewayAddr: "gw:1"},
		{AgentID: "a"},
		{AgentID: "a", GatewayAddr: "gw:1"},
	} {
		if _, err := syncrun.New(syncrun.Options{Config: config}); err == nil {
			t.Errorf("config %+v is taken", config)
		}
	}
}

func TestSecondRuntimeOnOneDataDirIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newWorld(t)
		first.run()
		pass(time.Second)
		second := newWorld(t)
		second.options.DataDir = first.options.DataDir
		second.run()
		if err := <-second.done; err == nil || !strings.Contains(err.Error(), "another process uses it") {
			t.Errorf("got %v", err)
		}
		second.cancel()
		second.gateway.kill()
		first.stop()
	})
}
