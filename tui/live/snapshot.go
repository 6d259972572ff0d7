// Package live keeps what the platform tells of itself, for the screen: one
// stream of the admin API, joined into a snapshot that is replaced and never
// changed. It knows no page and no terminal.
package live

import (
	"slices"
	"strings"
	"time"

	adminv1 "edgesync/proto/admin/v1"
)

const (
	// KeepEvents is how many of the latest events a snapshot holds.
	KeepEvents = 1000
	// KeepRates is how many seconds of the ingest rate it holds.
	KeepRates = 120
)

// Snapshot is how the platform stood a moment ago. It is never changed.
type Snapshot struct {
	// Ready tells that everything has arrived once.
	Ready bool
	// Problem is why nothing arrives now, or empty; RetryAt is the next attempt.
	Problem string
	RetryAt time.Time

	Platform *adminv1.Platform
	// Caller is who watches; nil on the platform's own machine.
	Caller *adminv1.Operator
	// Tenants are ordered by slug.
	Tenants []*adminv1.TenantSummary
	// Shared are the platform's services that tenants may use.
	Shared []*adminv1.SyncService
	// Events are ordered as they were recorded.
	Events []*adminv1.Event
	// Missed tells that some events were never seen.
	Missed bool
	// Rates are updates a second, one for each second, the latest last.
	Rates []float64
}

// Totals are what the overview counts.
type Totals struct {
	Tenants, Suspended int
	// Unseen services have never connected; they are not Offline.
	Services, Online, Degraded, Offline, Unseen int
	// Disabled sources are counted as nothing else.
	Sources, Succeeded, Partial, Failed, Unrun, Disabled int
	Devices                                              int64
}

// Totals counts over all tenants. The platform's own is none of them.
func (s Snapshot) Totals() Totals {
	var t Totals
	for _, tenant := range s.Tenants {
		t.Devices += tenant.GetDeviceCount()
		if !tenant.GetTenant().GetIsPlatform() {
			t.Tenants++
			if tenant.GetTenant().GetState() == "suspended" {
				t.Suspended++
			}
		}
		for _, service := range tenant.GetServices() {
			t.service(service)
		}
		for _, source := range tenant.GetSources() {
			t.source(source)
		}
	}
	return t
}

func (t *Totals) service(s *adminv1.SyncService) {
	t.Services++
	switch {
	case s.GetStatus() == "online":
		t.Online++
	case s.GetStatus() == "degraded":
		t.Degraded++
	case s.GetFirstHelloAt() == nil:
		t.Unseen++
	default:
		t.Offline++
	}
}

func (t *Totals) source(s *adminv1.Source) {
	t.Sources++
	switch Result(s) {
	case "":
		t.Unrun++
	case "disabled":
		t.Disabled++
	case "success":
		t.Succeeded++
	case "partial", "superseded":
		t.Partial++
	default:
		t.Failed++
	}
}

// Result is how a source stands: disabled, or how its last run ended, empty when
// there was none.
func Result(s *adminv1.Source) string {
	if !s.GetEnabled() {
		return "disabled"
	}
	return s.GetLastSyncResult()
}

// Services are those of all tenants, the platform's own first.
func (s Snapshot) Services() []*adminv1.SyncService {
	var all []*adminv1.SyncService
	for _, tenant := range s.Tenants {
		all = append(all, tenant.GetServices()...)
	}
	slices.SortStableFunc(all, func(a, b *adminv1.SyncService) int {
		switch {
		case a.GetIsPlatformSync() == b.GetIsPlatformSync():
			return 0
		case a.GetIsPlatformSync():
			return -1
		}
		return 1
	})
	return all
}

// Sources are those of all tenants.
func (s Snapshot) Sources() []*adminv1.Source {
	var all []*adminv1.Source
	for _, tenant := range s.Tenants {
		all = append(all, tenant.GetSources()...)
	}
	return all
}

