package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

func TestConfigurationIsPushedWhenItConcernsTheService(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq, branch := w.onboard("acme", "hq"), w.onboard("acme", "branch")
	w.hello(hq)
	w.hello(branch)
	answer, _ := w.config(branch, "")
	a, b := control(t, w.Core, hq, ""), control(t, w.Core, branch, answer.GetConfigVersion())
	if got := a.config(); len(got.Sources) != 0 {
		t.Fatalf("first got %+v", got)
	}
	w.source("acme", "main", "hq")
	if got := a.config(); len(got.Sources) != 1 {
		t.Fatalf("got %+v", got)
	}
	if _, err := w.UpdateSource(t.Context(), operator, core.SourceUpdate{Tenant: "acme", Source: "main", Spec: armis("main"), Service: "branch"}); err != nil {
		t.Fatal(err)
	}
	if got := a.config(); len(got.Sources) != 0 {
		t.Errorf("the service that lost the source got %+v", got)
	}
	// It had the right version from the start, so this is the first it is told.
	if got := b.config(); len(got.Sources) != 1 {
		t.Errorf("the service that won the source got %+v", got)
	}
	if _, err := w.SetSourceEnabled(t.Context(), operator, "acme", "main", false); err != nil {
		t.Fatal(err)
	}
	if got := b.config(); len(got.Sources) != 0 {
		t.Errorf("got %+v after the source was disabled", got)
	}
	if _, err := w.RenameService(t.Context(), operator, "acme", "branch", "Branch"); err != nil {
		t.Fatal(err)
	}
	select {
	case message := <-b.heard:
		t.Errorf("equal content was pushed again: %v", message)
	case message := <-a.heard:
		t.Errorf("what concerns another was pushed: %v", message)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestChangesThatComeFastAreToldOnce(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	l := control(t, w.Core, hq, "")
	l.config()
	const changes = 60
	for i := range changes { // nobody listens meanwhile
		w.source("acme", fmt.Sprintf("s%d", i), "hq")
	}
	told := 0
	for {
		told++
		if len(l.config().Sources) == changes {
			break
		}
	}
	if told > changes/4 {
		t.Errorf("%d changes were told %d times", changes, told)
	}
}

func TestConfigAckIsRecorded(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	l := control(t, w.Core, hq, "old")
	version := l.next().GetConfig().GetConfigVersion()
	l.say(w.applied(hq, version))
	close(l.said)
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	got := w.service("acme", "hq")
	if got.ConfigVersion != version || got.ConfigAppliedAt.IsZero() {
		t.Errorf("recorded %q at %s, want %q", got.ConfigVersion, got.ConfigAppliedAt, version)
	}
	l = control(t, w.Core, hq, "\x1b[31mred\n")
	l.config()
	close(l.said)
	_ = l.err()
	if got := w.service("acme", "hq").ConfigVersion; got != "[31mred" {
		t.Errorf("a hostile version is recorded as %q", got)
	}
}

// What ends a peer's admission ends its stream at once, however silent.
func TestControlStreamEndsWithItsAdmission(t *testing.T) {
	for name, end := range map[string]func(*world) error{
		"revoked":         func(w *world) error { _, err := w.RevokeService(background, operator, "acme", "hq"); return err },
		"removed":         func(w *world) error { return w.RemoveService(background, operator, "acme", "hq") },
		"suspended":       func(w *world) error { _, err := w.SuspendTenant(background, operator, "acme", false); return err },
		"tenant removed":  func(w *world) error { return w.RemoveTenant(background, operator, "acme") },
		"onboarded again": func(w *world) error { w.onboard("acme", "hq"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := bootstrapped(t)
			w.tenant("acme")
			hq := w.onboard("acme", "hq")
			w.hello(hq)
			l := control(t, w.Core, hq, "")
			l.config()
			began := time.Now()
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			wantCode(t, l.err(), codes.PermissionDenied)
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestSyncNowReachesTheServiceAndTellsWhatItSays(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	source := w.source("acme", "main", "hq")
	l := control(t, w.Core, hq, "")
	l.config()
	s := syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Source: "main"})
	command := l.command()
	order, err := payload.DecodeSyncNow(command.GetPayloadJson())
	if err != nil || command.GetCommandType() != "sync-now" || command.GetTtlSeconds() <= 0 || len(order.Sources) != 1 || order.Sources[0] != source.ID.String() {
		t.Fatalf("was told %v, %v", command, err)
	}
	l.ack(command.GetCommandId())
	foreign := payload.SyncedSource{SourceID: uuid.NewString(), State: payload.SyncDone, Error: "of nobody"}
	l.result(command.GetCommandId(), false, "", payload.SyncState{Total: 1, Done: 1, Failed: 1, Devices: 7, Sources: []payload.SyncedSource{
		foreign, {SourceID: source.ID.String(), State: payload.SyncDone, Result: payload.ResultFailed, Error: "no \x1b[31mroute\nat all"},
	}})
	if err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	last := s.last()
	if !last.Finished || last.Failed != 1 || last.Devices != 7 || len(last.Changed) != 1 {
		t.Fatalf("ended as %+v", last)
	}
	if one := last.Changed[0]; one.Name != "main" || one.Tenant != "acme" || one.Error != "no [31mroute at all" {
		t.Errorf("told of %+v", one)
	}
	if !hasEvent(w.events("acme", "source."), "source.sync_now") {
		t.Error("no event says who asked")
	}
	// The same id again, or one that never was, is nobody's business.
	l.ack(command.GetCommandId())
	l.result(uuid.NewString(), true, "", nil)
	l.result("no id", true, "", nil)
	s = syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Service: "hq"})
	command = l.command()
	if order, _ := payload.DecodeSyncNow(command.GetPayloadJson()); len(order.Sources) != 0 {
		t.Errorf("a sync of all names %v", order.Sources)
	}
	l.result(command.GetCommandId(), false, "the disk is full", nil)
	wantCode(t, s.wait(t), codes.Unknown)
}

func TestCommandsToAServiceThatIsNotThereAreUnavailable(t *testing.T) {
	w := bootstrapped(t)
	var err error
	w.Core, err = core.New(t.Context(), core.Options{Store: w.store, Keyset: w.keyset, Now: w.clock.Now, AnswerWithin: 30 * time.Millisecond, SilentFor: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.tenant("acme")
	w.tenant("globex")
	hq := w.onboard("acme", "hq")
	w.source("acme", "main", "hq")
	in := core.SyncNowInput{Tenant: "acme", Source: "main"}
	wantCode(t, syncNow(t, w.Core, in).wait(t), codes.Unavailable) // never heard of
	w.hello(hq)
	wantCode(t, syncNow(t, w.Core, in).wait(t), codes.Unavailable) // can only be polled by
	_, err = w.TestSource(t.Context(), operator, "acme", "main")
	wantCode(t, err, codes.Unavailable)
	l := control(t, w.Core, hq, "")
	l.config()
	// asked is a sync whose command has come. One that was given up before, because
	// the machine stood still, is asked for again.
	asked := func() (*syncing, string) {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			s := syncNow(t, w.Core, in)
			select {
			case message := <-l.heard:
				return s, message.GetCommand().GetCommandId()
			case err := <-s.done:
				wantCode(t, err, codes.Unavailable)
			}
		}
		t.Fatal("no command comes")
		return nil, ""
	}
	s, _ := asked()
	wantCode(t, s.wait(t), codes.Unavailable) // does not answer
	s, id := asked()
	l.ack(id)
	wantCode(t, s.wait(t), codes.Unavailable) // falls silent
	l.end()
	_ = l.err()
	w.clock.advance(3 * time.Minute)
	wantCode(t, syncNow(t, w.Core, in).wait(t), codes.Unavailable) // offline
	for name, c := range map[string]struct {
		in   core.SyncNowInput
		code codes.Code
	}{
		"unknown source":   {core.SyncNowInput{Tenant: "acme", Source: "nope"}, codes.NotFound},
		"another tenant's": {core.SyncNowInput{Tenant: "globex", Source: "main"}, codes.NotFound},
		"unknown service":  {core.SyncNowInput{Tenant: "globex", Service: "hq"}, codes.NotFound},
		"no tenant":        {core.SyncNowInput{Source: "main"}, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, syncNow(t, w.Core, c.in).wait(t), c.code) })
	}
	if _, err := w.SetSourceEnabled(t.Context(), operator, "acme", "main", false); err != nil {
		t.Fatal(err)
	}
	wantCode(t, syncNow(t, w.Core, in).wait(t), codes.FailedPrecondition)
	wantCode(t, syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Service: "hq"}).wait(t), codes.FailedPrecondition)
}

