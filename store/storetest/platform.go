package storetest

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"edgesync/core"
)

func platformUpdate(t testing.TB, store core.Store, fn func(context.Context, core.PlatformTx) error) error {
	t.Helper()
	return store.Platform().Update(t.Context(), func(tx core.PlatformTx) error { return fn(t.Context(), tx) })
}

func platformView(t testing.TB, store core.Store, fn func(context.Context, core.PlatformTx) error) {
	t.Helper()
	check(t, store.Platform().View(t.Context(), func(tx core.PlatformTx) error { return fn(t.Context(), tx) }))
}

func testPlatform(t *testing.T, place Place) {
	store := open(t, place)
	want := core.Platform{
		TenantID: uuid.New(), Slug: "platform", TrustDomain: "example.org",
		GatewayAddr: "gw.example.org:50051", CAAddr: "ca.example.org:8443", CreatedAt: at(0),
	}
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		_, err := tx.Platform(ctx)
		wantError(t, "read platform before the bootstrap", err, core.ErrNotFound)
		return nil
	})
	for _, addr := range []string{"gw.example.org:50051", "other.example.org:443"} {
		want.GatewayAddr = addr
		check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
			return tx.PutPlatform(ctx, want)
		}))
		platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
			got, err := tx.Platform(ctx)
			equal(t, "platform", got, want)
			return err
		})
	}
}

func testTenants(t *testing.T, place Place) {
	store := open(t, place)
	a := core.Tenant{ID: uuid.New(), Slug: "acme", Name: "Acme; DROP TABLE tenant --", State: core.TenantActive, PlatformSync: true, CreatedAt: at(1)}
	b := core.Tenant{ID: uuid.New(), Slug: "bolt", Name: "Bolt's \"own\" %_", IsPlatform: true, State: core.TenantSuspended}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutTenant(ctx, b))
		return tx.PutTenant(ctx, a)
	}))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		all, err := tx.Tenants(ctx)
		check(t, err)
		equal(t, "tenants in order of slug", all, []core.Tenant{a, b})
		one, err := tx.Tenant(ctx, b.ID)
		check(t, err)
		equal(t, "tenant by id", one, b)
		one, err = tx.TenantBySlug(ctx, "acme")
		check(t, err)
		equal(t, "tenant by slug", one, a)
		_, err = tx.Tenant(ctx, uuid.New())
		wantError(t, "read unknown tenant", err, core.ErrNotFound)
		_, err = tx.TenantBySlug(ctx, "ACME")
		wantError(t, "read unknown slug", err, core.ErrNotFound)
		return nil
	})
	err := platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		return tx.PutTenant(ctx, core.Tenant{ID: uuid.New(), Slug: "acme"})
	})
	wantError(t, "put tenant with a slug that is taken", err, core.ErrConflict)
	err = platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		return tx.DeleteTenant(ctx, uuid.New())
	})
	wantError(t, "delete unknown tenant", err, core.ErrNotFound)
	a.State, a.PlatformSync = core.TenantRemoving, false
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error { return tx.PutTenant(ctx, a) }))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		one, err := tx.Tenant(ctx, a.ID)
		equal(t, "tenant put again", one, a)
		return err
	})
}

func testAuthorities(t *testing.T, place Place) {
	store := open(t, place)
	tenant := core.Tenant{ID: uuid.New(), Slug: "acme", State: core.TenantActive}
	root := core.Authority{
		KeyID: "00aa", Kind: core.AuthorityRoot, Certificate: []byte{0, 1, 2}, SealedKey: []byte{3},
		State: core.AuthorityActive, CreatedAt: at(0),
	}
	own := core.Authority{
		KeyID: "00bb", Kind: core.AuthorityTenant, TenantID: tenant.ID, Certificate: []byte("der"),
		SealedKey: []byte("sealed"), State: core.AuthorityActive, CreatedAt: at(1),
	}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutTenant(ctx, tenant))
		check(t, tx.PutAuthority(ctx, own))
		return tx.PutAuthority(ctx, root)
	}))
	own.State, own.EndsAt, own.CrossCertificates = core.AuthorityRetiring, at(9), []byte("der der")
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		return tx.PutAuthority(ctx, own)
	}))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		all, err := tx.Authorities(ctx)
		check(t, err)
		equal(t, "authorities in order of creation", all, []core.Authority{root, own})
		all, err = tx.TenantAuthorities(ctx, tenant.ID)
		check(t, err)
		equal(t, "authorities of the tenant", all, []core.Authority{own})
		all, err = tx.TenantAuthorities(ctx, uuid.Nil)
		equal(t, "roots", all, []core.Authority{root})
		return err
	})
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		return tx.DeleteTenant(ctx, tenant.ID)
	}))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		all, err := tx.Authorities(ctx)
		equal(t, "authorities after the tenant was deleted", all, []core.Authority{root})
		return err
	})
}

