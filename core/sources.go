package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"edgesync/seal"
)

// SourceInput is what creating a source takes.
type SourceInput struct {
	Tenant string
	Spec   SourceSpec
	// Service is the id or name of the sync service that is to run it; empty
	// while exactly one is available.
	Service     string
	Disabled    bool
	Credentials map[string][]byte
}

// SourceView is a source as operators see it. It holds no credential.
type SourceView struct {
	Source
	Tenant         Tenant
	ServiceName    string
	CredentialKeys []string
	// Holds are the retractions that wait for an operator.
	Holds []Hold
}

func view(s Source, tenant Tenant, services []SyncService) SourceView {
	v := SourceView{Source: s, Tenant: tenant, CredentialKeys: slices.Sorted(maps.Keys(s.Credentials))}
	v.Credentials = nil
	if i := slices.IndexFunc(services, func(one SyncService) bool { return one.ID == s.SyncServiceID }); i >= 0 {
		v.ServiceName = services[i].Name
	}
	return v
}

// CreateSource records a source for a sync service to run. Without a service
// that could, it is refused and the error says how to get one.
func (c *Core) CreateSource(ctx context.Context, actor Actor, in SourceInput) (SourceView, error) {
	if err := in.Spec.check(); err != nil {
		return SourceView{}, err
	}
	if err := checkCredentials(in.Spec.Name, in.Spec.Type, in.Credentials); err != nil {
		return SourceView{}, err
	}
	if err := checkRequired(in.Spec.Name, in.Spec.Type, in.Credentials); err != nil {
		return SourceView{}, err
	}
	s, err := c.scope(ctx, in.Tenant)
	if err != nil {
		return SourceView{}, err
	}
	now := c.now()
	source := in.Spec.source()
	source.ID, source.Enabled, source.CreatedAt, source.UpdatedAt = uuid.New(), !in.Disabled, now, now
	if source.Credentials, err = c.sealCredentials(s.tenant, source.ID, nil, in.Credentials); err != nil {
		return SourceView{}, err
	}
	done, err := c.assigning(ctx, s.tenant.ID)
	if err != nil {
		return SourceView{}, err
	}
	defer done()
	service, err := c.pickService(ctx, s, in.Service, source.Name)
	if err != nil {
		return SourceView{}, err
	}
	source.SyncServiceID = service.ID
	err = c.assign(ctx, s, source.Name, []SyncService{service}, func(tx TenantTx, events *eventLog) error {
		events.add(actor, Event{
			Type: "source.created", SourceID: source.ID, ServiceID: service.ID,
			Message: "source " + source.Name + " created",
			Details: map[string]string{"source_type": source.Type, "service": service.Name},
		})
		events.concern(service.ID)
		return putSource(ctx, tx, s.tenant, source)
	})
	return view(source, s.tenant, []SyncService{service}), err
}

// source is the record a checked spec makes.
func (s SourceSpec) source() Source {
	return Source{
		Name: s.Name, Type: s.Type, Endpoint: s.Endpoint, Partition: s.Partition,
		PollInterval: s.PollInterval, DiscoveryInterval: s.DiscoveryInterval, SweepInterval: s.SweepInterval,
		PageSize: s.PageSize, BatchSize: s.BatchSize, NetworkBlacklist: s.NetworkBlacklist,
		Queries: s.Queries, CustomField: s.CustomField, Settings: s.Settings,
		InsecureSkipVerify: s.InsecureSkipVerify, Confidence: s.Confidence,
	}
}

func putSource(ctx context.Context, tx TenantTx, tenant Tenant, source Source) error {
	err := tx.PutSource(ctx, source)
	if errors.Is(err, ErrConflict) {
		return exists("record source %q of tenant %s: one of that name exists already", source.Name, tenant.Slug)
	}
	return err
}