func TestCommandFollowsItsServiceToTheNextStream(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	first := control(t, w.Core, hq, "")
	first.config()
	s := syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Source: "main"})
	id := first.command().GetCommandId()
	first.end() // before it was acknowledged
	_ = first.err()
	second := control(t, w.Core, hq, "")
	second.config()
	if got := second.command().GetCommandId(); got != id {
		t.Fatalf("the next stream got command %s, want %s", got, id)
	}
	second.ack(id)
	second.say(w.applied(hq, "")) // Taken only when the acknowledgement was dealt with.
	third := control(t, w.Core, hq, "")
	third.config()
	third.result(id, true, "", payload.SyncState{Total: 1, Done: 1})
	if err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	select {
	case message := <-third.heard:
		t.Errorf("an acknowledged command came again: %v", message)
	default:
	}
}

// A service that answers for another is refused that, and it is kept.
func TestReportsAboutAnotherServicesCommandAreRefused(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.tenant("globex")
	hq, thief := w.onboard("acme", "hq"), w.onboard("globex", "hq")
	w.hello(hq)
	w.hello(thief)
	w.source("acme", "main", "hq")
	l, other := control(t, w.Core, hq, ""), control(t, w.Core, thief, "")
	l.config()
	other.config()
	s := syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Source: "main"})
	id := l.command().GetCommandId()
	other.result(id, true, "", payload.SyncState{Total: 1, Done: 1, Devices: 666})
	close(other.said)
	_ = other.err()
	l.result(id, true, "", payload.SyncState{Total: 1, Done: 1, Devices: 1})
	if err := s.wait(t); err != nil || s.last().Devices != 1 {
		t.Errorf("ended with %v, %+v", err, s.last())
	}
	if !hasEvent(w.events("globex", "security."), "security.foreign_command") {
		t.Error("nothing is kept of it")
	}
}

