package syncrun_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

func TestHeartbeatsKeepTheGatewaysPace(t *testing.T) {
	for name, seconds := range map[string]int32{"said": 7, "unsaid": 0} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				w.gateway.hello.HeartbeatIntervalSec = seconds
				w.run()
				pass(10*time.Minute + time.Second)
				w.stop()
				every := max(time.Duration(seconds)*time.Second, 0)
				if every == 0 {
					every = 30 * time.Second
				}
				beats := w.gateway.heartbeats()
				if want := int(10*time.Minute/every) + 1; len(beats) != want {
					t.Fatalf("%d heartbeats in ten minutes, want %d", len(beats), want)
				}
				s := w.gateway.pushes[0].GetServices()
				if len(s) != 1 || s[0].GetServiceName() != "sync" || s[0].GetServiceType() != "sync" || s[0].GetSource() != "status" || !s[0].GetAvailable() {
					t.Fatalf("heartbeat %+v", s)
				}
			})
		})
	}
}

func TestConfigMayChangeThePace(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.gateway.hello.HeartbeatIntervalSec = 7
		w.gateway.settings.HeartbeatIntervalSec = 60
		w.run()
		pass(10*time.Minute + time.Second)
		w.stop()
		if n := len(w.gateway.heartbeats()); n != 11 {
			t.Fatalf("%d heartbeats in ten minutes", n)
		}
	})
}

func TestHeartbeatFollowsRunsAtOnceAndTogether(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		var names []string
		for i := range 30 {
			names = append(names, fmt.Sprint("s", i))
			w.adapters[names[i]] = devices(1)
		}
		w.configure(names...)
		w.run()
		pass(8 * time.Second)
		w.stop()
		for _, name := range names {
			if told := w.gateway.told(name); len(told) != 1 {
				t.Errorf("%s: told %+v", name, told)
			}
		}
		beats := w.gateway.heartbeats()
		if len(beats) > 8 {
			t.Fatalf("%d heartbeats for 30 runs", len(beats))
		}
		for i := range len(beats) - 1 {
			if gap := beats[i+1].Sub(beats[i]); gap < time.Second {
				t.Fatalf("heartbeats %v apart", gap)
			}
		}
	})
}

func TestReportsAreRepeatedUntilAnswered(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		w.configure("a")
		carried := 0
		w.gateway.onPush = func(r *monitoring.GatewayStatusRequest) error {
			if !strings.Contains(string(r.GetServices()[0].GetMessage()), "id-a") {
				return nil
			}
			if carried++; carried < 4 {
				return status.Error(codes.Unavailable, "lost on the way")
			}
			return nil
		}
		w.run()
		pass(5 * time.Minute)
		w.stop()
		if carried != 4 || len(w.gateway.told("a")) != 1 {
			t.Fatalf("carried %d times, told %+v", carried, w.gateway.told("a"))
		}
		if w.count(syncrun.Disconnected, "") != 3 {
			t.Error("unanswered heartbeats were not told of")
		}
	})
}

func TestReportsAreSplitBelowTheCut(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.options.StreamsPerTenant, w.options.Streams = 64, 64
		sources := map[string]payload.Source{}
		for i := range 2000 {
			sources[fmt.Sprintf("s%d", i)] = payload.Source{Type: "unheard-of", Endpoint: strings.Repeat("<\x01>", 20), TenantID: fmt.Sprint(i)}
		}
		long := payload.Source{Type: strings.Repeat("\x02<ü>", 3000)}
		sources["long"] = long
		w.gateway.configure(payload.ScopePlatform, sources)
		w.run()
		pass(20 * time.Second)
		w.stop()
		for key := range sources {
			told := w.gateway.told(key)
			if len(told) != 1 || told[0].Result != payload.ResultFailed || told[0].Error == "" {
				t.Fatalf("%s: told %+v", key, told)
			}
		}
		most := 0
		for _, push := range w.gateway.pushes {
			most = max(most, len(push.GetServices()))
			if len(push.GetServices()) > payload.MaxServices {
				t.Fatalf("%d statuses in one request", len(push.GetServices()))
			}
			for _, s := range push.GetServices() {
				if len(s.GetMessage()) >= payload.MaxStatusMessage {
					t.Fatalf("status of %d bytes", len(s.GetMessage()))
				}
			}
		}
		if most < 2 {
			t.Fatal("no heartbeat had to be split")
		}
	})
}

