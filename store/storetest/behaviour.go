package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"edgesync/core"
)

// testIsolation puts the same ids into two tenants, and other ids into one.
func testIsolation(t *testing.T, place Place) {
	store := open(t, place)
	a, b := createTenant(t, store), createTenant(t, store)
	service, source := aService("s"), aSource("s")
	thing := newThing("s1", "id:1", "default").mac("aa:00:00:00:00:01").ip("10.0.0.1")
	fill := func(tenant core.TenantStore, name string) {
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			service, source := service, source
			service.Name, source.Endpoint = name, name
			check(t, tx.PutService(ctx, service))
			check(t, tx.PutSource(ctx, source))
			check(t, tx.PutRun(ctx, core.Run{ID: "r", SourceID: source.ID, Error: name}))
			check(t, tx.AppendEvents(ctx, core.Event{ID: uuid.UUID{1}, Time: at(1), Type: name}))
			thing.a.Facts.Hostname = name
			return tx.Apply(ctx, thing.plan())
		})
	}
	fill(a, "of-a")
	view(t, b, func(ctx context.Context, tx core.TenantTx) error {
		_, err := tx.Service(ctx, service.ID)
		wantError(t, "read the other tenant's service", err, core.ErrNotFound)
		_, err = tx.Source(ctx, source.ID)
		wantError(t, "read the other tenant's source", err, core.ErrNotFound)
		_, err = tx.Run(ctx, source.ID, "r")
		wantError(t, "read the other tenant's run", err, core.ErrNotFound)
		_, _, err = tx.Device(ctx, thing.a.HomeID)
		wantError(t, "read the other tenant's device", err, core.ErrNotFound)
		events, err := tx.Events(ctx, core.EventFilter{})
		check(t, err)
		equal(t, "events of an empty tenant", len(events), 0)
		n, err := tx.CountDevices(ctx, core.DeviceFilter{})
		equal(t, "devices of an empty tenant", n, 0)
		return err
	})
	fill(b, "of-b")
	for name, tenant := range map[string]core.TenantStore{"of-a": a, "of-b": b} {
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			got, err := tx.Service(ctx, service.ID)
			check(t, err)
			equal(t, "own service", got.Name, name)
			device, _, err := tx.Device(ctx, thing.a.HomeID)
			check(t, err)
			equal(t, "own device", device.Hostname, name)
			events, err := tx.Events(ctx, core.EventFilter{})
			check(t, err)
			equal(t, "own events", len(events) == 1 && events[0].Type == name, true)
			return nil
		})
	}
}

func testTransactions(t *testing.T, place Place) {
	store := open(t, place)
	tenant := createTenant(t, store)
	boom := errors.New("boom")
	source, service := aSource("kept"), aService("kept")
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PutSource(ctx, source) })

	everything := func(ctx context.Context, tx core.TenantTx) {
		check(t, tx.PutService(ctx, service))
		check(t, tx.PutSourceStats(ctx, source.ID, core.SourceStats{TotalSyncs: 1}))
		check(t, tx.PutRun(ctx, core.Run{ID: "r", SourceID: source.ID}))
		check(t, tx.AppendEvents(ctx, core.Event{ID: uuid.New(), Time: at(1), Type: "x"}))
		check(t, tx.Apply(ctx, newThing("s", "id:1", "p").mac("aa:00:00:00:00:01").plan()))
		// A transaction sees what it wrote.
		_, err := tx.Service(ctx, service.ID)
		check(t, err)
		n, err := tx.CountDevices(ctx, core.DeviceFilter{})
		check(t, err)
		equal(t, "devices within the transaction", n, 1)
		check(t, tx.DeleteSource(ctx, source.ID))
	}
	err := tenant.Update(t.Context(), func(tx core.TenantTx) error {
		everything(t.Context(), tx)
		return boom
	})
	wantError(t, "update that fails", err, boom)
	func() {
		defer func() { equal(t, "panic", recover(), any("boom")) }()
		_ = tenant.Update(t.Context(), func(tx core.TenantTx) error {
			everything(t.Context(), tx)
			panic("boom")
		})
	}()
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		got, err := tx.Source(ctx, source.ID)
		check(t, err)
		equal(t, "source after roll back", got, source)
		services, err := tx.Services(ctx)
		check(t, err)
		runs, err := tx.Runs(ctx, source.ID, 0)
		check(t, err)
		events, err := tx.Events(ctx, core.EventFilter{})
		check(t, err)
		n, err := tx.CountDevices(ctx, core.DeviceFilter{})
		equal(t, "rows after roll back", len(services)+len(runs)+len(events)+int(n), 0)
		return err
	})
	err = platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutTenant(ctx, core.Tenant{ID: uuid.New(), Slug: "gone"}))
		return boom
	})
	wantError(t, "platform update that fails", err, boom)
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		_, err := tx.TenantBySlug(ctx, "gone")
		wantError(t, "tenant after roll back", err, core.ErrNotFound)
		return nil
	})
	err = tenant.View(t.Context(), func(tx core.TenantTx) error { return tx.PutSource(t.Context(), aSource("w")) })
	wantFailure(t, "write in a view", err)
	wantError(t, "view that fails", tenant.View(t.Context(), func(core.TenantTx) error { return boom }), boom)
	testSnapshot(t, tenant)
}

