package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// services are all the sync services of one tenant.
func services(ctx context.Context, s scope) ([]SyncService, error) {
	var found []SyncService
	err := s.store.View(ctx, func(tx TenantTx) (err error) {
		found, err = tx.Services(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sync services of tenant %s: %w", s.tenant.Slug, err)
	}
	return found, nil
}

// candidates are the services a tenant's source could be given to, usable or
// not: its own, and the platform's unless that is withheld.
func (c *Core) candidates(ctx context.Context, s scope) ([]SyncService, error) {
	found, err := services(ctx, s)
	if err != nil || s.tenant.IsPlatform || !s.tenant.PlatformSync {
		return found, err
	}
	own, err := c.platformScope(ctx)
	if err != nil {
		return nil, err
	}
	shared, err := services(ctx, own)
	return append(found, slices.DeleteFunc(shared, func(s SyncService) bool { return !s.IsPlatformSync })...), err
}

// pickService finds the one service that is to run a source.
func (c *Core) pickService(ctx context.Context, s scope, ref, source string) (SyncService, error) {
	all, err := c.candidates(ctx, s)
	if err != nil {
		return SyncService{}, err
	}
	if ref != "" {
		return pickNamed(all, s.tenant, ref, source)
	}
	able := slices.DeleteFunc(all, func(s SyncService) bool { return !usable(s) })
	switch len(able) {
	case 0:
		return SyncService{}, precondition("assign source %q: tenant %s has no sync service: run `edgesync onboard --tenant %s --name NAME` first", source, s.tenant.Slug, s.tenant.Slug)
	case 1:
		return able[0], nil
	}
	names := make([]string, len(able))
	for i, service := range able {
		names[i] = service.Name
	}
	return SyncService{}, invalid("assign source %q: several sync services could run it: name one of %s (--service)", source, strings.Join(names, ", "))
}

func pickNamed(all []SyncService, tenant Tenant, ref, source string) (SyncService, error) {
	i := indexOf(all, ref)
	if i < 0 {
		return SyncService{}, notFound("assign source %q: tenant %s has no sync service %q: see `edgesync service list --tenant %s`", source, tenant.Slug, clean(ref, maxName), tenant.Slug)
	}
	return all[i], checkUsable(all[i], source)
}

func checkUsable(service SyncService, source string) error {
	switch {
	case usable(service):
		return nil
	case service.State != ServiceActive:
		return precondition("assign source %q: sync service %q is %s: onboard it again, or choose another", source, service.Name, service.State)
	}
	return precondition("assign source %q: the platform's sync service %q has not connected yet: start it with `edgesync run`, or onboard one of the tenant's own", source, service.Name)
}

// assign runs put in one transaction with the check that the services which are
// the tenant's own are still usable. The index of the platform's services is
// written before and corrected after: it may for a moment name a tenant that
// has nothing assigned, but never miss one that has. The caller holds the
// lane's sources.
func (c *Core) assign(ctx context.Context, s scope, source string, to []SyncService, put func(TenantTx, *eventLog) error) error {
	for _, service := range to {
		if service.IsPlatformSync {
			if err := c.index(ctx, s, service.ID, 1); err != nil {
				return err
			}
		}
	}
	err := c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		for _, service := range to {
			if service.IsPlatformSync {
				continue
			}
			now, err := tx.Service(ctx, service.ID)
			if err != nil {
				return fmt.Errorf("find sync service %s: %w", service.ID, err)
			}
			if err := checkUsable(now, source); err != nil {
				return err
			}
		}
		return put(tx, events)
	})
	if err := c.reindex(context.WithoutCancel(ctx), s); err != nil {
		// What was done is done; the index names the tenant needlessly at worst.
		c.log.Warn("correct index of assignments", "tenant", s.tenant.Slug, "error", err)
	}
	return err
}

// index records that a service runs as many sources of the tenant as it does
// now, and more.
func (c *Core) index(ctx context.Context, s scope, service uuid.UUID, more int) error {
	_, sources, err := servicesAndSources(ctx, s)
	if err != nil {
		return err
	}
	tally := tally{}
	tally.add(sources)
	return c.setAssigned(ctx, s.tenant, service, tally[service].sources+more)
}

// reindex corrects the index of every platform service for one tenant.
func (c *Core) reindex(ctx context.Context, s scope) error {
	own, err := c.platformScope(ctx)
	if err != nil {
		return err
	}
	shared, err := services(ctx, own)
	if err != nil {
		return err
	}
	for _, service := range shared {
		if service.IsPlatformSync {
			if err := c.index(ctx, s, service.ID, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Core) setAssigned(ctx context.Context, tenant Tenant, service uuid.UUID, sources int) error {
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		return tx.SetAssigned(ctx, service, tenant.ID, sources)
	})
	if err != nil {
		return fmt.Errorf("record assignment of tenant %s: %w", tenant.Slug, err)
	}
	return nil
}

// assignedTenants are the tenants that a service runs sources of and whose
// identities are admitted, by slug.
func (c *Core) assignedTenants(ctx context.Context, service uuid.UUID) ([]Tenant, error) {
	var found []Tenant
	err := c.store.Platform().View(ctx, func(tx PlatformTx) error {
		found = nil
		ids, err := tx.AssignedTenants(ctx, service)
		if err != nil {
			return err
		}
		for _, id := range ids {
			tenant, err := tx.Tenant(ctx, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if tenant.State == TenantActive {
				found = append(found, tenant)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list tenants of sync service %s: %w", service, err)
	}
	return found, nil
}
