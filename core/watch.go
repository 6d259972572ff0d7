package core

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// TailEvents hands over events as they are recorded, after as many of the past
// as the query's limit and time ask for, until yield returns an error or ctx ends.
func (c *Core) TailEvents(ctx context.Context, query EventQuery, yield func(TenantEvent) error) error {
	if query.Tenant != "" {
		if _, err := c.Tenant(ctx, query.Tenant); err != nil {
			return err
		}
	} else if _, err := c.ready(); err != nil {
		return err
	}
	w := c.watchers.add(query, c.now())
	defer c.watchers.drop(w)
	shown := map[uuid.UUID]bool{}
	if query.Limit > 0 || !query.Since.IsZero() {
		past, err := c.Events(ctx, query)
		if err != nil {
			return err
		}
		for _, event := range past {
			shown[event.ID] = true
			if err := yield(event); err != nil {
				return err
			}
		}
	}
	return w.follow(ctx, shown, yield)
}

// watchers are those who want to see events as they are recorded.
type watchers struct {
	mu  sync.Mutex
	all map[*watcher]struct{}
	// told are the events told lately: those of other processes are read from the
	// store, which has this one's, too.
	told lately
}

// watcher is one of them. Recording an event never waits for a watcher: one
// whose channel is full is behind, and is told so.
type watcher struct {
	query  EventQuery
	began  time.Time
	events chan TenantEvent
	behind chan struct{}
	once   sync.Once
}

const watcherBuffer = 1024

func (w *watchers) add(query EventQuery, began time.Time) *watcher {
	one := &watcher{query: query, began: began, events: make(chan TenantEvent, watcherBuffer), behind: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[*watcher]struct{}{}
	}
	w.all[one] = struct{}{}
	return one
}

func (w *watchers) drop(one *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, one)
}

func (w *watchers) tell(tenant Tenant, events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) == 0 {
		w.told = lately{}
		return
	}
	for _, event := range events {
		if !w.told.first(event.ID) {
			continue
		}
		for one := range w.all {
			one.offer(TenantEvent{tenant, event})
		}
	}
}

func (w *watcher) offer(event TenantEvent) {
	if event.Time.Before(w.began) {
		return
	}
	if w.query.Tenant != "" && w.query.Tenant != event.Tenant.Slug || !strings.HasPrefix(event.Type, w.query.TypePrefix) {
		return
	}
	select {
	case w.events <- event:
	default:
		w.once.Do(func() { close(w.behind) })
	}
}

// follow hands over what the watcher is offered. Events of the past that were
// shown already were recorded while the past was read.
func (w *watcher) follow(ctx context.Context, shown map[uuid.UUID]bool, yield func(TenantEvent) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.behind:
			return aborted("tail events: they come faster than they are read: start again")
		case event := <-w.events:
			if shown[event.ID] {
				continue
			}
			if err := yield(event); err != nil {
				return err
			}
		}
	}
}
