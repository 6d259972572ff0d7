package payload

import (
	"errors"
	"time"
)

// CommandTraceDevice looks for a device on its way from a source: on the
// source's pages, in what waits for the gateway, in what the gateway refused. Its
// payload is a DeviceTrace, that of its result a DeviceTraceResult.
const CommandTraceDevice = "device-trace"

// DeviceTrace says which device to look for, and holds the source as it is
// configured now, also one that is disabled. It holds credentials and is never
// logged.
type DeviceTrace struct {
	// Key is what a configuration calls the source.
	Key    string `json:"key"`
	Source Source `json:"source"`
	Wanted Wanted `json:"wanted"`
}

// Wanted names a device by anything it may be known by; any one that fits will
// do. Texts are compared without regard to case, native ids of NetBox with or
// without their kind ("7" fits "device:7").
type Wanted struct {
	NativeIDs []string `json:"native_ids,omitempty"`
	MACs      []string `json:"macs,omitempty"`
	IPs       []string `json:"ips,omitempty"`
	Hostnames []string `json:"hostnames,omitempty"`
}

// Empty tells whether it names nothing.
func (w Wanted) Empty() bool {
	return len(w.NativeIDs)+len(w.MACs)+len(w.IPs)+len(w.Hostnames) == 0
}

// The most of each thing that a DeviceTraceResult tells of.
const (
	MaxSightings  = 5
	MaxTracedRuns = 8
)

// DeviceTraceResult is what a runtime knows of a device. Its times are the
// runtime's own clock.
type DeviceTraceResult struct {
	At       time.Time     `json:"at"`
	Schedule TraceSchedule `json:"schedule"`
	// OutboxFull is why no source is read, where that is so.
	OutboxFull string `json:"outbox_full,omitempty"`
	// Runs are those of the source that wait for the gateway, or that it refused,
	// the latest.
	Runs []TracedRun `json:"runs,omitempty"`
	Read TracedRead  `json:"read"`
}

// TraceSchedule is when a source is read.
type TraceSchedule struct {
	// Configured says that the runtime's configuration has the source.
	Configured  bool       `json:"configured"`
	Reading     bool       `json:"reading,omitempty"`
	LastStarted *time.Time `json:"last_started,omitempty"`
	Due         *time.Time `json:"due,omitempty"`
	// Failures is how many runs in a row failed, Trouble why the last did.
	Failures int    `json:"failures,omitempty"`
	Trouble  string `json:"trouble,omitempty"`
}

// TracedRun is a run that is at the runtime.
type TracedRun struct {
	RunID     string    `json:"run_id"`
	Started   time.Time `json:"started"`
	Committed time.Time `json:"committed"`
	Updates   int64     `json:"updates"`
	Chunks    int       `json:"chunks"`
	// Sending says that it is on its way, Retrying why the last try failed.
	Sending  bool   `json:"sending,omitempty"`
	Retrying string `json:"retrying,omitempty"`
	// Chunk is the number of the chunk that has the device, from 1; 0 if none has.
	Chunk int `json:"chunk,omitempty"`
	// RefusedAt is set for a run that the gateway refused, all or in part; Refused
	// says why that of the device was.
	RefusedAt *time.Time `json:"refused_at,omitempty"`
	Refused   string     `json:"refused,omitempty"`
}

// TracedRead is what the source said when it was asked.
type TracedRead struct {
	// Asked is false where reading makes no sense; then nothing else is set.
	Asked bool `json:"asked"`
	// Whole says that all was looked at. Reason and Message say why not, as in a
	// SourceTestResult; looking ends early, too, once the device is found.
	Whole   bool   `json:"whole"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Pages and Things were looked at.
	Pages     int             `json:"pages"`
	Things    int64           `json:"things"`
	Sightings []TraceSighting `json:"sightings,omitempty"`
	// Filtered says that the source holds the device and that none of the
	// source's queries selects it.
	Filtered bool `json:"filtered,omitempty"`
}

// TraceSighting is the device on a page of its source.
type TraceSighting struct {
	List  string `json:"list"`
	Page  int    `json:"page"`
	Place int    `json:"place"`
	// Fate is one of the Fate constants; Why says why it is not reported.
	Fate   string       `json:"fate"`
	Why    string       `json:"why,omitempty"`
	Device SampleDevice `json:"device"`
}

// What a run makes of a device.
const (
	FateReported    = "reported"
	FateBlacklisted = "blacklisted"
	FateUnnamed     = "unnamed"
	FateInvalid     = "invalid"
)

// DecodeDeviceTrace reads the payload of a device-trace. The error quotes no
// value, for it could be a credential.
func DecodeDeviceTrace(data []byte) (DeviceTrace, error) {
	trace, err := decodeOrder[DeviceTrace](data, CommandTraceDevice)
	if err == nil && trace.Wanted.Empty() {
		return DeviceTrace{}, errors.New("read device-trace: it names no device")
	}
	return trace, err
}

// DecodeDeviceTraceResult reads what a service says of a device-trace.
func DecodeDeviceTraceResult(data []byte) (DeviceTraceResult, error) {
	result, err := decodeReport[DeviceTraceResult](data, "result of device-trace")
	if err != nil {
		return result, err
	}
	bad := len(result.Runs) > MaxTracedRuns || len(result.Read.Sightings) > MaxSightings ||
		min(result.Read.Pages, result.Schedule.Failures) < 0 || result.Read.Things < 0
	for _, run := range result.Runs {
		bad = bad || run.Updates < 0 || run.Chunks < 0 || run.Chunk < 0 || run.Chunk > run.Chunks
	}
	for _, s := range result.Read.Sightings {
		bad = bad || s.Page < 0 || s.Place < 0
	}
	if bad {
		return DeviceTraceResult{}, errors.New("read result of device-trace: a count in it is out of bounds")
	}
	return result, nil
}