// testSnapshot checks that a view does not see what is written while it runs,
// and does not hold the writer up.
func testSnapshot(t *testing.T, tenant core.TenantStore) {
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		before, err := tx.Sources(ctx)
		check(t, err)
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PutSource(ctx, aSource("later")) })
		after, err := tx.Sources(ctx)
		equal(t, "sources within one view", after, before)
		return err
	})
}

// testConcurrency has many writers count in one row and in the platform, while
// readers read: every one gets through, and no count is lost.
func testConcurrency(t *testing.T, place Place) {
	store := open(t, place)
	tenants := []core.TenantStore{createTenant(t, store), createTenant(t, store)}
	source, slug := aSource("counter"), uuid.New()
	for _, tenant := range tenants {
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PutSource(ctx, source) })
	}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		return tx.PutTenant(ctx, core.Tenant{ID: slug, Slug: "s", Name: "0"})
	}))
	const writers, each = 8, 5
	group, ctx := errgroup.WithContext(t.Context())
	for i := range writers {
		tenant := tenants[i%len(tenants)]
		group.Go(func() error {
			for range each {
				if err := tenant.Update(ctx, func(tx core.TenantTx) error { return countUp(ctx, tx, source.ID) }); err != nil {
					return err
				}
				if err := store.Platform().Update(ctx, func(tx core.PlatformTx) error { return countTenant(ctx, tx, slug) }); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			return tenant.View(ctx, func(tx core.TenantTx) error {
				_, err := tx.Sources(ctx)
				return err
			})
		})
	}
	check(t, group.Wait())
	for _, tenant := range tenants {
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			got, err := tx.Source(ctx, source.ID)
			equal(t, "count", got.Stats.TotalSyncs, writers*each/2)
			return err
		})
	}
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		got, err := tx.Tenant(ctx, slug)
		equal(t, "count on the platform", got.Name, fmt.Sprint(writers*each))
		return err
	})
}

func countUp(ctx context.Context, tx core.TenantTx, source uuid.UUID) error {
	got, err := tx.Source(ctx, source)
	if err != nil {
		return err
	}
	got.Stats.TotalSyncs++
	return tx.PutSourceStats(ctx, source, got.Stats)
}

func countTenant(ctx context.Context, tx core.PlatformTx, id uuid.UUID) error {
	got, err := tx.Tenant(ctx, id)
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(got.Name, &n); err != nil {
		return err
	}
	got.Name = fmt.Sprint(n + 1)
	return tx.PutTenant(ctx, got)
}

// testCancellation checks that a caller who gives up gets its own reason back,
// keeps nothing, and leaves the store usable.
func testCancellation(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	ctx, cancel := context.WithCancel(t.Context())
	err := tenant.Update(ctx, func(tx core.TenantTx) error {
		check(t, tx.PutSource(ctx, aSource("a")))
		cancel()
		return tx.PutSource(ctx, aSource("b"))
	})
	wantError(t, "update that is cancelled", err, context.Canceled)
	err = tenant.View(ctx, func(tx core.TenantTx) error { _, err := tx.Sources(ctx); return err })
	wantError(t, "view that is cancelled", err, context.Canceled)

	// A writer that waits for another gives up too.
	ctx, cancel = context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	update(t, tenant, func(inner context.Context, tx core.TenantTx) error {
		check(t, tx.PutSource(inner, aSource("c")))
		waiting.Go(func() {
			err := tenant.Update(ctx, func(tx core.TenantTx) error { return tx.PutSource(ctx, aSource("d")) })
			wantCancelled(t, err)
		})
		cancel()
		waiting.Wait()
		return nil
	})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		sources, err := tx.Sources(ctx)
		equal(t, "sources kept", len(sources), 1)
		return err
	})
}

func wantCancelled(t *testing.T, err error) {
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update that waits and is cancelled: got error %v, want %v", err, context.Canceled)
	}
}

// testReopening checks that what was written is there for the next to open it.
func testReopening(t *testing.T, place Place) {
	open := place(t)
	id, source := uuid.New(), aSource("a")
	thing := newThing("s", "id:1", "p").mac("aa:00:00:00:00:01")
	for i := range 3 {
		store := open()
		tenant, err := store.CreateTenant(t.Context(), id)
		check(t, err)
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			if i == 0 {
				check(t, tx.PutSource(ctx, source))
				return tx.Apply(ctx, thing.plan())
			}
			got, err := tx.Source(ctx, source.ID)
			check(t, err)
			equal(t, "source", got, source)
			_, _, err = tx.Device(ctx, thing.a.HomeID)
			return err
		})
		check(t, store.Close())
		wantFailure(t, "view after closing", tenant.View(t.Context(), func(core.TenantTx) error { return nil }))
		_, err = store.Tenant(t.Context(), id)
		wantFailure(t, "open a tenant after closing", err)
	}
}
