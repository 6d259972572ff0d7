package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

const (
	// overlap is how far back events are read again, for clocks that differ and
	// transactions that took a while.
	overlap = 30 * time.Second
	// maxCatchUp bounds the events that one notice brings.
	maxCatchUp = 5_000
)

// catchUp offers the watchers what other processes have recorded of a tenant.
// Nothing is read while nobody watches.
func (w *watchers) catchUp(ctx context.Context, c *Core, tenant uuid.UUID) error {
	since, ok := w.watching()
	if !ok || !c.bootstrapped() {
		return nil
	}
	if earliest := c.now().Add(-overlap); since.Before(earliest) {
		since = earliest
	}
	found, err := c.tenantByID(ctx, tenant)
	var s scope
	if err == nil {
		s, err = c.scopeOf(ctx, found)
	}
	var events []Event
	if err == nil {
		err = s.store.View(ctx, func(tx TenantTx) (err error) {
			events, err = tx.Events(ctx, EventFilter{Since: since, Limit: maxCatchUp})
			return err
		})
	}
	if errors.Is(err, ErrNotFound) {
		return nil // It was removed since.
	}
	if err != nil {
		return fmt.Errorf("read events of other processes: %w", err)
	}
	w.tell(found, events)
	return nil
}

// catchUpAll is catchUp for every tenant.
func (w *watchers) catchUpAll(ctx context.Context, c *Core) error {
	if _, ok := w.watching(); !ok || !c.bootstrapped() {
		return nil
	}
	tenants, err := c.allTenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if err := w.catchUp(ctx, c, tenant.ID); err != nil {
			return err
		}
	}
	return nil
}

// watching is when the first of those who watch began.
func (w *watchers) watching() (since time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.all {
		if !ok || one.began.Before(since) {
			since, ok = one.began, true
		}
	}
	return since, ok
}

// lately remembers the ids of the latest events, at least maxCatchUp of them.
type lately struct {
	now, before map[uuid.UUID]struct{}
}

// first tells whether an event is met for the first time.
func (l *lately) first(id uuid.UUID) bool {
	_, now := l.now[id]
	_, before := l.before[id]
	if now || before {
		return false
	}
	if l.now == nil || len(l.now) >= maxCatchUp {
		l.now, l.before = map[uuid.UUID]struct{}{}, l.now
	}
	l.now[id] = struct{}{}
	return true
}
