package syncrun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

func TestR16_PushedConfigurationIsAppliedAtOnceAndAcknowledged(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.adapters["a"], w.adapters["b"] = devices(1), devices(2)
		w.configure("a")
		w.run()
		pass(time.Minute)
		if hello := b.hellos[0]; hello.GetAgentId() != "hq-sync" || !strings.HasPrefix(hello.GetConfigVersion(), "v") {
			t.Errorf("introduced itself as %v", hello)
		}
		w.configure("a", "b")
		b.push(w.gateway)
		pass(time.Second)
		if got := w.gateway.gotFrom("b"); len(got) != 1 || len(got[0].updates) != 2 {
			t.Errorf("the pushed source brought %+v", got)
		}
		if n := len(w.gateway.gotFrom("a")); n != 1 {
			t.Errorf("the other source ran %d times", n)
		}
		version := fmt.Sprint("v", w.gateway.version)
		if got := b.acked(); len(got) != 1 || got[0] != version {
			t.Errorf("acknowledged %v, want %s", got, version)
		}
		b.push(w.gateway) // The same again is acknowledged and changes nothing.
		pass(time.Second)
		if got := b.acked(); len(got) != 2 || got[1] != version {
			t.Errorf("acknowledged %v", got)
		}
		w.gateway.configure(payload.ScopeTenant, nil)
		b.push(w.gateway)
		pass(12 * time.Hour)
		if n := len(w.gateway.gotFrom("b")); n != 1 {
			t.Errorf("a source that is configured no more ran %d times", n)
		}
		w.stop()
	})
}

func TestPushedConfigurationThatCannotBeReadLeavesTheLastGoodOne(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.adapters["a"] = devices(1)
		w.configure("a")
		w.run()
		pass(time.Minute)
		w.gateway.configureRaw([]byte(`{"sources":`))
		b.push(w.gateway)
		pass(13 * time.Hour)
		if got := b.acked(); len(got) != 0 {
			t.Errorf("acknowledged %v", got)
		}
		if n := len(w.gateway.gotFrom("a")); n != 3 {
			t.Errorf("the source ran %d times in 13 hours, want 3", n)
		}
		w.stop()
	})
}

func TestForeignGatewayWithoutControlStreamIsPolled(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"], w.adapters["b"] = devices(1), devices(2)
		w.configure("a")
		w.run()
		pass(10 * time.Minute)
		w.configure("a", "b")
		pass(2 * time.Minute)
		if got := w.gateway.gotFrom("b"); len(got) != 1 {
			t.Errorf("the polled source brought %+v", got)
		}
		if n := w.called("ControlStream"); n != 1 {
			t.Errorf("the gateway was asked for a control stream %d times in 12 minutes", n)
		}
		pass(10 * time.Minute)
		if n := w.called("ControlStream"); n != 2 {
			t.Errorf("the gateway was asked for a control stream %d times in 22 minutes", n)
		}
		// Another gateway may come in its place.
		b := w.switchboard()
		w.gateway.kill()
		pass(time.Minute)
		w.gateway.start()
		pass(3 * time.Minute)
		if len(b.hellos) != 1 {
			t.Errorf("the new gateway got %d streams", len(b.hellos))
		}
		w.stop()
	})
}

func (w *world) called(name string) int {
	w.gateway.mu.Lock()
	defer w.gateway.mu.Unlock()
	n := 0
	for _, call := range w.gateway.calls {
		if call == name {
			n++
		}
	}
	return n
}

func TestControlStreamIsOpenedAgainWithPauses(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.gateway.setControl(func(controlServer) error { return status.Error(codes.PermissionDenied, "suspended") })
		w.run()
		pass(30 * time.Minute)
		if n := w.called("ControlStream"); n < 20 || n > 120 {
			t.Errorf("%d attempts in 30 minutes", n)
		}
		w.gateway.setControl(b.serve)
		pass(3 * time.Minute)
		if len(b.hellos) != 1 {
			t.Fatalf("%d streams", len(b.hellos))
		}
		b.cut <- nil // as planned
		pass(2 * time.Second)
		if len(b.hellos) != 2 {
			t.Errorf("%d streams, want another right after a planned end", len(b.hellos))
		}
		w.stop()
	})
}

