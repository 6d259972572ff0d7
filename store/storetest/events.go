package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"edgesync/core"
)

func testEventLog(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	var events []core.Event
	for i := range 10 {
		// Clocks may go back; the order of commits counts.
		events = append(events, core.Event{
			ID: uuid.New(), Time: at(100 - i), Type: fmt.Sprintf("source.number%d", i), Severity: core.SeverityInfo,
			Actor: core.Actor{Name: "a", Origin: "core"}, Message: "m", Details: map[string]string{"k": "v"},
		})
	}
	read := func(after int64, limit int) (found []core.NumberedEvent) {
		t.Helper()
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) (err error) {
			found, err = tx.EventsAfter(ctx, after, limit)
			return err
		})
		return found
	}
	prune := func(second, limit int) (n int) {
		t.Helper()
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) (err error) {
			n, err = tx.PruneEvents(ctx, at(second), limit)
			return err
		})
		return n
	}
	equal(t, "events of nobody", len(read(0, 5)), 0)
	equal(t, "pruned of nothing", prune(1000, 5), 0)
	for _, part := range [][]core.Event{events[:4], events[4:]} {
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.AppendEvents(ctx, part...) })
	}
	var sequence int64
	var got []core.Event
	for {
		page := read(sequence, 3)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if e.Sequence <= sequence {
				t.Fatalf("event %s has number %d after %d", e.Type, e.Sequence, sequence)
			}
			sequence = e.Sequence
			got = append(got, e.Event)
		}
	}
	equal(t, "events in the order of their commits", got, events)

	// The oldest by their time go first, and never more than asked for.
	equal(t, "pruned with a limit", prune(96, 2), 2)
	equal(t, "pruned without the latest", prune(1000, 100), 7)
	left := read(0, 100)
	if len(left) != 1 || left[0].Sequence != sequence {
		t.Fatalf("left are %+v, want the latest, number %d", left, sequence)
	}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		next := events[0]
		next.ID = uuid.New()
		return tx.AppendEvents(ctx, next)
	})
	if next := read(sequence, 100); len(next) != 1 || next[0].Sequence <= sequence {
		t.Fatalf("after pruning the next is %+v, want a number above %d", next, sequence)
	}
}