// Tenant finds a tenant by its slug, nil when there is none.
func (s Snapshot) Tenant(slug string) *adminv1.TenantSummary {
	i, found := slices.BinarySearchFunc(s.Tenants, slug, func(t *adminv1.TenantSummary, slug string) int {
		return strings.Compare(t.GetTenant().GetSlug(), slug)
	})
	if !found {
		return nil
	}
	return s.Tenants[i]
}

// Customers are the tenants but the platform's own.
func (s Snapshot) Customers() []*adminv1.TenantSummary {
	return slices.DeleteFunc(slices.Clone(s.Tenants), func(t *adminv1.TenantSummary) bool { return t.GetTenant().GetIsPlatform() })
}

// Available are the services that can run a tenant's sources: its own that are
// not revoked, and the platform's where the tenant may use it.
func (s Snapshot) Available(slug string) []*adminv1.SyncService {
	tenant := s.Tenant(slug)
	if tenant == nil {
		return nil
	}
	var found []*adminv1.SyncService
	for _, service := range tenant.GetServices() {
		if service.GetState() == "active" && !service.GetIsPlatformSync() {
			found = append(found, service)
		}
	}
	if tenant.GetTenant().GetPlatformSync() || tenant.GetTenant().GetIsPlatform() {
		found = append(found, s.Shared...)
	}
	return found
}

// Service finds a service by its id, nil when there is none.
func (s Snapshot) Service(id string) *adminv1.SyncService {
	for _, tenant := range s.Tenants {
		for _, service := range tenant.GetServices() {
			if service.GetId() == id {
				return service
			}
		}
	}
	for _, service := range s.Shared {
		if service.GetId() == id {
			return service
		}
	}
	return nil
}

// Source finds a source by its id, nil when there is none.
func (s Snapshot) Source(id string) *adminv1.Source {
	for _, tenant := range s.Tenants {
		for _, source := range tenant.GetSources() {
			if source.GetId() == id {
				return source
			}
		}
	}
	return nil
}

// Apply is the snapshot after an update. The first update of a stream replaces
// all there was.
func (s Snapshot) Apply(u *adminv1.WatchUpdate) Snapshot {
	if u.GetPlatform() != nil {
		s.Platform, s.Caller, s.Tenants, s.Events, s.Ready = u.GetPlatform(), u.GetCaller(), nil, nil, true
	}
	if u.GetPlatformServicesChanged() {
		s.Shared = u.GetPlatformServices()
	}
	if len(u.GetTenants()) > 0 || len(u.GetRemovedTenants()) > 0 {
		s.Tenants = mergeTenants(s.Tenants, u)
	}
	if len(u.GetEvents()) > 0 {
		events := slices.Concat(s.Events, u.GetEvents())
		s.Events = slices.Clone(events[max(0, len(events)-KeepEvents):])
	}
	s.Missed = s.Missed || u.GetEventsMissed()
	s.Problem, s.RetryAt = "", time.Time{}
	return s
}

func mergeTenants(before []*adminv1.TenantSummary, u *adminv1.WatchUpdate) []*adminv1.TenantSummary {
	bySlug := make(map[string]*adminv1.TenantSummary, len(before)+len(u.GetTenants()))
	for _, tenant := range before {
		bySlug[tenant.GetTenant().GetSlug()] = tenant
	}
	for _, slug := range u.GetRemovedTenants() {
		delete(bySlug, slug)
	}
	for _, tenant := range u.GetTenants() {
		bySlug[tenant.GetTenant().GetSlug()] = tenant
	}
	after := make([]*adminv1.TenantSummary, 0, len(bySlug))
	for _, tenant := range bySlug {
		after = append(after, tenant)
	}
	slices.SortFunc(after, func(a, b *adminv1.TenantSummary) int {
		return strings.Compare(a.GetTenant().GetSlug(), b.GetTenant().GetSlug())
	})
	return after
}

// updates is how many updates have arrived over all tenants.
func (s Snapshot) updates() int64 {
	var n int64
	for _, tenant := range s.Tenants {
		n += tenant.GetUpdatesReceived()
	}
	return n
}
