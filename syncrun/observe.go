package syncrun

import "time"

// Kind is what an Event tells of.
type Kind int

// Kinds of event, in the order of a run's life.
const (
	// Connected: the gateway answered Hello. Disconnected: a heartbeat went
	// unanswered; Detail says why.
	Connected Kind = iota + 1
	Disconnected
	// Configured: a configuration was applied; Sources lists it. ConfigRefused: one
	// could not be read and the last good one stays; Detail says why.
	Configured
	ConfigRefused
	// RunStarted: a source is being read. Discovered: Devices and Refused have
	// grown. Spooled: the source is read to its end and waits for the gateway.
	RunStarted
	Discovered
	Spooled
	// Sent: a chunk was handed to the connection. Retrying: a stream failed
	// and is sent again from its start after Delay; Detail says why.
	Sent
	Retrying
	// RunEnded: Result and Detail say how; Acknowledged counts the updates the
	// gateway has stored.
	RunEnded
	// OutboxFull: no source is read while the outbox has no room; Detail says
	// why. OutboxRoom: it has room again.
	OutboxFull
	OutboxRoom
	// ClockJumped: this host's clock was set by Delay. Timers go on undisturbed;
	// what is found from now on bears other times.
	ClockJumped
)

// Event is a step of the runtime. Counts are totals of the run so far.
type Event struct {
	Kind Kind
	Time time.Time
	// Source is the key in the configuration, Tenant the slug if there is one.
	Source, Tenant, SourceID, RunID string
	// Devices were found, Refused of them are no valid updates; Total is what
	// the source says it has, or -1 while unknown.
	Devices, Refused, Total int64
	// Sent and Acknowledged count updates.
	Sent, Acknowledged int64
	Delay              time.Duration
	// Result is one of payload's Result constants.
	Result, Detail string
	// Sources is the configuration's list, in order of their keys.
	Sources []ConfiguredSource
}

// ConfiguredSource is a source that the runtime runs.
type ConfiguredSource struct {
	Source, Tenant, SourceID, Type string
}
