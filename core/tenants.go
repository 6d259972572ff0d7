package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/certs"
)

// TenantInput is what an operator decides about a new tenant.
type TenantInput struct {
	Slug string
	// Name defaults to the slug.
	Name string
	// NoPlatformSync withholds the platform's sync service.
	NoPlatformSync bool
}

// scope is a tenant and the handle its rows are reached through.
type scope struct {
	tenant Tenant
	store  TenantStore
}

// CreateTenant makes a tenant, its intermediate and its store.
func (c *Core) CreateTenant(ctx context.Context, actor Actor, in TenantInput) (Tenant, error) {
	p, err := c.ready()
	if err != nil {
		return Tenant{}, err
	}
	tenant, err := c.newTenant(p, in)
	if err != nil {
		return Tenant{}, err
	}
	done, err := c.administer(ctx)
	if err != nil {
		return Tenant{}, err
	}
	defer done()
	if err := c.clearSlug(ctx, tenant.Slug); err != nil {
		return Tenant{}, err
	}
	root, err := c.issuer(ctx, AuthorityRoot, uuid.Nil)
	if err != nil {
		return Tenant{}, err
	}
	intermediate, err := root.NewTenantIntermediate(tenant.Slug, tenant.CreatedAt)
	if err != nil {
		return Tenant{}, err
	}
	authority, err := c.sealAuthority(AuthorityTenant, tenant.ID, intermediate, tenant.CreatedAt)
	if err != nil {
		return Tenant{}, err
	}
	if err := c.recordTenant(ctx, actor, tenant, authority); err != nil {
		return Tenant{}, err
	}
	c.trust.Lock()
	defer c.trust.Unlock()
	return tenant, p.issuers.Add(certs.Issuer{TenantID: tenant.ID, Tenant: tenant.Slug, Certificate: intermediate.Certificate})
}

func (c *Core) newTenant(p *platform, in TenantInput) (Tenant, error) {
	if in.Name == "" {
		in.Name = in.Slug
	}
	if err := certs.ValidTenantSlug(in.Slug); err != nil {
		return Tenant{}, invalid("create tenant: %v", err)
	}
	if in.Slug == p.Slug {
		return Tenant{}, invalid("create tenant %q: the slug is the platform's own: choose another", in.Slug)
	}
	if _, err := certs.CommonName("c", defaultPartition, in.Slug, p.TrustDomain); err != nil {
		return Tenant{}, invalid("create tenant: %v", err)
	}
	if err := validName("tenant name", in.Name); err != nil {
		return Tenant{}, err
	}
	return Tenant{
		ID: uuid.New(), Slug: in.Slug, Name: in.Name, State: TenantActive,
		PlatformSync: !in.NoPlatformSync, CreatedAt: c.now(),
	}, nil
}

// clearSlug makes sure that nobody has the slug. A tenant that has it and never
// came to be, or is half removed, is cleared away.
func (c *Core) clearSlug(ctx context.Context, slug string) error {
	existing, err := c.lookUpTenant(ctx, slug)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case existing.State == TenantRemoving:
		return c.finishRemoval(ctx, existing)
	}
	return exists("create tenant %q: it exists already", slug)
}

// recordTenant carries a new tenant through: its slug is reserved as if it were
// being removed, so that whatever cuts this short leaves something the next
// attempt clears away; the row that makes it active is written last.
func (c *Core) recordTenant(ctx context.Context, actor Actor, tenant Tenant, authority Authority) error {
	if err := c.reserveTenant(ctx, tenant); err != nil {
		return err
	}
	store, err := c.store.CreateTenant(ctx, tenant.ID)
	if err != nil {
		return fmt.Errorf("create store of tenant %s: %w", tenant.Slug, err)
	}
	err = c.change(ctx, scope{tenant, store}, func(_ TenantTx, events *eventLog) error {
		events.add(actor, Event{Type: "tenant.created", Message: "tenant " + tenant.Slug + " created"})
		return nil
	})
	if err != nil {
		return fmt.Errorf("record creation of tenant %s: %w", tenant.Slug, err)
	}
	err = c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		if err := tx.PutTenant(ctx, tenant); err != nil {
			return err
		}
		return tx.PutAuthority(ctx, authority)
	})
	if err != nil {
		return fmt.Errorf("record tenant %s: %w", tenant.Slug, err)
	}
	c.pulses.touch(tenant.ID)
	return nil
}

