package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Status is how a sync service is doing.
type Status string

// The statuses of a sync service. A degraded one is online and has a source
// whose runs fail.
const (
	StatusOnline   Status = "online"
	StatusOffline  Status = "offline"
	StatusDegraded Status = "degraded"
)

// Service is a sync service as operators see it.
type Service struct {
	SyncService
	Tenant Tenant
	Status Status
	// Sources are assigned to it, over every tenant that was asked about;
	// Failing are those of them that are enabled and whose last run failed.
	Sources, Failing int
}

// Services lists the sync services of a tenant by name, or with an empty slug
// of every tenant. With available it also lists the platform's where a tenant
// may use it, and leaves out revoked ones: what a source can be assigned to.
func (c *Core) Services(ctx context.Context, slug string, available bool) ([]Service, error) {
	p, err := c.ready()
	if err != nil {
		return nil, err
	}
	tally := tally{}
	var found []Service
	var tenant Tenant
	err = c.scopes(ctx, slug, func(s scope) error {
		tenant = s.tenant
		services, sources, err := servicesAndSources(ctx, s)
		for _, service := range services {
			if service.State != ServiceRemoved {
				found = append(found, Service{SyncService: service, Tenant: s.tenant})
			}
		}
		tally.add(sources)
		return err
	})
	if err != nil {
		return nil, err
	}
	if slug != "" && !available && tenant.ID == p.TenantID {
		if err := c.tallyAssigned(ctx, tally, found); err != nil {
			return nil, err
		}
	}
	if available {
		if found, err = c.onlyAvailable(ctx, tenant, slug, found); err != nil {
			return nil, err
		}
	}
	for i := range found {
		c.judge(&found[i], tally)
	}
	return found, nil
}

func (c *Core) onlyAvailable(ctx context.Context, tenant Tenant, slug string, found []Service) ([]Service, error) {
	found = slices.DeleteFunc(found, func(s Service) bool { return !usable(s.SyncService) })
	if slug == "" || tenant.IsPlatform || !tenant.PlatformSync {
		return found, nil
	}
	shared, err := c.platformServices(ctx)
	return append(found, shared...), err
}

// usable says whether a source can be assigned to the service. The platform's
// own takes sources once it has shown that it runs.
func usable(s SyncService) bool {
	return s.State == ServiceActive && (!s.IsPlatformSync || !s.FirstHelloAt.IsZero())
}

// platformServices are the platform's sync services that a tenant can use.
func (c *Core) platformServices(ctx context.Context) ([]Service, error) {
	own, err := c.platformScope(ctx)
	if err != nil {
		return nil, err
	}
	all, err := services(ctx, own)
	var shared []Service
	for _, service := range all {
		if service.IsPlatformSync && usable(service) {
			shared = append(shared, Service{SyncService: service, Tenant: own.tenant})
		}
	}
	return shared, err
}

// Service finds a sync service by id, name or component id.
func (c *Core) Service(ctx context.Context, slug, ref string) (Service, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return Service{}, err
	}
	services, sources, err := servicesAndSources(ctx, s)
	if err != nil {
		return Service{}, err
	}
	found := Service{Tenant: s.tenant}
	if found.SyncService, err = findByRef(services, s.tenant, ref); err != nil {
		return Service{}, err
	}
	tally := tally{}
	tally.add(sources)
	if found.IsPlatformSync {
		if err := c.tallyAssigned(ctx, tally, []Service{found}); err != nil {
			return Service{}, err
		}
	}
	c.judge(&found, tally)
	return found, nil
}

// findByRef finds a service that is not removed.
func findByRef(services []SyncService, tenant Tenant, ref string) (SyncService, error) {
	if i := indexOf(services, ref); i >= 0 {
		return services[i], nil
	}
	return SyncService{}, notFound("find sync service %q of tenant %s: there is none: see `edgesync service list --tenant %s`", clean(ref, maxName), tenant.Slug, tenant.Slug)
}

// indexOf finds a service by id, else by name, else by component id.
func indexOf(services []SyncService, ref string) int {
	for _, match := range []func(SyncService) bool{
		func(s SyncService) bool { return s.ID.String() == ref },
		func(s SyncService) bool { return s.Name == ref },
		func(s SyncService) bool { return s.ComponentID == ref },
	} {
		if i := slices.IndexFunc(services, func(s SyncService) bool { return s.State != ServiceRemoved && match(s) }); i >= 0 {
			return i
		}
	}
	return -1
}

// tally counts sources by the service that runs them.
type tally map[uuid.UUID]struct{ sources, failing int }

func (t tally) add(sources []Source) {
	for _, source := range sources {
		count := t[source.SyncServiceID]
		count.sources++
		if source.Enabled && source.Stats.ConsecutiveFailures > 0 {
			count.failing++
		}
		t[source.SyncServiceID] = count
	}
}

// servicesAndSources are all of one tenant, of one moment.
func servicesAndSources(ctx context.Context, s scope) (services []SyncService, sources []Source, err error) {
	err = s.store.View(ctx, func(tx TenantTx) error {
		if services, err = tx.Services(ctx); err != nil {
			return err
		}
		sources, err = tx.Sources(ctx)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list sync services and sources of tenant %s: %w", s.tenant.Slug, err)
	}
	return services, sources, nil
}

// tallyAssigned counts what the platform's services run for other tenants.
func (c *Core) tallyAssigned(ctx context.Context, t tally, services []Service) error {
	visited := map[uuid.UUID]bool{}
	for _, service := range services {
		visited[service.Tenant.ID] = true
		tenants, err := c.assignedTenants(ctx, service.ID)
		if err != nil {
			return err
		}
		for _, tenant := range tenants {
			if visited[tenant.ID] {
				continue
			}
			visited[tenant.ID] = true
			s, err := c.scopeOf(ctx, tenant)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			_, sources, err := servicesAndSources(ctx, s)
			if err != nil {
				return err
			}
			t.add(sources)
		}
	}
	return nil
}

// judge sets what follows from a service's record, its sources and the clock.
func (c *Core) judge(s *Service, t tally) {
	s.Sources, s.Failing = t[s.ID].sources, t[s.ID].failing
	s.Status = statusOf(s.SyncService, s.Failing, c.now(), c.options.OfflineAfter)
}

func statusOf(s SyncService, failing int, now time.Time, offlineAfter time.Duration) Status {
	switch {
	case s.State != ServiceActive || s.LastHeartbeatAt.IsZero() || now.Sub(s.LastHeartbeatAt) >= offlineAfter:
		return StatusOffline
	case failing > 0:
		return StatusDegraded
	}
	return StatusOnline
}
