package payload_test

import (
	"encoding/json"
	"strings"
	"testing"

	"edgesync/proto/payload"
)

func TestReportsOfCommandsAreBounded(t *testing.T) {
	many := payload.SyncState{Sources: make([]payload.SyncedSource, payload.MaxSyncedSources+1)}
	for name, state := range map[string]string{
		"array": `[]`, "text": `"x"`, "cut": `{"total":1`, "wrong type": `{"done":"1"}`, "negative": `{"failed":-1}`,
		"negative source": `{"sources":[{"devices":-1}]}`, "deep": `{"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`,
		"NUL": "{\"a\":\"\x00\"}", "not UTF-8": "{\"a\":\"\xff\"}", "long": `{"a":"` + strings.Repeat("x", payload.MaxCommandPayload) + `"}`,
		"keys": `{"a":{` + strings.Repeat(`"k":1,`, payload.MaxKeys+1) + `"k":1}}`, "many": encode(t, many), "two": `{}{}`,
	} {
		if _, err := payload.DecodeSyncState([]byte(state)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for name, result := range map[string]string{
		"six samples": encode(t, payload.SourceTestResult{Samples: make([]payload.SampleDevice, payload.MaxSamples+1)}),
		"total":       `{"total":-2}`, "time": `{"milliseconds":-1}`,
	} {
		if _, err := payload.DecodeSourceTestResult([]byte(result)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	want := payload.SyncState{Total: 2, Done: 1, Sources: []payload.SyncedSource{{SourceID: "a", State: payload.SyncDone, Result: payload.ResultSuccess, Devices: 3}}}
	if got, err := payload.DecodeSyncState([]byte(encode(t, want))); err != nil || encode(t, got) != encode(t, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := payload.DecodeSyncState(nil); err != nil {
		t.Errorf("nothing at all: %v", err)
	}
}

// The content of a test is a credential's way; an error must not quote it.
func TestDecodeSourceTestQuotesNoValue(t *testing.T) {
	for _, order := range []string{
		`{"source":{"credentials":"canary-secret"}}`, `{"source":{"credentials":{"secret_key":["canary-secret"]}}}`, `{"source":canary-secret`,
		"{\"source\":\"canary-secret\xff\"}",
	} {
		if _, err := payload.DecodeSourceTest([]byte(order)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", order, err)
		}
	}
}

func FuzzDecodeSyncState(f *testing.F) {
	f.Add([]byte(`{"total":2,"done":1,"failed":0,"sources":[{"integration_source_id":"a","state":"done","devices":3}]}`))
	f.Add([]byte(`{"sources":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := payload.DecodeSyncState(data)
		if err != nil {
			return
		}
		if len(state.Sources) > payload.MaxSyncedSources || state.Total < 0 || state.Devices < 0 {
			t.Errorf("took %+v", state)
		}
	})
}

func FuzzDecodeSourceTestResult(f *testing.F) {
	f.Add([]byte(`{"ok":true,"total":2,"samples":[{"hostname":"a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		result, err := payload.DecodeSourceTestResult(data)
		if err == nil && (len(result.Samples) > payload.MaxSamples || result.Total < -1) {
			t.Errorf("took %+v", result)
		}
	})
}

func encode(t testing.TB, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestDeviceTrace(t *testing.T) {
	trace, err := payload.DecodeDeviceTrace([]byte(`{"key":"main","source":{"type":"armis"},"wanted":{"native_ids":["7"]}}`))
	if err != nil || trace.Source.Type != "armis" || trace.Wanted.NativeIDs[0] != "7" {
		t.Errorf("read %+v, %v", trace, err)
	}
	for _, bad := range []string{`{"key":"main"}`, `{"wanted":{}}`, `[]`, "\xff"} {
		if _, err := payload.DecodeDeviceTrace([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, bad := range []string{
		`{"read":{"things":-1}}`, `{"runs":[{"chunks":1,"chunk":2}]}`, `{"read":{"sightings":[{},{},{},{},{},{}]}}`, `{"read":{"sightings":[{"page":-1}]}}`,
	} {
		if _, err := payload.DecodeDeviceTraceResult([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func FuzzDecodeDeviceTraceResult(f *testing.F) {
	f.Add([]byte(`{"at":"2026-03-01T12:00:00Z","runs":[{"run_id":"r","chunks":2,"chunk":1}],"read":{"asked":true,"whole":true,"sightings":[{"list":"l","page":1,"place":2,"fate":"reported","device":{"ip":"10.0.0.1"}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		result, err := payload.DecodeDeviceTraceResult(data)
		if err == nil && (len(result.Runs) > payload.MaxTracedRuns || len(result.Read.Sightings) > payload.MaxSightings || result.Read.Things < 0) {
			t.Errorf("took %+v", result)
		}
	})
}
