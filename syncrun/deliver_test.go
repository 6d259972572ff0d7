package syncrun_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
)

func unavailable(context.Context, string, *monitoring.GatewayStatusChunk) error {
	return status.Error(codes.Unavailable, "store is away")
}

// refuse answers every stream of a code.
func refuse(code codes.Code) func(context.Context, string, *monitoring.GatewayStatusChunk) error {
	return func(context.Context, string, *monitoring.GatewayStatusChunk) error {
		return status.Error(code, "not this")
	}
}

func TestGatewayKilledInMidStream(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(large)
		w.chunked()
		w.configure("a")
		killed := false
		w.gateway.onChunk = func(_ context.Context, _ string, c *monitoring.GatewayStatusChunk) error {
			if c.GetChunkIndex() == 2 && !killed {
				killed = true
				go w.gateway.kill()
				return status.Error(codes.Internal, "going down")
			}
			return nil
		}
		w.run()
		pass(5 * time.Minute)
		if len(w.gateway.got()) != 0 {
			t.Fatal("something was acknowledged by a dead gateway")
		}
		w.gateway.start()
		pass(2 * time.Minute)
		w.stop()
		got := w.gateway.got()
		if len(got) != 1 || len(got[0].updates) != large {
			t.Fatalf("got %d streams", len(got))
		}
		if told := w.gateway.told("a"); len(told) != 1 || told[0].Result != payload.ResultSuccess || told[0].Devices != large {
			t.Fatalf("told %+v", told)
		}
		if hellos := strings.Count(fmt.Sprint(w.gateway.calls), "Hello"); hellos < 2 {
			t.Fatal("no Hello to the gateway that came back")
		}
	})
}

func TestUnacknowledgedRunIsSentAgainWithBackoff(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(5)
		w.configure("a")
		w.gateway.onChunk = unavailable
		w.run()
		pass(30 * time.Minute)
		attempts := strings.Count(fmt.Sprint(w.gateway.calls), "StreamStatus")
		if attempts < 20 || attempts > 80 {
			t.Errorf("%d attempts in half an hour", attempts)
		}
		if len(w.ended("a")) != 0 {
			t.Error("the run ended undelivered")
		}
		w.gateway.misbehave(nil, nil)
		pass(2 * time.Minute)
		w.stop()
		if got := w.gateway.got(); len(got) != 1 || len(got[0].updates) != 5 {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestNewerSnapshotTakesThePlaceOfAnUndeliveredOne(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(5)
		paced(w, "30s", "a")
		w.gateway.onChunk = unavailable
		w.run()
		pass(10*time.Minute + 15*time.Second)
		w.gateway.misbehave(nil, nil)
		pass(14 * time.Second)
		got := w.gateway.got()
		w.stop()
		if len(got) > 1 {
			t.Fatalf("%d old runs arrived", len(got))
		}
		for _, told := range w.gateway.told("a")[:5] {
			if told.Result != payload.ResultSuperseded || !strings.Contains(told.Error, "newer run") {
				t.Fatalf("told %+v", told)
			}
		}
	})
}

func TestPermanentRefusalEndsTheRun(t *testing.T) {
	for _, code := range []codes.Code{codes.PermissionDenied, codes.InvalidArgument, codes.ResourceExhausted} {
		t.Run(code.String(), func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				w.adapters["a"] = devices(5)
				w.configure("a")
				w.gateway.onChunk = refuse(code)
				w.run()
				pass(time.Hour)
				w.stop()
				if n := strings.Count(fmt.Sprint(w.gateway.calls), "StreamStatus"); n != 1 {
					t.Errorf("%d attempts", n)
				}
				told := w.gateway.told("a")
				if len(told) != 1 || told[0].Result != payload.ResultFailed || !strings.Contains(told[0].Error, "not this ("+code.String()+")") {
					t.Fatalf("told %+v", told)
				}
			})
		})
	}
}

func TestRefusedChunkIsSetAsideAndTheOthersArrive(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(large)
		w.chunked()
		w.configure("a")
		w.gateway.onChunk = func(_ context.Context, _ string, c *monitoring.GatewayStatusChunk) error {
			if strings.Contains(string(c.GetServices()[0].GetMessage()), `"hostname":"host-999"`) {
				return status.Error(codes.InvalidArgument, "update 7: no")
			}
			return nil
		}
		w.run()
		pass(time.Minute)
		w.stop()
		updates := 0
		for _, d := range w.gateway.got() {
			if d.mode() != payload.ModeIncremental || len(d.chunks) != 1 || d.head(payload.HeaderTotalDevices) != fmt.Sprint(len(d.updates)) {
				t.Fatalf("stream with %v", d.header)
			}
			updates += len(d.updates)
		}
		told := w.gateway.told("a")
		if updates < large/2 || updates == large || len(told) != 1 || told[0].Result != payload.ResultPartial || told[0].Devices != int64(updates) ||
			!strings.Contains(told[0].Error, "update 7: no") {
			t.Fatalf("%d updates, told %+v", updates, told)
		}
	})
}

