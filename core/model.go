// Package core is the platform: tenants, sync services, integration sources,
// what each service is configured to run, the ingestion of what it finds, and
// the events all of it leaves. It declares the Store it needs and knows neither
// SQL nor gRPC servers nor terminals.
package core

import (
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
)

// Platform is the one record every platform has.
type Platform struct {
	TenantID    uuid.UUID
	Slug        string
	TrustDomain string
	// GatewayAddr and CAAddr are host:port as edge hosts reach them.
	GatewayAddr string
	CAAddr      string
	CreatedAt   time.Time
}

// Tenant is a customer of the platform, or the platform itself.
type Tenant struct {
	ID         uuid.UUID
	Slug       string
	Name       string
	IsPlatform bool
	State      TenantState
	// PlatformSync is whether the platform's sync service may run its sources.
	PlatformSync bool
	CreatedAt    time.Time
}

// TenantState is whether a tenant's identities are admitted.
type TenantState string

// The states of a tenant. A removed one is gone for good: its row stays only
// while its removal is carried out.
const (
	TenantActive    TenantState = "active"
	TenantSuspended TenantState = "suspended"
	TenantRemoving  TenantState = "removing"
)

// Authority is a certificate authority's key and certificate as stored.
type Authority struct {
	// KeyID is the lower-case hex subject key id of Certificate.
	KeyID string
	Kind  AuthorityKind
	// TenantID is zero for the root.
	TenantID uuid.UUID
	// Certificate is DER.
	Certificate []byte
	// SealedKey is the private key, PKCS #8, sealed with KeyID as associated data.
	// An authority that has ended has none.
	SealedKey []byte
	State     AuthorityState
	CreatedAt time.Time
	// EndsAt is when a retiring authority stops being accepted.
	EndsAt time.Time
	// CrossCertificates are the same name and key, signed by the roots that are
	// retiring: DER, one after the other.
	CrossCertificates []byte
}

// AuthorityKind is an authority's place in the chain.
type AuthorityKind string

// The kinds of authority.
const (
	AuthorityRoot     AuthorityKind = "root"
	AuthorityPlatform AuthorityKind = "platform"
	AuthorityTenant   AuthorityKind = "tenant"
)

// AuthorityState is what an authority may still do.
type AuthorityState string

// An active authority issues; a retiring one is only accepted, until it ends.
const (
	AuthorityActive   AuthorityState = "active"
	AuthorityRetiring AuthorityState = "retiring"
	AuthorityEnded    AuthorityState = "ended"
)

// SyncService is a runtime that pulls devices from sources: the platform's own
// (saas) or one on an edge host (on_prem).
type SyncService struct {
	ID             uuid.UUID
	Name           string
	ComponentID    string
	Partition      string
	Type           ServiceType
	IsPlatformSync bool
	// Endpoint is the host it last connected from.
	Endpoint      string
	State         ServiceState
	Version       string
	Capabilities  []string
	Hostname      string
	OS, Arch      string
	CertSerial    string
	CertExpiresAt time.Time
	// Zero before the first.
	FirstHelloAt    time.Time
	LastHeartbeatAt time.Time
	// ConfigVersion is the configuration it said it runs, at ConfigAppliedAt.
	ConfigVersion   string
	ConfigAppliedAt time.Time
	// OutboxBytes and OutboxRuns are what it said waits there to be delivered.
	OutboxBytes int64
	OutboxRuns  int64
	CreatedAt   time.Time
}

// Beat is what a heartbeat says of its service: LastHeartbeatAt and its outbox.
type Beat struct {
	At                      time.Time
	OutboxBytes, OutboxRuns int64
}

// ServiceType tells where a sync service runs.
type ServiceType string

// The types of sync service.
const (
	ServiceSaaS   ServiceType = "saas"
	ServiceOnPrem ServiceType = "on_prem"
)

// ServiceState is what an operator made of a service. Removed services keep
// their row: a Hello never brings one back.
type ServiceState string

// The states of a sync service.
const (
	ServiceActive  ServiceState = "active"
	ServiceRevoked ServiceState = "revoked"
	ServiceRemoved ServiceState = "removed"
)

// Source is an integration source: one system that devices are pulled from.
type Source struct {
	ID   uuid.UUID
	Name string
	// Type is one of the payload.Type constants.
	Type               string
	Endpoint           string
	Enabled            bool
	SyncServiceID      uuid.UUID
	Partition          string
	PollInterval       time.Duration
	DiscoveryInterval  time.Duration
	SweepInterval      time.Duration
	PageSize           int
	BatchSize          int
	NetworkBlacklist   []string
	Queries            []Query
	CustomField        string
	Settings           map[string]string
	InsecureSkipVerify bool
	// Confidence is 1 to 10: how much its values weigh against others'.
	Confidence int
	// Credentials are sealed, each with (tenant, source, key) as associated data.
	Credentials map[string][]byte
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Stats       SourceStats
}

// Query selects a part of a source.
type Query struct {
	Label      string   `json:"label"`
	Query      string   `json:"query"`
	SweepModes []string `json:"sweep_modes,omitempty"`
}

// SourceStats is what the runs of a source came to.
type SourceStats struct {
	LastSyncAt          time.Time
	LastResult          string
	LastDeviceCount     int64
	LastError           string
	ConsecutiveFailures int
	TotalSyncs          int64
}

// Run is one discovery of one source as far as the platform has seen it.
type Run struct {
	ID       string
	SourceID uuid.UUID
	Mode     string
	Started  time.Time
	// Finished is zero while neither its last chunk nor a report has come.
	Finished time.Time
	// Result is empty while unfinished.
	Result string
	// Devices is the runtime's own count; Received counts updates stored or
	// found unchanged; Total is what the stream announced, or -1.
	Devices, Received, Total int64
	// Deleted and Refused count the updates that say a thing is gone, and those
	// that name nothing; Retracted the things its deletions retracted.
	Deleted, Refused, Retracted int64
	// Superseded updates were older than what is stored, Held ones wait for an
	// operator. Of a complete run Received, Refused, Superseded and Held add up to
	// what its stream brought.
	Superseded, Held int64
	// Complete is true once the final chunk was stored.
	Complete bool
	// Counted is true for a snapshot that arrived complete: what it does not name
	// was absent from it.
	Counted bool
	Error   string
	// ServiceID is the service that sent it, and TraceID the trace it is told of
	// under.
	ServiceID uuid.UUID
	TraceID   string
	// Chunks of the TotalChunks of its stream are stored, the last at StoredAt.
	Chunks, TotalChunks int
	StoredAt            time.Time
	// Stage is how far a run came that did not end well: one of the payload.Stage
	// constants, or empty.
	Stage string
}

// Event is a fact worth keeping: a lifecycle change, a refusal, a decision.
type Event struct {
	ID       uuid.UUID
	Time     time.Time
	Type     string
	Severity Severity
	Actor    Actor
	// SourceID and ServiceID are zero where the event concerns none.
	SourceID  uuid.UUID
	ServiceID uuid.UUID
	Message   string
	Details   map[string]string
}

// Severity is how much an event asks for attention.
type Severity string

// The severities.
const (
	SeverityInfo    Severity = "info"
	SeverityWarning Severity = "warning"
	SeverityError   Severity = "error"
)

// Actor is who did something and through what.
type Actor struct {
	// Name is "local:<uid>", an operator, or a component's SPIFFE id.
	Name string
	// Origin is "cli", "tui", "api", "gateway", "ca" or "core".
	Origin string
}

// Component is the actor a peer is.
func Component(peer certs.Peer) Actor {
	return Actor{Name: peer.SPIFFE(), Origin: "gateway"}
}