func TestSyncNowRunsTheSourceAndTellsOfIt(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.adapters["a"], w.adapters["b"] = slowly(1000, 5*time.Second), devices(2)
		w.configure("a", "b")
		w.run()
		pass(time.Minute)
		b.syncNow("c1", "id-a")
		pass(time.Second)
		if b.acks("c1") != 1 || len(b.results("c1")) != 0 {
			t.Fatalf("heard %v", b.messages())
		}
		pass(time.Minute)
		state, result := b.result(t, "c1")
		if !result.GetSuccess() || state.Total != 1 || state.Done != 1 || state.Failed != 0 || state.Devices != 1000 || state.Acknowledged != 1000 {
			t.Errorf("result %v, %+v", result, state)
		}
		if s := state.Sources; len(s) != 1 || s[0].SourceID != "id-a" || s[0].State != payload.SyncDone || s[0].Result != payload.ResultSuccess {
			t.Errorf("sources %+v", s)
		}
		states := map[string]bool{}
		for _, p := range b.progress(t, "c1") {
			for _, s := range p.Sources {
				states[s.State] = true
			}
		}
		if !states[payload.SyncReading] {
			t.Errorf("progress told of %v", states)
		}
		if a, b := len(w.gateway.gotFrom("a")), len(w.gateway.gotFrom("b")); a != 2 || b != 1 {
			t.Errorf("the source ran %d times, the other %d", a, b)
		}
		b.syncNow("c2") // all
		pass(time.Minute)
		if state, _ := b.result(t, "c2"); state.Total != 2 || state.Done != 2 || state.Devices != 1002 {
			t.Errorf("a sync of all is %+v", state)
		}
		pass(7 * time.Hour)
		if n := len(w.gateway.gotFrom("b")); n != 3 {
			t.Errorf("the source ran %d times, its schedule did not go on", n)
		}
		w.stop()
	})
}

// slowly finds n devices over a time.
func slowly(n int, over time.Duration) adapterFunc {
	return func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
		for i := range n {
			if i%(n/10) == 0 {
				select {
				case <-time.After(over / 10):
				case <-ctx.Done():
					return source.Discovery{}, ctx.Err()
				}
			}
			if err := emit(device(i)); err != nil {
				return source.Discovery{}, err
			}
		}
		return source.Discovery{Devices: int64(n), Total: int64(n), Mode: payload.ModeSnapshot}, nil
	}
}

// Whoever asks after mending something wants a run that began after that.
func TestSyncNowDuringARunFollowsTheNext(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		runs := 0
		w.adapters["a"] = func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			runs++
			return slowly(runs*10, 10*time.Second)(ctx, emit)
		}
		w.configure("a")
		w.run()
		pass(3 * time.Second)
		b.syncNow("c1", "id-a")
		pass(9 * time.Second)
		if len(b.results("c1")) != 0 {
			t.Fatal("the run that was under way counted")
		}
		pass(20 * time.Second)
		if state, _ := b.result(t, "c1"); state.Devices != 20 {
			t.Errorf("result %+v", state)
		}
		w.stop()
	})
}

func TestSyncNowTellsWhatWentWrong(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.adapters["good"] = devices(1)
		w.adapters["bad"] = func(context.Context, func(payload.Update) error) (source.Discovery, error) {
			return source.Discovery{}, errors.New("no\nroute")
		}
		w.adapters["slow"] = slowly(10, 30*time.Minute)
		w.configure("good", "bad", "slow")
		w.run()
		pass(time.Minute)
		b.syncNow("c1", "id-bad", "id-good", "id-none", "id-none")
		b.syncNow("c2", "id-slow")
		pass(time.Minute)
		state, result := b.result(t, "c1")
		if result.GetSuccess() || state.Total != 3 || state.Done != 3 || state.Failed != 2 {
			t.Errorf("result %v, %+v", result, state)
		}
		if s := state.Sources; s[0].SourceID != "id-bad" || s[0].Error != "no route" || !strings.Contains(s[1].Error, "no such source") {
			t.Errorf("sources %+v", s)
		}
		w.configure("good", "bad")
		b.push(w.gateway)
		pass(time.Second)
		if state, _ := b.result(t, "c2"); state.Failed != 1 || !strings.Contains(state.Sources[0].Error, "removed") {
			t.Errorf("a sync of a source that was removed is %+v", state)
		}
		w.stop()
	})
}

