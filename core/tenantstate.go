package core

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"edgesync/certs"
)

// SuspendTenant refuses a tenant's identities from now on, or with resume
// admits them again. Doing it twice is no change.
func (c *Core) SuspendTenant(ctx context.Context, actor Actor, slug string, resume bool) (Tenant, error) {
	done, err := c.administer(ctx)
	if err != nil {
		return Tenant{}, err
	}
	defer done()
	s, err := c.scope(ctx, slug)
	if err != nil {
		return Tenant{}, err
	}
	if s.tenant.IsPlatform {
		return Tenant{}, precondition("suspend tenant %q: it is the platform's own", slug)
	}
	state, event := TenantSuspended, "tenant.suspended"
	if resume {
		state, event = TenantActive, "tenant.resumed"
	}
	if s.tenant.State == state {
		return s.tenant, c.followState(ctx, s.tenant)
	}
	s.tenant.State = state
	err = c.store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.PutTenant(ctx, s.tenant) })
	if err != nil {
		return Tenant{}, fmt.Errorf("record state of tenant %s: %w", slug, err)
	}
	if err := c.followState(ctx, s.tenant); err != nil {
		return Tenant{}, err
	}
	err = c.change(ctx, s, func(_ TenantTx, events *eventLog) error {
		events.add(actor, Event{Type: event, Severity: SeverityWarning, Message: "tenant " + slug + " is " + string(state)})
		return nil
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("record event of tenant %s: %w", slug, err)
	}
	return s.tenant, nil
}

// followState has handshakes, and what is under way, follow a tenant's state.
func (c *Core) followState(ctx context.Context, tenant Tenant) error {
	c.spread(ctx, Refusal{Revocation: certs.Revocation{TenantID: tenant.ID}, State: tenant.State})
	c.invalidate(ctx, tenant.ID)
	if tenant.State == TenantActive {
		return nil
	}
	return c.dismissOperators(ctx, tenant.ID)
}

// RemoveTenant deletes a tenant with its devices, sources, services and
// authority for good. Its identities are refused from the first step on; a
// removal that was cut short is carried out at the next start.
func (c *Core) RemoveTenant(ctx context.Context, actor Actor, slug string) error {
	done, err := c.administer(ctx)
	if err != nil {
		return err
	}
	defer done()
	tenant, err := c.Tenant(ctx, slug)
	if err != nil {
		return err
	}
	if tenant.IsPlatform {
		return precondition("remove tenant %q: it is the platform's own", slug)
	}
	tenant.State = TenantRemoving
	err = c.store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.PutTenant(ctx, tenant) })
	if err != nil {
		return fmt.Errorf("record removal of tenant %s: %w", slug, err)
	}
	if err := c.followState(ctx, tenant); err != nil {
		return err
	}
	own, err := c.platformScope(ctx)
	if err != nil {
		return err
	}
	// The tenant's own events go with it, so this one is kept by the platform.
	err = c.change(ctx, own, func(_ TenantTx, events *eventLog) error {
		events.add(actor, Event{
			Type: "tenant.removed", Severity: SeverityWarning, Message: "tenant " + slug + " removed",
			Details: map[string]string{"tenant": slug, "tenant_id": tenant.ID.String()},
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("record event of tenant %s: %w", slug, err)
	}
	return c.finishRemoval(ctx, tenant)
}

// resumeRemovals clears away what was cut short before this start. What another
// process is doing right now is waited for.
func (c *Core) resumeRemovals(ctx context.Context) error {
	tenants, err := c.allTenants(ctx)
	if err != nil || !slices.ContainsFunc(tenants, func(t Tenant) bool { return t.State == TenantRemoving }) {
		return err
	}
	done, err := c.administer(ctx)
	if err != nil {
		return err
	}
	defer done()
	return c.finishRemovals(ctx)
}

// finishRemovals clears away every tenant whose making or removal was cut short.
func (c *Core) finishRemovals(ctx context.Context) error {
	tenants, err := c.allTenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if tenant.State != TenantRemoving {
			continue
		}
		if err := c.finishRemoval(ctx, tenant); err != nil {
			return err
		}
	}
	return nil
}

// finishRemoval deletes the tenant's store and then its row, so that a store is
// never left without a row that names it. The tenant's lane is held: what is
// under way in its store ends first.
func (c *Core) finishRemoval(ctx context.Context, tenant Tenant) error {
	lane := c.lane(tenant.ID)
	if err := lane.take(ctx); err != nil {
		return err
	}
	defer lane.leave()
	if err := c.store.DropTenant(ctx, tenant.ID); err != nil {
		return fmt.Errorf("delete store of tenant %s: %w", tenant.Slug, err)
	}
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.DeleteTenant(ctx, tenant.ID) })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete tenant %s: %w", tenant.Slug, err)
	}
	c.invalidate(ctx, tenant.ID)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lanes, tenant.ID)
	return nil
}

// platformScope is the platform tenant's.
func (c *Core) platformScope(ctx context.Context) (scope, error) {
	p, err := c.ready()
	if err != nil {
		return scope{}, err
	}
	tenant, err := c.tenantByID(ctx, p.TenantID)
	if err != nil {
		return scope{}, err
	}
	return c.scopeOf(ctx, tenant)
}