func testAssignments(t *testing.T, place Place) {
	store := open(t, place)
	service, other := uuid.New(), uuid.New()
	tenants := []core.Tenant{{ID: uuid.New(), Slug: "a"}, {ID: uuid.New(), Slug: "b"}}
	assigned := func(service uuid.UUID) map[uuid.UUID]bool {
		found := map[uuid.UUID]bool{}
		platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
			ids, err := tx.AssignedTenants(ctx, service)
			for _, id := range ids {
				found[id] = true
			}
			equal(t, "number of assigned tenants", len(ids), len(found))
			return err
		})
		return found
	}
	equal(t, "assigned at first", assigned(service), map[uuid.UUID]bool{})
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		for _, tenant := range tenants {
			check(t, tx.PutTenant(ctx, tenant))
			check(t, tx.SetAssigned(ctx, service, tenant.ID, 1))
			check(t, tx.SetAssigned(ctx, service, tenant.ID, 3))
		}
		return tx.SetAssigned(ctx, other, tenants[0].ID, 2)
	}))
	equal(t, "assigned", assigned(service), map[uuid.UUID]bool{tenants[0].ID: true, tenants[1].ID: true})
	equal(t, "assigned to the other", assigned(other), map[uuid.UUID]bool{tenants[0].ID: true})
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.SetAssigned(ctx, service, tenants[1].ID, 0))
		check(t, tx.SetAssigned(ctx, uuid.New(), tenants[1].ID, 0))
		return tx.DeleteTenant(ctx, tenants[0].ID)
	}))
	equal(t, "assigned after removals", assigned(service), map[uuid.UUID]bool{})
	equal(t, "assigned to the other after removals", assigned(other), map[uuid.UUID]bool{})
}

func testTenantFiles(t *testing.T, place Place) {
	store, id := open(t, place), uuid.New()
	_, err := store.Tenant(t.Context(), id)
	wantError(t, "open unknown tenant", err, core.ErrNotFound)
	check(t, store.DropTenant(t.Context(), id))

	tenant, err := store.CreateTenant(t.Context(), id)
	check(t, err)
	service := core.SyncService{ID: uuid.New(), Name: "s", ComponentID: "s"}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PutService(ctx, service) })
	for _, again := range []func(context.Context, uuid.UUID) (core.TenantStore, error){store.Tenant, store.CreateTenant} {
		same, err := again(t.Context(), id)
		check(t, err)
		view(t, same, func(ctx context.Context, tx core.TenantTx) error {
			_, err := tx.Service(ctx, service.ID)
			return err
		})
	}

	check(t, store.DropTenant(t.Context(), id))
	_, err = store.Tenant(t.Context(), id)
	wantError(t, "open dropped tenant", err, core.ErrNotFound)
	none := func(core.TenantTx) error { return nil }
	wantError(t, "view dropped tenant", tenant.View(t.Context(), none), core.ErrNotFound)
	wantError(t, "update dropped tenant", tenant.Update(t.Context(), none), core.ErrNotFound)

	tenant, err = store.CreateTenant(t.Context(), id)
	check(t, err)
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		services, err := tx.Services(ctx)
		equal(t, "services of a tenant made anew", len(services), 0)
		return err
	})
}