func TestReportsTheGatewayRefusesAreGivenUp(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(1)
		w.configure("a")
		refusals := 0
		w.gateway.onPush = func(r *monitoring.GatewayStatusRequest) error {
			if strings.Contains(string(r.GetServices()[0].GetMessage()), "id-a") {
				refusals++
				return status.Error(codes.InvalidArgument, "no such report")
			}
			return nil
		}
		w.run()
		pass(5 * time.Minute)
		w.stop()
		if refusals != 1 || len(w.gateway.heartbeats()) < 8 {
			t.Fatalf("%d refusals, %d heartbeats", refusals, len(w.gateway.heartbeats()))
		}
	})
}

// TestReportsOutliveTheProcess: a run that failed while the gateway was away is
// told of by the next process, once, also when the last line was torn.
func TestReportsOutliveTheProcess(t *testing.T) {
	for name, torn := range map[string]string{"whole": "", "torn": "01234567 {\"add\":{\"run_"} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				works := false
				w.adapters["a"] = func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
					if works {
						return devices(3)(ctx, emit)
					}
					return source.Discovery{}, source.Errorf(source.ReasonServer, "status 500")
				}
				paced(w, "1h", "a")
				w.gateway.onPush = func(*monitoring.GatewayStatusRequest) error { return status.Error(codes.Unavailable, "away") }
				w.run()
				pass(10 * time.Second)
				path := filepath.Join(w.options.DataDir, "reports")
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, append(content, torn...), 0o600); err != nil {
					t.Fatal(err)
				}
				works = true
				w.restart()
				pass(10 * time.Second)
				w.gateway.misbehave(nil, nil)
				pass(2 * time.Minute)
				w.restart()
				pass(2 * time.Minute)
				w.stop()
				told := w.gateway.told("a")
				if len(told) != 3 || told[0].Result != payload.ResultFailed || !strings.Contains(told[0].Error, "500") ||
					told[1].Result != payload.ResultSuccess || told[2].Result != payload.ResultSuccess {
					t.Fatalf("told %+v", told)
				}
				if n := len(w.gateway.reports); n != 3 {
					t.Errorf("%d reports for three runs", n)
				}
			})
		})
	}
}

// TestReportsKeepTheirFileShort whatever number of runs goes through.
func TestReportsKeepTheirFileShort(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = func(context.Context, func(payload.Update) error) (source.Discovery, error) {
			return source.Discovery{}, source.Errorf(source.ReasonServer, "%s", strings.Repeat("status 500 ", 20))
		}
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprint("s", i))
			w.adapters[names[i]] = w.adapters["a"]
		}
		w.options.Logger = nil
		paced(w, "10s", names...)
		w.run()
		longest := int64(0)
		for range 20 {
			pass(5 * time.Minute)
			if info, err := os.Stat(filepath.Join(w.options.DataDir, "reports")); err == nil {
				longest = max(longest, info.Size())
			}
		}
		w.stop()
		if len(w.gateway.reports) < 1200 || longest == 0 || longest > 512<<10 {
			t.Errorf("%d reports in a file of up to %d bytes", len(w.gateway.reports), longest)
		}
	})
}

func TestHeartbeatTellsWhatWaits(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = devices(100)
		w.configure("a")
		w.gateway.onChunk = unavailable
		w.run()
		pass(time.Minute)
		w.stop()
		last := w.gateway.pushes[len(w.gateway.pushes)-1]
		health, err := payload.DecodeHealth(last.GetServices()[0].GetMessage(), time.Now())
		if err != nil || health.OutboxRuns != 1 || health.OutboxBytes == 0 {
			t.Fatalf("health %+v, %v", health, err)
		}
	})
}
