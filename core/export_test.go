package core_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

func TestExportHandsOverEachEventOnce(t *testing.T) {
	w := bootstrapped(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	after := map[uuid.UUID]int64{}
	seen := map[uuid.UUID]bool{}
	take := func(events []core.ExportedEvent) error {
		for _, e := range events {
			if seen[e.ID] || e.Sequence <= after[e.Tenant.ID] {
				t.Errorf("event %s number %d of %s came again or out of order", e.Type, e.Sequence, e.Tenant.Slug)
			}
			seen[e.ID], after[e.Tenant.ID] = true, e.Sequence
		}
		return nil
	}
	w.tenant("acme")
	w.tenant("globex")
	must(t, w.ExportEvents(ctx, core.ExportQuery{}, take))
	before := len(seen)
	if before == 0 || len(after) < 2 {
		t.Fatalf("%d events of %d tenants", before, len(after))
	}
	must(t, w.ExportEvents(ctx, core.ExportQuery{After: after}, take))
	if len(seen) != before {
		t.Errorf("%d events came again", len(seen)-before)
	}

	// One that follows gets what is recorded from then on, and only of its tenant.
	came := make(chan core.ExportedEvent, 16)
	ended := make(chan error, 1)
	go func() {
		ended <- w.ExportEvents(ctx, core.ExportQuery{Tenant: "acme", After: after, Follow: true}, func(events []core.ExportedEvent) error {
			for _, e := range events {
				came <- e
			}
			return nil
		})
	}()
	for _, slug := range []string{"globex", "acme"} {
		_, err := w.SuspendTenant(ctx, operator, slug, false)
		must(t, err)
	}
	select {
	case e := <-came:
		if e.Tenant.Slug != "acme" || e.Type != "tenant.suspended" {
			t.Errorf("came %s of %s", e.Type, e.Tenant.Slug)
		}
	case <-time.After(patience):
		t.Fatal("what was recorded did not come")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	failed := errors.New("full")
	if err := w.ExportEvents(t.Context(), core.ExportQuery{}, func([]core.ExportedEvent) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a reader's error came back as %v", err)
	}
}

func TestEventsAreKeptForAsLongAsIsSaid(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	count := func() int {
		t.Helper()
		events, err := w.Events(t.Context(), core.EventQuery{Limit: core.MaxEventLimit})
		must(t, err)
		return len(events)
	}
	for i := range 4 {
		_, err := w.SuspendTenant(t.Context(), operator, "acme", i%2 == 1)
		must(t, err)
	}
	before := count()
	n, err := w.PruneEvents(t.Context(), w.clock.Now().Add(-time.Hour))
	must(t, err)
	if n != 0 || count() != before {
		t.Fatalf("%d new events were pruned", n)
	}
	w.clock.advance(91 * 24 * time.Hour)
	_, err = w.SuspendTenant(t.Context(), operator, "acme", false)
	must(t, err)
	n, err = w.PruneEvents(t.Context(), w.clock.Now().Add(-90*24*time.Hour))
	must(t, err)
	// The latest of each tenant stays: the platform's own is old.
	if left := count(); n == 0 || left != before+1-n || left != 2 {
		t.Errorf("%d of %d were pruned, %d are left", n, before+1, left)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