func TestCommandsAreCarriedOutOnceAndInTime(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.adapters["a"] = devices(1)
		w.configure("a")
		// The gateway's clock is an hour ahead.
		w.gateway.hello.ServerTime = time.Now().Add(time.Hour).Unix()
		w.run()
		pass(time.Minute)
		b.syncNow("c1")
		b.syncNow("c1")
		pass(10 * time.Second)
		b.syncNow("c1")
		pass(10 * time.Second)
		if n := len(w.gateway.gotFrom("a")); n != 2 || len(b.results("c1")) != 2 {
			t.Errorf("a command that came three times ran %d times and had %d results", n-1, len(b.results("c1")))
		}
		created := time.Now().Add(time.Hour)
		for id, c := range map[string]*monitoring.CommandRequest{
			"late":    {CommandType: payload.CommandSyncNow, CreatedAt: created.Add(-time.Minute).Unix(), TtlSeconds: 30},
			"unknown": {CommandType: "self-destruct"},
			"broken":  {CommandType: payload.CommandSyncNow, PayloadJson: []byte(`{"integration_source_ids":7}`)},
		} {
			c.CommandId = id
			b.command(c)
			pass(time.Second)
			if r := b.results(id); len(r) != 1 || r[0].GetSuccess() || r[0].GetMessage() == "" || len(r[0].GetPayloadJson()) != 0 {
				t.Errorf("%s was answered %v", id, r)
			}
		}
		b.command(&monitoring.CommandRequest{CommandId: "timely", CommandType: payload.CommandSyncNow, CreatedAt: created.Add(-20 * time.Second).Unix(), TtlSeconds: 30})
		pass(10 * time.Second)
		if r := b.results("timely"); len(r) != 1 || !r[0].GetSuccess() {
			t.Errorf("a command in time was answered %v", r)
		}
		w.stop()
	})
}

func TestResultsAreToldOverTheNextStream(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.adapters["a"] = slowly(10, 20*time.Second)
		w.configure("a")
		w.run()
		pass(time.Minute)
		b.syncNow("c1")
		pass(5 * time.Second)
		b.cut <- status.Error(codes.Unavailable, "gone")
		pass(10 * time.Second)
		if b.acks("c1") != 2 {
			t.Errorf("a command under way was acknowledged %d times over two streams", b.acks("c1"))
		}
		pass(20 * time.Second)
		b.result(t, "c1")
		b.cut <- status.Error(codes.Unavailable, "gone again")
		pass(10 * time.Second)
		if len(b.results("c1")) != 2 {
			t.Error("the result, which may not have arrived, was not told again")
		}
		w.stop()
	})
}

func (b *switchboard) test(t *testing.T, id string, s payload.Source) payload.SourceTestResult {
	t.Helper()
	order, err := json.Marshal(payload.SourceTest{Key: "tested", Source: s})
	if err != nil {
		t.Fatal(err)
	}
	b.command(&monitoring.CommandRequest{CommandId: id, CommandType: payload.CommandTestSource, PayloadJson: order})
	pass(2 * time.Minute)
	results := b.results(id)
	if len(results) != 1 {
		t.Fatalf("got results %v", results)
	}
	result, err := payload.DecodeSourceTestResult(results[0].GetPayloadJson())
	if err != nil {
		t.Fatal(err)
	}
	if result.OK != results[0].GetSuccess() {
		t.Errorf("success is %v beside %+v", results[0].GetSuccess(), result)
	}
	return result
}

