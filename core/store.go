package core

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"edgesync/dire"
)

// ErrNotFound is returned by a Store for a row, a file or a schema that is not
// there. A lookup that went wrong returns another error: "could not ask" is
// never "not found".
var ErrNotFound = errors.New("not found")

// ErrConflict is returned by a Store when a write would break uniqueness.
var ErrConflict = errors.New("already exists")

// Store keeps a platform. Each tenant has a file or schema of its own, reached
// through a handle made once from an authenticated identity; nothing on the
// handle takes a tenant, so a query across tenants cannot be written.
type Store interface {
	Platform() PlatformStore
	// Tenant opens a tenant's handle, or returns ErrNotFound.
	Tenant(ctx context.Context, id uuid.UUID) (TenantStore, error)
	// CreateTenant makes the tenant's file or schema. One that exists is opened.
	CreateTenant(ctx context.Context, id uuid.UUID) (TenantStore, error)
	// DropTenant deletes the tenant's file or schema. None there is no error.
	DropTenant(ctx context.Context, id uuid.UUID) error
	// Lock waits until nobody, in no process that has the store open, holds the
	// lock of a name, and takes it. It goes with the process that holds it.
	Lock(ctx context.Context, name string) (unlock func(), err error)
	Close() error
}

// PlatformStore holds what belongs to no single tenant.
type PlatformStore interface {
	// View runs fn on one consistent read. fn may run more than once.
	View(ctx context.Context, fn func(PlatformTx) error) error
	// Update runs fn in one transaction: all of it is kept, or on error nothing.
	// fn may run more than once.
	Update(ctx context.Context, fn func(PlatformTx) error) error
}

// PlatformTx reads and writes the platform's rows. Put inserts or replaces; what
// deletes a row that is not there returns ErrNotFound.
type PlatformTx interface {
	EnrolmentPlatformTx

	// Platform returns ErrNotFound before the bootstrap.
	Platform(ctx context.Context) (Platform, error)
	PutPlatform(ctx context.Context, platform Platform) error

	// Tenants are ordered by slug.
	Tenants(ctx context.Context) ([]Tenant, error)
	Tenant(ctx context.Context, id uuid.UUID) (Tenant, error)
	TenantBySlug(ctx context.Context, slug string) (Tenant, error)
	// PutTenant returns ErrConflict when another tenant has the slug.
	PutTenant(ctx context.Context, tenant Tenant) error
	// DeleteTenant also deletes its authorities, its token key, assignments,
	// revocations, operators and commands.
	DeleteTenant(ctx context.Context, id uuid.UUID) error

	Authorities(ctx context.Context) ([]Authority, error)
	PutAuthority(ctx context.Context, authority Authority) error

	// AssignedTenants lists the tenants whose sources the service runs. It is an
	// index that can be rebuilt from the tenants' own rows.
	AssignedTenants(ctx context.Context, service uuid.UUID) ([]uuid.UUID, error)
	// SetAssigned records how many sources of the tenant the service runs.
	SetAssigned(ctx context.Context, service, tenant uuid.UUID, sources int) error

	TrustTx
	CommandTx
	RestorePlatformTx
}

// TenantStore holds what belongs to one tenant.
type TenantStore interface {
	// View runs fn on one consistent read. fn may run more than once.
	View(ctx context.Context, fn func(TenantTx) error) error
	// Update runs fn in one transaction: all of it is kept, or on error nothing.
	// fn may run more than once.
	Update(ctx context.Context, fn func(TenantTx) error) error
}

// TenantTx reads and writes one tenant's rows. Put inserts or replaces; what
// changes or deletes a row that is not there returns ErrNotFound.
type TenantTx interface {
	IdentityTx
	EnrolmentTx
	ControlTx
	EventTx

	// Services are ordered by name and include revoked and removed ones.
	Services(ctx context.Context) ([]SyncService, error)
	Service(ctx context.Context, id uuid.UUID) (SyncService, error)
	ServiceByComponent(ctx context.Context, component string) (SyncService, error)
	// PutService returns ErrConflict when another service has the component id.
	PutService(ctx context.Context, service SyncService) error
	// Heartbeat sets only what a Beat says.
	Heartbeat(ctx context.Context, service uuid.UUID, beat Beat) error

	// Sources are ordered by name.
	Sources(ctx context.Context) ([]Source, error)
	Source(ctx context.Context, id uuid.UUID) (Source, error)
	SourceByName(ctx context.Context, name string) (Source, error)
	// PutSource writes all but Stats, and returns ErrConflict when another
	// source has the name.
	PutSource(ctx context.Context, source Source) error
	PutSourceStats(ctx context.Context, source uuid.UUID, stats SourceStats) error
	// DeleteSource keeps the devices it asserted; its runs, its held retractions
	// and its pending deletions go with it.
	DeleteSource(ctx context.Context, id uuid.UUID) error

	// Run returns ErrNotFound for a run not seen yet.
	Run(ctx context.Context, source uuid.UUID, id string) (Run, error)
	PutRun(ctx context.Context, run Run) error
	// Runs are the latest of a source, newest first.
	Runs(ctx context.Context, source uuid.UUID, limit int) ([]Run, error)

	AppendEvents(ctx context.Context, events ...Event) error
	// Events are the latest that match, oldest first.
	Events(ctx context.Context, filter EventFilter) ([]Event, error)

	// Touch writes what is new of what the probe's batch only repeats, of as much
	// of it as it likes, and returns the probe of the rest (dire.Repeat).
	Touch(ctx context.Context, probe dire.Probe) (dire.Probe, error)
	// Neighbourhood reads every stored row that the probe's batch can touch, in
	// a number of statements that does not depend on the size of the batch. It may
	// leave Homes out where Update runs its function again, with them, once Apply
	// finds that a home was taken.
	Neighbourhood(ctx context.Context, probe dire.Probe) (dire.Neighbourhood, error)
	// Apply carries a plan out, likewise.
	Apply(ctx context.Context, plan dire.Plan) error

	// Devices calls yield for each device that matches, ordered by id, until it
	// returns an error. What a search finds comes in an order that stays, but not
	// in that of ids: it is told as it is found.
	Devices(ctx context.Context, filter DeviceFilter, yield func(dire.Device) error) error
	// CountDevices counts all that match, whatever the limit and After.
	CountDevices(ctx context.Context, filter DeviceFilter) (int64, error)
	// Device finds a device by its id or by an id that redirects to it, with what
	// is asserted of it and the identifiers of that.
	Device(ctx context.Context, id string) (dire.Device, []dire.Assertion, error)

	HistoryTx
}

// EventFilter narrows Events. Zero values do not.
type EventFilter struct {
	// TypePrefix matches the beginning of the type.
	TypePrefix string
	Since      time.Time
	// Limit 0 means no limit.
	Limit int
}

// DeviceFilter narrows Devices. Zero values do not.
type DeviceFilter struct {
	// Source is an assertion source (dire.Batch.Source).
	Source string
	// Search is part of an address, MAC, hostname or id, in any case.
	Search string
	// State is "active" or "retracted".
	State string
	// After leaves out the device of that id and all that are listed before it.
	After string
	// Limit 0 means no limit.
	Limit int64
}
