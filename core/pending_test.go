package core_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/proto/payload"
)

// commands are what is kept of those that have not met their end.
func (w *world) commands() (all []core.PendingCommand) {
	w.t.Helper()
	err := w.store.Platform().View(w.t.Context(), func(tx core.PlatformTx) (err error) {
		all, err = tx.Commands(w.t.Context(), uuid.Nil)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// begun waits until it is kept that a service has begun its one command.
func (w *world) begun(l *line, peer certs.Peer) {
	w.t.Helper()
	l.say(w.applied(peer, "")) // Taken only when the acknowledgement was dealt with.
	for deadline := time.Now().Add(patience); !w.commands()[0].Acknowledged; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("that it has begun is not kept")
		}
	}
}

// ends are the events that tell of a command's end, awaited until there are n.
func (w *world) ends(n int) []core.TenantEvent {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var found []core.TenantEvent
		for _, e := range w.events("acme", "source.") {
			if strings.HasSuffix(e.Type, "_ended") {
				found = append(found, e)
			}
		}
		if len(found) >= n && len(w.commands()) == 0 || time.Now().After(deadline) {
			if len(found) != n {
				w.t.Fatalf("%d events tell of an end, want %d; %d commands wait", len(found), n, len(w.commands()))
			}
			return found
		}
	}
}

// asked has a process asked for a sync of source main that ends before anybody
// answers, and returns what is kept of it.
func (w *world) asked() core.PendingCommand {
	w.t.Helper()
	ctx, end := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.SyncNow(ctx, operator, core.SyncNowInput{Tenant: "acme", Source: "main"}, func(core.SyncProgress) error { return nil })
	}()
	for deadline := time.Now().Add(patience); len(w.commands()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("the command is not kept")
		}
	}
	end()
	<-done
	w.reopen()
	return w.commands()[0]
}

// A command that was not begun when the platform ended reaches its service from
// the next process, and its end is told of by an event.
func TestCommandNotBegunSurvivesTheProcess(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	kept := w.asked()
	if kept.Acknowledged || kept.By != operator.Name {
		t.Fatalf("kept %+v", kept)
	}
	l := control(t, w.Core, hq, "")
	l.config()
	if id := l.command().GetCommandId(); id != kept.ID.String() {
		t.Fatalf("the service got command %s, want %s", id, kept.ID)
	}
	l.ack(kept.ID.String())
	l.result(kept.ID.String(), true, "", payload.SyncState{Total: 1, Done: 1})
	end := w.ends(1)[0]
	if end.Type != "source.sync_now_ended" || !strings.Contains(end.Message, "sync of source main has ended well") || end.Details["asked_by"] != operator.Name {
		t.Errorf("the event is %+v", end)
	}
}

// One that was begun is not given again; its result is taken by the next process.
func TestResultOfABegunCommandIsTakenByTheNextProcess(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	l := control(t, w.Core, hq, "")
	l.config()
	syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Source: "main"})
	id := l.command().GetCommandId()
	l.ack(id)
	w.begun(l, hq)
	w.reopen()
	next := control(t, w.Core, hq, "")
	next.config()
	next.result(id, false, "the disk is full", nil)
	if end := w.ends(1)[0]; !strings.Contains(end.Message, "did not end well: the disk is full") || end.Severity != core.SeverityWarning {
		t.Errorf("the event is %+v", end)
	}
	select {
	case message := <-next.heard:
		t.Errorf("a command that was begun came again: %v", message)
	default:
	}
	l.end()
}

func TestCommandNobodyBeginsInTimeIsEnded(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.hello(hq)
	w.source("acme", "main", "hq")
	w.asked()
	if err := w.EndOverdueCommands(t.Context()); err != nil || len(w.commands()) != 1 {
		t.Fatalf("ended before its time: %v", err)
	}
	w.clock.advance(31 * time.Second)
	l := control(t, w.Core, hq, "")
	l.config()
	if err := w.EndOverdueCommands(t.Context()); err != nil {
		t.Fatal(err)
	}
	if end := w.ends(1)[0]; !strings.Contains(end.Message, "did not connect and begin it within 30s: ask again") {
		t.Errorf("the event is %+v", end)
	}
	select {
	case message := <-l.heard:
		t.Errorf("a command came after its time: %v", message)
	default:
	}
}

// The service that got a command is the one to tell of its end, also to a
// process that knows the command from the store alone.
func TestLateResultOfAnotherServiceIsRefused(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq, branch := w.onboard("acme", "hq"), w.onboard("acme", "branch")
	w.hello(hq)
	w.hello(branch)
	w.source("acme", "main", "hq")
	kept := w.asked()
	l := control(t, w.Core, branch, "")
	l.config()
	l.result(kept.ID.String(), true, "", nil)
	l.say(w.applied(branch, ""))
	if len(w.commands()) != 1 {
		t.Error("another service ended the command")
	}
	if err := w.RemoveTenant(t.Context(), operator, "acme"); err != nil || len(w.commands()) != 0 {
		t.Errorf("%d commands of a tenant that is gone: %v", len(w.commands()), err)
	}
}

// Whoever was told that nobody answers does not find it done later.
func TestCommandThatWasGivenUpIsNotKept(t *testing.T) {
	w := bootstrapped(t)
	var err error
	w.Core, err = core.New(t.Context(), core.Options{Store: w.store, Keyset: w.keyset, Now: w.clock.Now, AnswerWithin: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.tenant("acme")
	hq := w.onboard("acme", "hq")
	w.source("acme", "main", "hq")
	w.hello(hq)
	wantCode(t, syncNow(t, w.Core, core.SyncNowInput{Tenant: "acme", Source: "main"}).wait(t), codes.Unavailable)
	if left := w.commands(); len(left) != 0 {
		t.Errorf("kept %+v", left)
	}
}
