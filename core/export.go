package core

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
)

const (
	// exportPage is how many events of a tenant are handed over at once.
	exportPage = 250
	// exportLook is how often every tenant is looked at again for events that
	// nobody told of, and exportShare how many times longer than the looking took
	// lies between two looks at least.
	exportLook  = time.Minute
	exportShare = 20
)

// ExportQuery says which events are exported.
type ExportQuery struct {
	// Tenant is a slug; empty means every tenant.
	Tenant string
	// After are the sequence numbers up to which a tenant's events were exported
	// before; what is not named begins with the first that is kept.
	After map[uuid.UUID]int64
	// Follow goes on with events as they are recorded.
	Follow bool
}

// ExportedEvent is an event with its tenant and its number among that one's.
type ExportedEvent struct {
	Sequence int64
	TenantEvent
}

// ExportEvents hands over each event once, each tenant's in the order in which
// they were recorded, some at a time, until yield returns an error, ctx ends or,
// unless it follows, there are no more.
func (c *Core) ExportEvents(ctx context.Context, query ExportQuery, yield func([]ExportedEvent) error) error {
	x := &export{core: c, query: query, after: maps.Clone(query.After), yield: yield}
	if x.after == nil {
		x.after = map[uuid.UUID]int64{}
	}
	// What is recorded while the first look is taken is told of.
	pulse := c.pulses.add()
	defer c.pulses.drop(pulse)
	took, err := x.look(ctx, nil)
	if err != nil || !query.Follow {
		return err
	}
	again := time.NewTimer(max(exportLook, exportShare*took))
	defer again.Stop()
	for {
		var touched map[uuid.UUID]bool
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pulse.wake:
			touched = c.pulses.take(pulse)
		case <-again.C:
		}
		took, err := x.look(ctx, touched)
		if err != nil {
			return err
		}
		if touched == nil {
			again.Reset(max(exportLook, exportShare*took))
		}
		if err := pause(ctx, summaryPause); err != nil {
			return err
		}
	}
}

// export is one under way.
type export struct {
	core  *Core
	query ExportQuery
	after map[uuid.UUID]int64
	yield func([]ExportedEvent) error
}

// look hands over what is new of the tenants that were touched, or of all.
func (x *export) look(ctx context.Context, touched map[uuid.UUID]bool) (took time.Duration, err error) {
	began := time.Now()
	err = x.core.scopes(ctx, x.query.Tenant, func(s scope) error {
		if touched != nil && !touched[s.tenant.ID] {
			return nil
		}
		return x.tenant(ctx, s)
	})
	return time.Since(began), err
}

func (x *export) tenant(ctx context.Context, s scope) error {
	for {
		var events []NumberedEvent
		err := s.store.View(ctx, func(tx TenantTx) (err error) {
			events, err = tx.EventsAfter(ctx, x.after[s.tenant.ID], exportPage)
			return err
		})
		if err != nil {
			return fmt.Errorf("export events of tenant %s: %w", s.tenant.Slug, err)
		}
		if len(events) == 0 {
			return nil
		}
		page := make([]ExportedEvent, len(events))
		for i, e := range events {
			page[i] = ExportedEvent{e.Sequence, TenantEvent{s.tenant, e.Event}}
		}
		if err := x.yield(page); err != nil {
			return err
		}
		x.after[s.tenant.ID] = events[len(events)-1].Sequence
		x.core.metrics.exported.Add(float64(len(events)))
	}
}
