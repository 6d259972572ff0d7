package payload

// Config is the configuration a sync service gets from GetConfig
// (AgentConfigResponse.config_json). Empty values are left out.
type Config struct {
	SyncServiceID string `json:"sync_service_id"`
	ComponentID   string `json:"component_id"`
	// Scope is ScopePlatform or ScopeTenant.
	Scope string `json:"scope"`
	// PlatformEpoch is another one once the platform was restored from a backup: it
	// may have lost what it acknowledged before. Absent while it never was.
	PlatformEpoch string `json:"platform_epoch,omitempty"`
	// Sources are keyed by name; for a platform service by "<tenant_slug>/<name>".
	// An empty map is a configuration too: it stops every loop.
	Sources map[string]Source `json:"sources"`
	// Malformed says of sources that could not be read what is wrong with them;
	// Sources has nothing of theirs but whose they are.
	Malformed map[string]error `json:"-"`
}

// Whose sources a Config holds.
const (
	ScopePlatform = "platform"
	ScopeTenant   = "tenant"
)

// Kinds of integration source.
const (
	TypeArmis  = "armis"
	TypeNetBox = "netbox"
	TypeFaker  = "faker"
)

// Source is one integration source as its sync service gets it. Intervals are
// Go durations ("5m"); credentials are in clear, so a Config is never logged
// and never written unsealed.
type Source struct {
	Type                string            `json:"type"`
	Endpoint            string            `json:"endpoint"`
	Prefix              string            `json:"prefix,omitempty"`
	Credentials         map[string]string `json:"credentials,omitempty"`
	Queries             []Query           `json:"queries,omitempty"`
	PollInterval        string            `json:"poll_interval,omitempty"`
	DiscoveryInterval   string            `json:"discovery_interval,omitempty"`
	SweepInterval       string            `json:"sweep_interval,omitempty"`
	AgentID             string            `json:"agent_id,omitempty"`
	Partition           string            `json:"partition,omitempty"`
	NetworkBlacklist    []string          `json:"network_blacklist,omitempty"`
	CustomField         string            `json:"custom_field,omitempty"`
	BatchSize           int               `json:"batch_size,omitempty"`
	InsecureSkipVerify  bool              `json:"insecure_skip_verify,omitempty"`
	TenantID            string            `json:"tenant_id,omitempty"`
	TenantSlug          string            `json:"tenant_slug,omitempty"`
	SyncServiceID       string            `json:"sync_service_id,omitempty"`
	IntegrationSourceID string            `json:"integration_source_id,omitempty"`
	// Settings are the type's own knobs, such as the faker's "devices" and "seed".
	Settings map[string]string `json:"settings,omitempty"`
}

// Query selects a part of a source; its label is kept on the devices it finds.
type Query struct {
	Label      string   `json:"label"`
	Query      string   `json:"query"`
	SweepModes []string `json:"sweep_modes,omitempty"`
}

// Keys of Source.Credentials.
const (
	CredentialSecretKey = "secret_key"
	CredentialAPIKey    = "api_key"
	CredentialPageSize  = "page_size"
	CredentialAPIToken  = "api_token"
)