func TestHostileReportsDoNoHarm(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	l := control(t, w.Core, hq, "")
	l.config()
	for name, content := range map[string]string{
		"no JSON": `{"total":`, "an array": `[1]`, "below nothing": `{"total":1,"done":1,"failed":1,"devices":-5}`,
		"more done than there are": `{"total":1,"done":5}`, "deep": `{"sources":[[[[[[[[[[]]]]]]]]]]}`,
		"wrong types": `{"total":"many"}`, "NUL": "{\"sources\":[{\"error\":\"a\x00b\"}]}",
	} {
		t.Run(name, func(t *testing.T) {
			s := syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Source: "main"})
			id := l.command().GetCommandId()
			l.say(&monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandProgress{
				CommandProgress: &monitoring.CommandProgress{CommandId: id, PayloadJson: []byte(content), ProgressPercent: -7}}})
			l.say(&monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandResult{
				CommandResult: &monitoring.CommandResult{CommandId: id, Success: true, PayloadJson: []byte(content)}}})
			wantCode(t, s.wait(t), codes.Unknown)
		})
	}
}

func TestSourceTestCarriesTheSourceAsItIsStored(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	if _, err := w.SetSourceEnabled(t.Context(), operator, "acme", "main", false); err != nil {
		t.Fatal(err)
	}
	l := control(t, w.Core, hq, "")
	l.config()
	type outcome struct {
		result payload.SourceTestResult
		err    error
	}
	done := make(chan outcome, 1)
	test := func() {
		result, err := w.TestSource(t.Context(), operator, "acme", "main")
		done <- outcome{result, err}
	}
	go test()
	command := l.command()
	order, err := payload.DecodeSourceTest(command.GetPayloadJson())
	if err != nil || order.Key != "main" || order.Source.Credentials[payload.CredentialSecretKey] != "canary-secret" {
		t.Fatalf("was told %v, %v", order.Key, err)
	}
	l.result(command.GetCommandId(), true, "", payload.SourceTestResult{OK: true, Total: 9, Samples: []payload.SampleDevice{{Hostname: "a\x1b]0;b\u202e"}}})
	if got := <-done; got.err != nil || got.result.Total != 9 || got.result.Samples[0].Hostname != "a]0;b" {
		t.Errorf("ended as %+v", got)
	}
	go test()
	l.result(l.command().GetCommandId(), true, "", payload.SourceTestResult{Samples: make([]payload.SampleDevice, 6)})
	got := <-done
	wantCode(t, got.err, codes.Unknown)
}

