package core_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"edgesync/core"
)

// follow runs a watch and hands its updates over until the test ends.
func follow(t *testing.T, c *core.Core, query core.WatchQuery) <-chan core.WatchUpdate {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	updates, done := make(chan core.WatchUpdate, 100), make(chan struct{})
	go func() {
		defer close(done)
		err := c.Watch(ctx, query, func(u core.WatchUpdate) error { updates <- u; return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return updates
}

// until reads updates until one satisfies want.
func until(t *testing.T, updates <-chan core.WatchUpdate, what string, want func(core.WatchUpdate) bool) core.WatchUpdate {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case u := <-updates:
			if want(u) {
				return u
			}
		case <-deadline:
			t.Fatalf("no update with %s", what)
		}
	}
}

func TestWatchTellsAllFirstThenWhatChanges(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	updates := follow(t, w.Core, core.WatchQuery{Events: 10})
	first := until(t, updates, "the platform", func(u core.WatchUpdate) bool { return u.Platform != nil })
	if len(first.Tenants) != 2 || !first.SharedChanged || len(first.Events) == 0 {
		t.Fatalf("the first update has %d tenants, shared %v, %d events", len(first.Tenants), first.SharedChanged, len(first.Events))
	}
	w.tenant("globex")
	until(t, updates, "the new tenant and its event", func(u core.WatchUpdate) bool {
		return len(u.Tenants) == 1 && u.Tenants[0].Tenant.Slug == "globex"
	})
	if err := w.Core.RemoveTenant(t.Context(), operator, "globex"); err != nil {
		t.Fatal(err)
	}
	until(t, updates, "the tenant removed", func(u core.WatchUpdate) bool { return len(u.Removed) == 1 && u.Removed[0] == "globex" })
}

func TestWatchOfOneTenantTellsOfNoOther(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.tenant("globex")
	updates := follow(t, w.Core, core.WatchQuery{Tenant: "acme", Events: 100})
	until(t, updates, "the platform", func(u core.WatchUpdate) bool { return u.Platform != nil })
	if _, err := w.Core.SuspendTenant(t.Context(), operator, "globex", false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Core.SuspendTenant(t.Context(), operator, "acme", false); err != nil {
		t.Fatal(err)
	}
	until(t, updates, "acme suspended", func(u core.WatchUpdate) bool {
		for _, summary := range u.Tenants {
			if summary.Tenant.Slug != "acme" {
				t.Errorf("told of tenant %s", summary.Tenant.Slug)
			}
		}
		for _, event := range u.Events {
			if event.Tenant.Slug != "acme" {
				t.Errorf("told of an event of tenant %s", event.Tenant.Slug)
			}
		}
		return len(u.Tenants) == 1 && u.Tenants[0].Tenant.State == core.TenantSuspended
	})
}
