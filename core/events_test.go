package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
)

func TestEventsAreListedOverTenantsInOrder(t *testing.T) {
	w := bootstrapped(t)
	for _, slug := range []string{"zeta", "acme"} {
		w.clock.advance(time.Second)
		w.tenant(slug)
	}
	var got []string
	for _, e := range w.events("", "tenant.created") {
		got = append(got, e.Tenant.Slug)
	}
	if fmt.Sprint(got) != "[zeta acme]" {
		t.Errorf("events are of %v", got)
	}
	latest, err := w.Events(t.Context(), core.EventQuery{TypePrefix: "tenant.", Limit: 1})
	if err != nil || len(latest) != 1 || latest[0].Tenant.Slug != "acme" {
		t.Errorf("the latest is %+v, %v", latest, err)
	}
	since, err := w.Events(t.Context(), core.EventQuery{Since: w.clock.Now()})
	if err != nil || len(since) != 1 {
		t.Errorf("since now: %+v, %v", since, err)
	}
	for _, query := range []core.EventQuery{{Limit: -1}, {Limit: core.MaxEventLimit + 1}} {
		_, err := w.Events(t.Context(), query)
		wantCode(t, err, codes.InvalidArgument)
	}
	_, err = w.Events(t.Context(), core.EventQuery{Tenant: "nobody"})
	wantCode(t, err, codes.NotFound)
}

var errEnough = errors.New("enough")

func TestTailShowsThePastAndThenWhatComes(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	started := make(chan struct{})
	result := make(chan []string)
	go func() {
		var seen []string
		err := w.TailEvents(background, core.EventQuery{TypePrefix: "tenant.", Limit: 10}, func(e core.TenantEvent) error {
			if seen = append(seen, e.Tenant.Slug); len(seen) == 1 {
				close(started)
			}
			if len(seen) == 3 {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Error(err)
		}
		result <- seen
	}()
	<-started
	w.tenant("beta")
	w.tenant("gamma")
	if seen := <-result; fmt.Sprint(seen) != "[acme beta gamma]" {
		t.Errorf("tail saw %v", seen)
	}
}

func TestTailOfOneTenantSeesNoOther(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.tenant("umbrella")
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	done := make(chan error)
	go func() {
		first := true
		done <- w.TailEvents(ctx, core.EventQuery{Tenant: "acme", Limit: 1}, func(e core.TenantEvent) error {
			if e.Tenant.Slug != "acme" {
				t.Errorf("saw %+v", e)
			}
			if first {
				close(started)
				first = false
				return nil
			}
			cancel()
			return nil
		})
	}()
	<-started
	w.onboard("umbrella", "lab")
	w.onboard("acme", "hq")
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wantCode(t, w.TailEvents(t.Context(), core.EventQuery{Tenant: "nobody"}, nil), codes.NotFound)
}

func TestASlowTailDelaysNobodyAndIsToldThatItIsBehind(t *testing.T) {
	w, peer, _ := edge(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		first := true
		done <- w.TailEvents(background, core.EventQuery{Limit: 1}, func(core.TenantEvent) error {
			if first {
				first = false
				close(entered)
				<-leave
			}
			return nil
		})
	}()
	<-entered
	for i := range 2000 {
		w.Refused(t.Context(), peer, fmt.Sprint("operation ", i), "tested")
	}
	close(leave)
	wantCode(t, <-done, codes.Aborted)
}

func TestRefusalsAreKeptWithWhoAndWhatAndNotByTheThousand(t *testing.T) {
	w, peer, _ := edge(t)
	for range 1000 {
		w.Refused(t.Context(), peer, "GetConfig", "agent_id_mismatch")
	}
	events := w.events("acme", "security.")
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	if e.Type != "security.agent_id_mismatch" || e.Actor.Name != peer.SPIFFE() || e.Actor.Origin != "gateway" ||
		e.Details["operation"] != "GetConfig" || e.Details["address"] != peer.Addr || e.Severity != core.SeverityWarning {
		t.Errorf("event is %+v", e)
	}
	w.clock.advance(2 * time.Minute)
	w.Refused(t.Context(), peer, "GetConfig", "agent_id_mismatch")
	events = w.events("acme", "security.")
	if len(events) != 2 || events[1].Details["repeated"] != "999" {
		t.Errorf("events are %+v", events)
	}
	w.Refused(t.Context(), peer, "evil\x1b[31m"+strings.Repeat("x", 1000), "\u202e")
	for _, e := range w.events("acme", "security.") {
		if strings.ContainsAny(e.Message+e.Details["operation"], "\x1b\u202e") || len(e.Message) > 512 {
			t.Errorf("event keeps %q", e.Message)
		}
	}
	ghost := peer
	ghost.Identity = certs.Identity{Tenant: "gone"}
	w.Refused(t.Context(), ghost, "GetConfig", "unknown") // Only logged: there is nowhere to keep it.
}

func TestRefusedByManyPeersAtOnce(t *testing.T) {
	w, peer, _ := edge(t)
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			for range 50 {
				w.Refused(background, peer, fmt.Sprint(i), "tested")
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	if n := len(w.events("acme", "security.tested")); n != 8 {
		t.Errorf("%d events", n)
	}
}