func (c *Core) reserveTenant(ctx context.Context, tenant Tenant) error {
	tenant.State = TenantRemoving
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.PutTenant(ctx, tenant) })
	if errors.Is(err, ErrConflict) {
		return exists("create tenant %q: it exists already", tenant.Slug)
	}
	if err != nil {
		return fmt.Errorf("reserve slug %s: %w", tenant.Slug, err)
	}
	return nil
}

// Tenants lists the tenants by slug, the platform's among them.
func (c *Core) Tenants(ctx context.Context) ([]Tenant, error) {
	if _, err := c.ready(); err != nil {
		return nil, err
	}
	all, err := c.allTenants(ctx)
	return slices.DeleteFunc(all, func(t Tenant) bool { return t.State == TenantRemoving }), err
}

func (c *Core) allTenants(ctx context.Context) ([]Tenant, error) {
	var all []Tenant
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.Tenants(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return all, nil
}

// Tenant finds a tenant by its slug.
func (c *Core) Tenant(ctx context.Context, slug string) (Tenant, error) {
	if _, err := c.ready(); err != nil {
		return Tenant{}, err
	}
	if slug == "" {
		return Tenant{}, invalid("find tenant: its slug is empty: name a tenant")
	}
	tenant, err := c.lookUpTenant(ctx, slug)
	if errors.Is(err, ErrNotFound) || err == nil && tenant.State == TenantRemoving {
		return Tenant{}, NoTenant(slug)
	}
	return tenant, err
}

func (c *Core) lookUpTenant(ctx context.Context, slug string) (Tenant, error) {
	var tenant Tenant
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		tenant, err = tx.TenantBySlug(ctx, slug)
		return err
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("find tenant %s: %w", slug, err)
	}
	return tenant, nil
}

// tenantByID finds a tenant that is not being removed, or returns ErrNotFound.
func (c *Core) tenantByID(ctx context.Context, id uuid.UUID) (Tenant, error) {
	var tenant Tenant
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		tenant, err = tx.Tenant(ctx, id)
		return err
	})
	if err == nil && tenant.State == TenantRemoving {
		err = ErrNotFound
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("find tenant %s: %w", id, err)
	}
	return tenant, nil
}

// scope opens a tenant's store by its slug.
func (c *Core) scope(ctx context.Context, slug string) (scope, error) {
	tenant, err := c.Tenant(ctx, slug)
	if err != nil {
		return scope{}, err
	}
	return c.scopeOf(ctx, tenant)
}

func (c *Core) scopeOf(ctx context.Context, tenant Tenant) (scope, error) {
	store, err := c.store.Tenant(ctx, tenant.ID)
	if errors.Is(err, ErrNotFound) {
		return scope{}, &Error{Code: codes.NotFound, Message: "find tenant " + strconv.Quote(tenant.Slug) + ": there is none any more", cause: err}
	}
	if err != nil {
		return scope{}, fmt.Errorf("open store of tenant %s: %w", tenant.Slug, err)
	}
	return scope{tenant, store}, nil
}

// scopes opens one tenant's store, or with an empty slug hands over one tenant
// after the other.
func (c *Core) scopes(ctx context.Context, slug string, visit func(scope) error) error {
	if slug != "" {
		s, err := c.scope(ctx, slug)
		if err != nil {
			return err
		}
		return visit(s)
	}
	tenants, err := c.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		s, err := c.scopeOf(ctx, tenant)
		if err == nil {
			err = visit(s)
		}
		if err != nil && !errors.Is(err, ErrNotFound) { // It was removed since it was listed.
			return err
		}
	}
	return nil
}
