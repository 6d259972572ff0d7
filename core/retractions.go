package core

import (
	"context"
	"errors"
	"fmt"

	"edgesync/dire"
)

// HoldView is a hold as operators see it.
type HoldView struct {
	Hold
	Tenant Tenant
	// SourceName is Hold.Source as operators call it.
	SourceName string
}

// Retractions lists what is held, of a tenant or of all, of a source or of all.
func (c *Core) Retractions(ctx context.Context, slug, ref string) ([]HoldView, error) {
	if ref != "" && slug == "" {
		return nil, invalid("list held retractions: a source is named, but not its tenant: name that too (--tenant)")
	}
	var found []HoldView
	err := c.scopes(ctx, slug, func(s scope) error {
		return s.store.View(ctx, func(tx TenantTx) error {
			names, err := namesOf(ctx, tx)
			if err != nil {
				return fmt.Errorf("list sources of tenant %s: %w", s.tenant.Slug, err)
			}
			name := ""
			if ref != "" {
				if name, _, err = heldSource(ctx, tx, s.tenant, ref); err != nil {
					return err
				}
			}
			holds, err := tx.Holds(ctx, name)
			for _, h := range holds {
				found = append(found, HoldView{h, s.tenant, names.name(h.Source)})
			}
			return err
		})
	})
	return found, err
}

// heldSource finds a source as assertions name it. One that has no record, since
// its client sends no source id, goes by that name itself.
func heldSource(ctx context.Context, tx TenantTx, tenant Tenant, ref string) (string, Source, error) {
	source, err := findSource(ctx, tx, tenant, ref)
	if err == nil {
		return source.ID.String(), source, nil
	}
	holds, more := tx.Holds(ctx, ref)
	if more != nil {
		return "", Source{}, more
	}
	if len(holds) > 0 && ref != "" {
		return ref, Source{Name: ref}, nil
	}
	return "", Source{}, err
}

// ReleaseRetractions retracts what a source is held for, and returns how much
// that was.
func (c *Core) ReleaseRetractions(ctx context.Context, actor Actor, slug, ref string) (int, error) {
	released := 0
	err := c.settle(ctx, slug, ref, "release", func(tx TenantTx, events *eventLog, source Source, h Hold) error {
		r := dire.Retractions{Source: h.Source, By: actor.Name, Reason: "released"}
		var n int
		var err error
		if h.Kind == HoldSnapshot {
			n, err = c.releaseSnapshot(ctx, tx, events, source, r)
		} else {
			n, err = c.releasePending(ctx, tx, events, r)
		}
		released += n
		events.add(actor, Event{
			Type: "source.retractions_released", Severity: SeverityWarning, SourceID: source.ID, ServiceID: source.SyncServiceID,
			Message: fmt.Sprintf("held retractions of source %s released: %d retracted", source.Name, n),
			Details: map[string]string{"run_id": h.Run.ID, "kind": string(h.Kind)},
		})
		return err
	}, &released)
	return released, err
}

func (c *Core) releaseSnapshot(ctx context.Context, tx TenantTx, events *eventLog, source Source, r dire.Retractions) (int, error) {
	latest, err := tx.Snapshots(ctx, source.ID, 2)
	if err != nil || len(latest) < 2 {
		return 0, err
	}
	return c.retractAbsent(ctx, tx, events, source, latest, r)
}

func (c *Core) releasePending(ctx context.Context, tx TenantTx, events *eventLog, r dire.Retractions) (int, error) {
	var err error
	if r.Things, err = tx.Pending(ctx, r.Source); err != nil {
		return 0, err
	}
	r.Rule = dire.RuleDeleted
	n, err := c.retract(ctx, tx, events, r)
	if err != nil {
		return 0, err
	}
	return n, tx.DeletePending(ctx, r.Source)
}

// RejectRetractions makes a source's snapshots up to the held one count no more,
// forgets the deletions that are held, and returns how many retractions that
// spares.
func (c *Core) RejectRetractions(ctx context.Context, actor Actor, slug, ref string) (int, error) {
	rejected := 0
	err := c.settle(ctx, slug, ref, "reject", func(tx TenantTx, events *eventLog, source Source, h Hold) error {
		rejected += int(h.Retractions)
		events.add(actor, Event{
			Type: "source.retractions_rejected", Severity: SeverityWarning, SourceID: source.ID, ServiceID: source.SyncServiceID,
			Message: fmt.Sprintf("held retractions of source %s rejected: %d stay as they are", source.Name, h.Retractions),
			Details: map[string]string{"run_id": h.Run.ID, "kind": string(h.Kind)},
		})
		if h.Kind == HoldSnapshot {
			return tx.DiscountRuns(ctx, source.ID, h.Run.Started)
		}
		return tx.DeletePending(ctx, h.Source)
	}, &rejected)
	return rejected, err
}

// settle ends each hold of a source the way do says, when it is the tenant's
// turn. It sets sum to 0 before each attempt.
func (c *Core) settle(ctx context.Context, slug, ref, verb string, do func(TenantTx, *eventLog, Source, Hold) error, sum *int) error {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return err
	}
	lane := c.lane(s.tenant.ID)
	if err := lane.enter(ctx); err != nil {
		return err
	}
	defer lane.leave()
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		*sum = 0
		name, source, err := heldSource(ctx, tx, s.tenant, ref)
		if err != nil {
			return err
		}
		holds, err := tx.Holds(ctx, name)
		if err != nil {
			return err
		}
		if len(holds) == 0 {
			return precondition("%s retractions of source %q of tenant %s: none are held", verb, source.Name, slug)
		}
		for _, h := range holds {
			if err := do(tx, events, source, h); err != nil {
				return err
			}
			if err := tx.DeleteHold(ctx, name, h.Kind); err != nil {
				return err
			}
		}
		return nil
	})
	var told *Error
	if err != nil && !errors.As(err, &told) {
		return fmt.Errorf("%s retractions of tenant %s: %w", verb, slug, err)
	}
	return err
}