func TestCommandsOfOneServiceAreBounded(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	l := control(t, w.Core, hq, "")
	l.config()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	codesOf := make(chan codes.Code, 40)
	for range 40 {
		running.Go(func() {
			err := w.SyncNow(ctx, operator, core.SyncNowInput{Tenant: "acme", Source: "main"}, func(core.SyncProgress) error { return nil })
			var told *core.Error
			if errors.As(err, &told) {
				codesOf <- told.Code
			}
		})
	}
	for range 8 {
		if code := <-codesOf; code != codes.ResourceExhausted {
			t.Errorf("one too many got %s", code)
		}
	}
	cancel()
	running.Wait()
	// What nobody waits for any more is forgotten.
	s := syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Source: "main"})
	for deadline := time.After(patience); ; {
		select {
		case message := <-l.heard:
			l.result(message.GetCommand().GetCommandId(), true, "", payload.SyncState{Total: 1, Done: 1})
		case err := <-s.done:
			if err != nil {
				t.Error(err)
			}
			return
		case <-deadline:
			t.Fatal("the sync does not end")
		}
	}
}

// Two processes on one store: a service connected to one is reached by what
// happens in the other.
func TestRelayedChangesAndCommandsReachAServiceConnectedElsewhere(t *testing.T) {
	w := bootstrapped(t)
	open := w.processes()
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	here, there := open(), open()
	l := control(t, there, hq, "")
	l.config()
	w.Core = here
	w.source("acme", "main", "hq")
	if got := l.config(); len(got.Sources) != 1 {
		t.Fatalf("got %+v", got)
	}
	s := syncNow(t, here, core.SyncNowInput{Tenant: "acme", Source: "main"})
	id := l.command().GetCommandId()
	l.ack(id)
	l.result(id, true, "", payload.SyncState{Total: 1, Done: 1, Devices: 3})
	if err := s.wait(t); err != nil || s.last().Devices != 3 {
		t.Errorf("ended with %v, %+v", err, s.last())
	}
	if _, err := here.RevokeService(t.Context(), operator, "acme", "hq"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, l.err(), codes.PermissionDenied)
}

// The process that a service was connected to ends, and its successor takes the
// result: who waits in another process hears it.
func TestResultTakenByASuccessorReachesWhoWaitsElsewhere(t *testing.T) {
	w := bootstrapped(t)
	open := w.processes()
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	here, there := open(), open()
	l := control(t, there, hq, "")
	l.config()
	s := syncNow(t, here, core.SyncNowInput{Tenant: "acme", Source: "main"})
	id := l.command().GetCommandId()
	l.ack(id)
	w.begun(l, hq)
	l.end()
	next := control(t, open(), hq, "")
	next.config()
	next.result(id, true, "", payload.SyncState{Total: 1, Done: 1, Devices: 3})
	if err := s.wait(t); err != nil || s.last().Devices != 3 {
		t.Errorf("ended with %v, %+v", err, s.last())
	}
}