func TestSourceTestSaysWhatIsWrongAndShowsFiveDevices(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		fail := func(err error) adapterFunc {
			return func(context.Context, func(payload.Update) error) (source.Discovery, error) {
				return source.Discovery{}, err
			}
		}
		w.adapters["good"], w.adapters["empty"] = devices(1000), devices(0)
		w.adapters["bare"] = func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			found, err := devices(3)(ctx, emit)
			found.Lacks = "/interfaces/"
			return found, err
		}
		w.adapters["endless"] = devices(100_000_000)
		w.adapters["token"] = fail(fmt.Errorf("query 1: %w", source.Errorf(source.ReasonToken, "status 401")))
		w.adapters["permission"] = fail(source.Errorf(source.ReasonPermission, "status 403"))
		w.adapters["hanging"] = func(ctx context.Context, _ func(payload.Update) error) (source.Discovery, error) {
			<-ctx.Done()
			return source.Discovery{}, ctx.Err()
		}
		w.adapters["panics"] = func(context.Context, func(payload.Update) error) (source.Discovery, error) { panic("canary") }
		w.run()
		pass(time.Minute)
		good := b.test(t, "t1", payload.Source{Type: "fake", Endpoint: "good"})
		if !good.OK || good.Total != 1000 || len(good.Samples) != 5 {
			t.Errorf("tested as %+v", good)
		}
		if s := good.Samples[1]; s.NativeID != "1" || s.Hostname != "host-1" || s.IP != "10.0.0.1" || s.Model != "Model X" {
			t.Errorf("the sample is %+v", s)
		}
		if empty := b.test(t, "t2", payload.Source{Type: "fake", Endpoint: "empty"}); !empty.OK || !strings.Contains(empty.Message, "no device") {
			t.Errorf("tested as %+v", empty)
		}
		if bare := b.test(t, "t5", payload.Source{Type: "fake", Endpoint: "bare"}); !bare.OK || !strings.Contains(bare.Message, "has no /interfaces/") {
			t.Errorf("tested as %+v", bare)
		}
		if endless := b.test(t, "t3", payload.Source{Type: "fake", Endpoint: "endless"}); !endless.OK || len(endless.Samples) != 5 {
			t.Errorf("tested as %+v", endless)
		}
		for name, want := range map[string][2]string{
			"token": {"token", "check the source's credentials"}, "permission": {"permission", "permission"},
			"hanging": {"timeout", "within 1m30s"}, "panics": {"adapter", "broke down"}, "nowhere": {"settings", `"nowhere" is none`},
		} {
			got := b.test(t, "t-"+name, payload.Source{Type: "fake", Endpoint: name})
			if got.OK || got.Reason != want[0] || !strings.Contains(got.Message, want[1]) || strings.Contains(got.Message, "canary") {
				t.Errorf("%s was tested as %+v", name, got)
			}
		}
		if got := b.test(t, "t4", payload.Source{Type: "abacus"}); got.Reason != "settings" {
			t.Errorf("tested as %+v", got)
		}
		if n := len(w.gateway.got()); n != 0 {
			t.Errorf("tests sent %d streams", n)
		}
		w.stop()
	})
}

func TestTooManyCommandsAreRefused(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.adapters["a"] = slowly(10, 10*time.Minute)
		w.configure("a")
		w.run()
		pass(time.Second)
		for i := range 17 {
			b.syncNow(fmt.Sprint("c", i))
		}
		synctest.Wait()
		refused := 0
		for i := range 17 {
			for _, r := range b.results(fmt.Sprint("c", i)) {
				refused++
				if !strings.Contains(r.GetMessage(), "limit") {
					t.Errorf("refused with %q", r.GetMessage())
				}
			}
		}
		if refused != 1 {
			t.Errorf("%d of 17 were refused", refused)
		}
		w.cancel()
		if err := <-w.done; err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		w.gateway.kill()
	})
}
