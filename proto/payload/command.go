package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// What a sync service can be told to do over its ControlStream
// (CommandRequest.command_type). A service that does not know a command answers
// with a CommandResult that has no success.
const (
	// CommandSyncNow runs sources at once; its payload is a SyncNow, that of its
	// progress and its result a SyncState.
	CommandSyncNow = "sync-now"
	// CommandTestSource reads a little of a source where it runs; its payload is
	// a SourceTest, that of its result a SourceTestResult.
	CommandTestSource = "source-test"
)

// MaxCommandPayload is the most bytes of JSON in a command's progress or result.
const MaxCommandPayload = 96 << 10

// SyncNow names the sources to run by their integration_source_id; none names
// all that the service has.
type SyncNow struct {
	Sources []string `json:"integration_source_ids,omitempty"`
}

// MaxSyncedSources is how many sources one SyncState tells of.
const MaxSyncedSources = 128

// SyncState is how far a sync-now has come. The counts are of all its sources;
// of progress, Sources are those that changed since the last, and of the result
// those that went worst: as many as fit.
type SyncState struct {
	Total  int `json:"total"`
	Done   int `json:"done"`
	Failed int `json:"failed"`
	// Devices and Acknowledged are sums over the sources.
	Devices      int64          `json:"devices"`
	Acknowledged int64          `json:"acknowledged"`
	Sources      []SyncedSource `json:"sources,omitempty"`
}

// SyncedSource is one source of a SyncState.
type SyncedSource struct {
	SourceID string `json:"integration_source_id"`
	// State is one of the Sync constants.
	State string `json:"state"`
	// Result is one of the Result constants once the source is done.
	Result string `json:"result,omitempty"`
	// Devices were found, Acknowledged of their updates are stored.
	Devices      int64  `json:"devices,omitempty"`
	Acknowledged int64  `json:"acknowledged,omitempty"`
	Error        string `json:"error,omitempty"`
}

// How far a source has come in a sync-now.
const (
	SyncWaiting = "waiting"
	SyncReading = "reading"
	SyncSending = "sending"
	SyncDone    = "done"
)

// SourceTest holds the source as it is configured now, also one that is
// disabled and so in no configuration. It holds credentials and is never logged.
type SourceTest struct {
	// Key is what a configuration calls the source.
	Key    string `json:"key"`
	Source Source `json:"source"`
}

// SourceTestResult is what a test of a source found.
type SourceTestResult struct {
	OK bool `json:"ok"`
	// Reason is what kind of thing is wrong: "settings", or what the adapters
	// call it, such as "name", "tls", "token", "permission" or "query".
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Total is how many devices the source says it has, or -1.
	Total   int64          `json:"total"`
	Samples []SampleDevice `json:"samples,omitempty"`
	// Milliseconds is how long the first devices took.
	Milliseconds int64 `json:"milliseconds"`
}

// MaxSamples is how many devices a test shows.
const MaxSamples = 5

// SampleDevice is one device as a source tells of it.
type SampleDevice struct {
	NativeID   string `json:"native_id,omitempty"`
	Hostname   string `json:"hostname,omitempty"`
	IP         string `json:"ip,omitempty"`
	MAC        string `json:"mac,omitempty"`
	DeviceType string `json:"device_type,omitempty"`
	Vendor     string `json:"manufacturer,omitempty"`
	Model      string `json:"model,omitempty"`
}

// DecodeSyncNow reads the payload of a sync-now; an empty one names no source.
func DecodeSyncNow(data []byte) (SyncNow, error) {
	return decodeOrder[SyncNow](data, CommandSyncNow)
}

// DecodeSourceTest reads the payload of a source-test. The error quotes no value,
// for it could be a credential.
func DecodeSourceTest(data []byte) (SourceTest, error) {
	return decodeOrder[SourceTest](data, CommandTestSource)
}

// decodeOrder reads what a gateway sends, whose length only its transport bounds:
// a command may name very many sources.
func decodeOrder[T any](data []byte, what string) (T, error) {
	var value, none T
	if len(data) == 0 {
		return value, nil
	}
	if !utf8.Valid(data) {
		return none, fmt.Errorf("read %s: it is not valid UTF-8", what)
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return none, fmt.Errorf("read %s: %w", what, plain(err))
	}
	return value, nil
}

// DecodeSyncState reads what a service says of a sync-now. Counts below nothing
// and more sources than MaxSyncedSources are refused.
func DecodeSyncState(data []byte) (SyncState, error) {
	state, err := decodeReport[SyncState](data, "progress of sync-now")
	if err != nil {
		return state, err
	}
	if min(int64(state.Total), int64(state.Done), int64(state.Failed), state.Devices, state.Acknowledged) < 0 {
		return SyncState{}, errors.New("read progress of sync-now: it counts less than nothing")
	}
	if len(state.Sources) > MaxSyncedSources {
		return SyncState{}, fmt.Errorf("read progress of sync-now: it tells of more than %d sources", MaxSyncedSources)
	}
	for _, s := range state.Sources {
		if s.Devices < 0 || s.Acknowledged < 0 {
			return SyncState{}, errors.New("read progress of sync-now: it counts less than nothing")
		}
	}
	return state, nil
}

// DecodeSourceTestResult reads what a service says of a source-test.
func DecodeSourceTestResult(data []byte) (SourceTestResult, error) {
	result, err := decodeReport[SourceTestResult](data, "result of source-test")
	if err == nil && (len(result.Samples) > MaxSamples || result.Total < -1 || result.Milliseconds < 0) {
		return SourceTestResult{}, errors.New("read result of source-test: a count in it is out of bounds")
	}
	return result, err
}

// decodeReport reads what a service sends, which may be anything.
func decodeReport[T any](data []byte, what string) (T, error) {
	var value, none T
	s := scanner{data: data}
	if s.space() == 0 && s.pos == len(data) {
		return value, nil
	}
	if s.space() != '{' {
		return none, fmt.Errorf("read %s: it is not a JSON object", what)
	}
	if len(data) > MaxCommandPayload {
		return none, fmt.Errorf("read %s: it takes more than %d bytes", what, MaxCommandPayload)
	}
	if err := s.value(MaxCommandPayload); err != nil {
		return none, fmt.Errorf("read %s: %w", what, err)
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return none, fmt.Errorf("read %s: %w", what, plain(err))
	}
	return value, nil
}
