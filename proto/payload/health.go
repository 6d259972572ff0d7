package payload

import "time"

// Health is the JSON object in the message of a "sync" status. A status message
// is cut at MaxStatusMessage, so a runtime with many reports spreads them over
// several statuses of one PushStatus; each is a whole Health of its own.
type Health struct {
	// OutboxBytes and OutboxRuns are what waits to be delivered.
	OutboxBytes int64       `json:"outbox_bytes,omitempty"`
	OutboxRuns  int         `json:"outbox_runs,omitempty"`
	Sources     []RunReport `json:"sources,omitempty"`
}

// RunReport tells how one run of one source ended. A runtime repeats it until a
// PushStatus that carried it was answered; the receiver counts a run id once.
type RunReport struct {
	SourceID   string    `json:"integration_source_id"`
	TenantID   string    `json:"tenant_id,omitempty"`
	RunID      string    `json:"run_id"`
	Mode       string    `json:"mode,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	// Result is one of the Result constants.
	Result  string `json:"result"`
	Devices int64  `json:"devices"`
	Error   string `json:"error,omitempty"`
	// Stage is one of the Stage constants for a run that did not end well.
	Stage string `json:"stage,omitempty"`
}

// How far a run came that did not end well, or not whole.
const (
	// StageRead: it was not read from its source.
	StageRead = "read"
	// StageOutbox: it found no room on the host.
	StageOutbox = "outbox"
	// StageSuperseded: a newer run took its place before it was delivered.
	StageSuperseded = "superseded"
	// StageDelivery: the gateway refused it, or a part of it.
	StageDelivery = "delivery"
	// StageDamaged: what was kept of it on the host could not be read back.
	StageDamaged = "damaged"
)

// How a run ended.
const (
	ResultSuccess = "success"
	ResultPartial = "partial"
	ResultFailed  = "failed"
	ResultTimeout = "timeout"
	// ResultSuperseded is that of a run that was read well and never delivered: a
	// newer one of its source, which says more, took its place.
	ResultSuperseded = "superseded"
)
