package e2e_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/store/postgres/pgtest"
)

// TestR30_WhatOneReplicaKnowsTheOtherTells: an operator at one asks for a device
// of a service that is connected to the other, and exports what both record.
func TestR30_WhatOneReplicaKnowsTheOtherTells(t *testing.T) {
	t.Parallel()
	a, b := newReplicas(t, pgtest.Database(t))
	a.tenant("acme")
	e := a.onboard("acme", "hq")
	ctx, cancel := context.WithCancel(t.Context())
	exported, ended := make(chan core.ExportedEvent, 1000), make(chan error, 1)
	go func() {
		ended <- b.core.ExportEvents(ctx, core.ExportQuery{Tenant: "acme", Follow: true}, func(events []core.ExportedEvent) error {
			for _, event := range events {
				exported <- event
			}
			return nil
		})
	}()
	a.fakerSource("lab", "hq", nil)
	e.reads("lab", nil)
	trace := b.trace(core.TraceQuery{Query: "7"})
	if trace.Verdict != core.VerdictPresent || trace.Sources[0].Steps[1].Place != 7 {
		t.Errorf("the other replica says %s (%s): %+v", trace.Verdict, trace.Reason, trace.Sources)
	}
	seen, last, kinds := map[uuid.UUID]bool{}, int64(0), map[string]int{}
	late := time.After(patience)
	for kinds["source.created"] == 0 || kinds["service.hello"] == 0 || kinds["source.traced"] == 0 {
		select {
		case event := <-exported:
			if seen[event.ID] || event.Sequence <= last {
				t.Errorf("event %s, number %d, came again or out of order", event.Type, event.Sequence)
			}
			seen[event.ID], last = true, event.Sequence
			kinds[event.Type]++
		case <-late:
			t.Fatalf("the other replica's events do not come: %v", kinds)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the export ended with %v", err)
	}
}
