// Package payload holds the JSON that travels inside the wire protocol: device
// updates, the configuration of GetConfig and the runtime health of a
// heartbeat. It knows their shapes, their limits and nothing of who sends them.
package payload

import "time"

// Update is one device as a source says it, as an element of the JSON array in
// a results message. Keys and meanings are those of the wire protocol; unknown
// keys are ignored.
type Update struct {
	// DeviceID is never trusted as an identity across sources.
	DeviceID string `json:"device_id,omitempty"`
	// IP is the primary address; it may be empty.
	IP       string `json:"ip,omitempty"`
	MAC      string `json:"mac,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	// Source is the kind of system it comes from: "armis", "netbox", "faker".
	Source string `json:"source"`
	// AgentID, PollerID and GatewayID say who reported the device. They are
	// never identifiers of the device.
	AgentID     string            `json:"agent_id,omitempty"`
	PollerID    string            `json:"poller_id,omitempty"`
	GatewayID   string            `json:"gateway_id,omitempty"`
	Partition   string            `json:"partition,omitempty"`
	Timestamp   time.Time         `json:"timestamp"`
	IsAvailable bool              `json:"is_available"`
	Confidence  int               `json:"confidence,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	SyncMeta    *SyncMeta         `json:"sync_meta,omitempty"`
}

// SyncMeta ties an update to the discovery run it is part of.
type SyncMeta struct {
	SyncServiceID string `json:"sync_service_id,omitempty"`
	SyncRunID     string `json:"sync_run_id,omitempty"`
	ChunkIndex    int    `json:"chunk_index,omitempty"`
	TotalChunks   int    `json:"total_chunks,omitempty"`
	TotalDevices  int    `json:"total_devices,omitempty"`
	IsFinal       bool   `json:"is_final,omitempty"`
	// Mode is ModeSnapshot or ModeIncremental; empty means incremental.
	Mode       string     `json:"mode,omitempty"`
	RunStarted *time.Time `json:"run_started,omitempty"`
}

// How a run covers its source.
const (
	ModeSnapshot    = "snapshot"
	ModeIncremental = "incremental"
)

// Keys of Update.Metadata with a meaning.
const (
	MetaIntegrationType     = "integration_type"
	MetaIntegrationID       = "integration_id"
	MetaIntegrationSourceID = "integration_source_id"
	MetaArmisDeviceID       = "armis_device_id"
	// MetaNetBoxDeviceID carries the kind with the number: "device:7", "vm:7".
	MetaNetBoxDeviceID  = "netbox_device_id"
	MetaQueryLabel      = "query_label"
	MetaAllIPs          = "all_ips"
	MetaPrimaryIP       = "primary_ip"
	MetaAllMACs         = "all_macs"
	MetaDeleted         = "_deleted"
	MetaSerialNumber    = "serial_number"
	MetaManufacturer    = "manufacturer"
	MetaModel           = "model"
	MetaOperatingSystem = "operating_system"
	MetaDeviceType      = "device_type"
	MetaSite            = "site"
	MetaTags            = "tags"
	// MetaCustomField carries the value of the custom field that a source is
	// configured to read.
	MetaCustomField = "custom_field"
)

// Call metadata of StreamStatus: the facts of a run, so that an empty snapshot
// says what it is.
const (
	HeaderRunID        = "x-sync-run-id"
	HeaderSourceID     = "x-sync-source-id"
	HeaderMode         = "x-sync-mode"
	HeaderRunStarted   = "x-sync-run-started"
	HeaderTotalDevices = "x-sync-total-devices"
)

// HeaderEncodings is what a gateway of ours answers Hello and the opening of a
// StreamStatus with: the encodings of results messages it reads besides plain
// JSON. Who is not told so sends plain JSON.
const HeaderEncodings = "x-sync-encodings"

// Limits of the wire protocol, in bytes unless said otherwise.
const (
	// MaxServices is the most services one request or one stream may hold.
	MaxServices = 5000
	// MaxStatusMessage is where a status message is cut.
	MaxStatusMessage = 4 << 10
	// MaxResultsMessage refuses a longer results message.
	MaxResultsMessage = 15 << 20
	// MaxMetadata is the most metadata one update may carry.
	MaxMetadata = 16 << 10
	// ChunkTarget is the size a client aims at for one chunk's results message
	// and ChunkMax the size it never passes.
	ChunkTarget = 1 << 20
	ChunkMax    = 3 << 20
)

// Stream is what the head of a StreamStatus call says of the run it carries.
// Every field is the client's word: the receiver checks it.
type Stream struct {
	// TenantID is the tenant a platform service acts for; ignored otherwise.
	TenantID string
	// SourceID is the integration source's UUID, or empty.
	SourceID string
	RunID    string
	Mode     string
	// RunStarted is zero when the client did not say.
	RunStarted time.Time
	// TotalDevices is -1 when the client did not say.
	TotalDevices int64
}

// Chunk is one decoded message of a StreamStatus call.
type Chunk struct {
	Index, Total int
	Final        bool
	Updates      []Update
}
