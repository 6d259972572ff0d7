package core

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// TenantEvent is an event and the tenant it belongs to.
type TenantEvent struct {
	Tenant Tenant
	Event
}

// EventQuery narrows Events and TailEvents.
type EventQuery struct {
	// Tenant is a slug; empty means every tenant.
	Tenant     string
	TypePrefix string
	Since      time.Time
	// Limit 0 means DefaultEventLimit for Events, and none of the past for
	// TailEvents.
	Limit int
}

// The limits of EventQuery.
const (
	DefaultEventLimit = 100
	MaxEventLimit     = 10_000
)

// eventLog collects the events of one transaction.
type eventLog struct {
	now    time.Time
	events []Event
	// concerned are the services whose configuration or admission changes.
	concerned []uuid.UUID
}

// concern names a service that the transaction changes something for.
func (l *eventLog) concern(service uuid.UUID) {
	if service != uuid.Nil && !slices.Contains(l.concerned, service) {
		l.concerned = append(l.concerned, service)
	}
}

func (l *eventLog) add(actor Actor, event Event) {
	event.ID = uuid.Must(uuid.NewV7())
	event.Time = l.now
	event.Actor = actor
	if event.Severity == "" {
		event.Severity = SeverityInfo
	}
	l.events = append(l.events, event)
}

// change runs fn in one transaction of a tenant together with the events fn
// adds. Once they are kept, the services that fn named are told, and the
// watchers.
func (c *Core) change(ctx context.Context, s scope, fn func(TenantTx, *eventLog) error) error {
	var log eventLog
	err := s.store.Update(ctx, func(tx TenantTx) error {
		log = eventLog{now: c.now()} // A transaction may run more than once.
		if err := fn(tx, &log); err != nil {
			return err
		}
		if len(log.events) == 0 {
			return nil
		}
		return tx.AppendEvents(ctx, log.events...)
	})
	if err != nil {
		if len(log.concerned) > 0 {
			c.forget(Change{Tenant: s.tenant.ID}) // It may have been kept for all that.
		}
		return err
	}
	if len(log.concerned) > 0 {
		c.invalidate(ctx, s.tenant.ID, log.concerned...)
	}
	for _, event := range log.events {
		c.metrics.events.WithLabelValues(string(event.Severity)).Inc()
	}
	c.watchers.tell(s.tenant, log.events)
	c.pulses.touch(s.tenant.ID)
	return nil
}

// Events are the latest that match, oldest first.
func (c *Core) Events(ctx context.Context, query EventQuery) ([]TenantEvent, error) {
	switch {
	case query.Limit < 0 || query.Limit > MaxEventLimit:
		return nil, invalid("list events: the limit %d is not between 1 and %d", query.Limit, MaxEventLimit)
	case query.Limit == 0:
		query.Limit = DefaultEventLimit
	}
	var found []TenantEvent
	err := c.scopes(ctx, query.Tenant, func(s scope) error {
		var events []Event
		err := s.store.View(ctx, func(tx TenantTx) (err error) {
			events, err = tx.Events(ctx, EventFilter{TypePrefix: query.TypePrefix, Since: query.Since, Limit: query.Limit})
			return err
		})
		if err != nil {
			return fmt.Errorf("list events of tenant %s: %w", s.tenant.Slug, err)
		}
		found = latest(found, s.tenant, events, query.Limit)
		return nil
	})
	return found, err
}

// latest merges a tenant's events into what was found before, and keeps the
// last limit of them.
func latest(found []TenantEvent, tenant Tenant, events []Event, limit int) []TenantEvent {
	for _, event := range events {
		found = append(found, TenantEvent{tenant, event})
	}
	slices.SortStableFunc(found, func(a, b TenantEvent) int { return a.Time.Compare(b.Time) })
	return found[max(0, len(found)-limit):]
}