// sealCredentials adds set to what is sealed already: an empty value removes.
// Each is sealed for its tenant, its source and its key, and opens nowhere else.
func (c *Core) sealCredentials(tenant Tenant, source uuid.UUID, have, set map[string][]byte) (map[string][]byte, error) {
	sealed := maps.Clone(have)
	if sealed == nil {
		sealed = map[string][]byte{}
	}
	for key, value := range set {
		if len(value) == 0 {
			delete(sealed, key)
			continue
		}
		box, err := c.keyset.Seal(value, credentialAD(tenant.ID, source, key))
		if err != nil {
			return nil, fmt.Errorf("seal credential %s of source %s: %w", key, source, err)
		}
		sealed[key] = box
	}
	return sealed, nil
}

func credentialAD(tenant, source uuid.UUID, key string) []byte {
	return seal.AD("credential", tenant.String(), source.String(), key)
}

// Sources lists the sources of a tenant by name, or with an empty slug of every
// tenant; with a service's id only those assigned to it.
func (c *Core) Sources(ctx context.Context, slug, service string) ([]SourceView, error) {
	only := uuid.Nil
	if service != "" {
		id, err := uuid.Parse(service)
		if err != nil {
			return nil, invalid("list sources: %q is not the id of a sync service", clean(service, maxName))
		}
		only = id
	}
	own, err := c.platformScope(ctx)
	if err != nil {
		return nil, err
	}
	shared, err := services(ctx, own)
	if err != nil {
		return nil, err
	}
	var found []SourceView
	err = c.scopes(ctx, slug, func(s scope) error {
		names, sources, err := servicesAndSources(ctx, s)
		if err != nil {
			return err
		}
		holds, err := holdsIn(ctx, s)
		names = append(names, shared...)
		for _, source := range sources {
			if only == uuid.Nil || source.SyncServiceID == only {
				one := view(source, s.tenant, names)
				one.Holds = holds[source.ID.String()]
				found = append(found, one)
			}
		}
		return err
	})
	return found, err
}

// Source finds a source by id or name.
func (c *Core) Source(ctx context.Context, slug, ref string) (SourceView, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return SourceView{}, err
	}
	return c.sourceOf(ctx, s, ref)
}

func (c *Core) sourceOf(ctx context.Context, s scope, ref string) (SourceView, error) {
	own, err := c.platformScope(ctx)
	if err != nil {
		return SourceView{}, err
	}
	names, err := services(ctx, own)
	if err != nil {
		return SourceView{}, err
	}
	var found SourceView
	err = s.store.View(ctx, func(tx TenantTx) error {
		source, err := findSource(ctx, tx, s.tenant, ref)
		if err != nil {
			return err
		}
		own, err := tx.Services(ctx)
		if err != nil {
			return err
		}
		found = view(source, s.tenant, append(own, names...))
		found.Holds, err = tx.Holds(ctx, source.ID.String())
		return err
	})
	return found, err
}

// holdsIn are a tenant's held retractions by source.
func holdsIn(ctx context.Context, s scope) (map[string][]Hold, error) {
	holds := map[string][]Hold{}
	err := s.store.View(ctx, func(tx TenantTx) error {
		found, err := tx.Holds(ctx, "")
		for _, h := range found {
			holds[h.Source] = append(holds[h.Source], h)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list held retractions of tenant %s: %w", s.tenant.Slug, err)
	}
	return holds, nil
}

// findSource finds a source by id, else by name.
func findSource(ctx context.Context, tx TenantTx, tenant Tenant, ref string) (Source, error) {
	source, err := Source{}, ErrNotFound
	if id, bad := uuid.Parse(ref); bad == nil {
		source, err = tx.Source(ctx, id)
	} else if ref != "" {
		source, err = tx.SourceByName(ctx, ref)
	}
	if errors.Is(err, ErrNotFound) {
		return Source{}, notFound("find source %q of tenant %s: there is none: see `edgesync source list --tenant %s`", clean(ref, maxName), tenant.Slug, tenant.Slug)
	}
	if err != nil {
		return Source{}, fmt.Errorf("find source of tenant %s: %w", tenant.Slug, err)
	}
	return source, nil
}