func TestGatewaysPauseIsKept(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(5)
		w.configure("a")
		var at []time.Time
		w.gateway.onChunk = func(context.Context, string, *monitoring.GatewayStatusChunk) error {
			at = append(at, time.Now())
			if len(at) > 1 {
				return nil
			}
			s, err := status.New(codes.ResourceExhausted, "disk full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(17 * time.Minute)})
			if err != nil {
				return err
			}
			return s.Err()
		}
		w.run()
		pass(20 * time.Minute)
		w.stop()
		if len(at) != 2 || at[1].Sub(at[0]) != 17*time.Minute {
			t.Fatalf("attempts at %v", at)
		}
		if ended := w.ended("a"); len(ended) != 1 || ended[0] != payload.ResultSuccess {
			t.Fatalf("ended %v", ended)
		}
	})
}

// A gateway that asked to be tried again without a usable pause was tried at
// once, over and over, or taken to have refused the run for good.
func TestPauseThatSaysNothingIsOurOwn(t *testing.T) {
	for name, pause := range map[string]*durationpb.Duration{
		"none": nil, "zero": durationpb.New(0), "negative": durationpb.New(-5 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				w.adapters["a"] = devices(5)
				w.configure("a")
				var at []time.Time
				w.gateway.onChunk = func(context.Context, string, *monitoring.GatewayStatusChunk) error {
					if at = append(at, time.Now()); len(at) > 3 {
						return nil
					}
					s, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: pause})
					if err != nil {
						return err
					}
					return s.Err()
				}
				w.run()
				pass(10 * time.Minute)
				w.stop()
				if len(at) != 4 || at[3].Sub(at[0]) < time.Second {
					t.Fatalf("attempts at %v", at)
				}
				if ended := w.ended("a"); len(ended) != 1 || ended[0] != payload.ResultSuccess {
					t.Fatalf("ended %v", ended)
				}
			})
		})
	}
}

func TestStalledStreamIsCutAndDelaysNoOtherTenant(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		names := []string{"s1", "s2", "s3", "quick"}
		for _, name := range names {
			w.adapters[name] = devices(5)
		}
		sources := w.configure(names...)
		for key, s := range sources {
			if key != "quick" {
				s.TenantID = "slow"
			}
			sources[key] = s
		}
		w.gateway.configure(payload.ScopePlatform, sources)
		w.gateway.onChunk = func(ctx context.Context, source string, _ *monitoring.GatewayStatusChunk) error {
			if source != "id-quick" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		start := time.Now()
		w.run()
		pass(20 * time.Minute)
		w.stop()
		if got := w.gateway.gotFrom("quick"); len(got) != 1 || got[0].at.Sub(start) > time.Second {
			t.Fatalf("got %+v", got)
		}
		if w.count(syncrun.Retrying, "s1") < 2 {
			t.Error("a stream that stalls is not cut")
		}
	})
}

func TestSlowGatewayHoldsNoDiscoveryBack(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprint("s", i))
			w.adapters[names[i]] = devices(5)
		}
		w.configure(names...)
		w.gateway.onChunk = func(ctx context.Context, _ string, _ *monitoring.GatewayStatusChunk) error {
			<-ctx.Done()
			return ctx.Err()
		}
		w.run()
		pass(6 * time.Second)
		for _, name := range names {
			if w.count(syncrun.Spooled, name) != 1 {
				t.Errorf("%s was not read while the gateway hung", name)
			}
		}
		w.stop()
	})
}

func TestGatewayAwayForThreeDays(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"], w.adapters["b"] = devices(50), devices(70)
		w.options.Logger = nil
		paced(w, "30m", "a", "b")
		w.options.OutboxMax = 1 << 20
		w.gateway.hello.HeartbeatIntervalSec = 600
		w.run()
		pass(10 * time.Second)
		w.gateway.kill()
		pass(72 * time.Hour)
		if size := diskUse(t, w); size == 0 || size > w.options.OutboxMax {
			t.Errorf("the outbox takes %d bytes", size)
		}
		w.gateway.start()
		pass(12 * time.Minute)
		w.stop()
		for key, n := range map[string]int{"a": 50, "b": 70} {
			got := w.gateway.gotFrom(key)
			if len(got) < 2 || len(got) > 4 || len(got[1].updates) != n {
				t.Fatalf("%s: %d streams", key, len(got))
			}
			if told := w.gateway.told(key); len(told) > 12 || told[len(told)-1].Result != payload.ResultSuccess {
				t.Fatalf("%s: told %d reports", key, len(told))
			}
		}
	})
}
