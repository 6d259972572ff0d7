package outbox_test

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
)

// TestUpdatesAreEncodedAsTheirTagsSay compares what a run holds with what
// encoding/json makes of the same update.
func TestUpdatesAreEncodedAsTheirTagsSay(t *testing.T) {
	box, _ := open(t, outbox.Options{})
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\x00\x1f\"\\/", "a\xffb\xc3", "\u2028<&>\u2029", "}],[{", `"sync_meta":`}))
	rapid.Check(t, func(t *rapid.T) {
		want := payload.Update{
			DeviceID: text.Draw(t, "device id"), IP: text.Draw(t, "ip"), MAC: text.Draw(t, "mac"), Hostname: text.Draw(t, "hostname"),
			Source: text.Draw(t, "source"), AgentID: text.Draw(t, "agent"), PollerID: text.Draw(t, "poller"), GatewayID: text.Draw(t, "gateway"),
			Partition: text.Draw(t, "partition"), IsAvailable: rapid.Bool().Draw(t, "available"), Confidence: rapid.IntRange(-1, 10).Draw(t, "confidence"),
			Timestamp: time.Unix(rapid.Int64Range(946684800, 4102444800).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).In(time.FixedZone("x", 3600)),
			Metadata:  rapid.MapOf(text, text).Draw(t, "metadata"),
		}
		w, err := box.Begin(head("s1", "run-1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), &want); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Commit(t.Context(), outbox.Outcome{Mode: payload.ModeSnapshot}); err != nil {
			t.Fatal(err)
		}
		l, err := box.Lease("s1")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Delivered(1)
		chunk, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		started := now
		want.SyncMeta = &payload.SyncMeta{SyncServiceID: "service", SyncRunID: "run-1", TotalChunks: 1, TotalDevices: 1, IsFinal: true,
			Mode: payload.ModeSnapshot, RunStarted: &started}
		compare(t, chunk.JSON, want)
		if _, err := l.Next(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}

func compare(t *rapid.T, got []byte, want payload.Update) {
	encoded, err := json.Marshal([]payload.Update{want})
	if err != nil {
		t.Fatal(err)
	}
	var a, b []map[string]any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal(encoded, &b); err != nil {
		t.Fatal(err)
	}
	// Zeroes of sync_meta may be written out or left out.
	for _, list := range [][]map[string]any{a, b} {
		meta := list[0]["sync_meta"].(map[string]any)
		if meta["chunk_index"] == 0.0 {
			delete(meta, "chunk_index")
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("encoded\n%s\nwant\n%s", got, strings.TrimSpace(string(encoded)))
	}
}
