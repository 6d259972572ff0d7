package payload_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"edgesync/proto/payload"
)

// texts are strings as hostile as they come, and plain ones.
var texts = rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9.:-]{0,20}`), rapid.SampledFrom([]string{
	"", "10.0.0.1", "02:00:00:00:00:01", " ", "\x00", "\x01\x1f\x7f", `"\/`, "a\xffb\xc3", "\u2028<&>\u2029", "}],[{", `"sync_meta":`, "Söhne", "\n",
	strings.Repeat("x", payload.MaxIdentifier), strings.Repeat("x", payload.MaxIdentifier+1), strings.Repeat("\x01", payload.MaxMetadata/2),
}))

var keys = rapid.OneOf(texts, rapid.SampledFrom([]string{
	payload.MetaDeleted, payload.MetaAllIPs, payload.MetaAllMACs, payload.MetaArmisDeviceID, payload.MetaCustomField, payload.MetaDeviceType,
	payload.MetaIntegrationID, payload.MetaIntegrationSourceID, payload.MetaIntegrationType, payload.MetaManufacturer, payload.MetaModel,
	payload.MetaNetBoxDeviceID, payload.MetaOperatingSystem, payload.MetaPrimaryIP, payload.MetaQueryLabel, payload.MetaSerialNumber,
	payload.MetaSite, payload.MetaTags,
}))

var updates = rapid.Custom(func(t *rapid.T) payload.Update {
	at := time.Unix(rapid.Int64Range(now.Unix()-100, now.Unix()).Draw(t, "s"), rapid.OneOf(rapid.Int64Range(0, 999999999), rapid.SampledFrom([]int64{0, 1, 500e6, 120e3})).Draw(t, "ns"))
	switch rapid.IntRange(0, 20).Draw(t, "zone") {
	case 0:
		at = at.In(time.FixedZone("x", 3600))
	case 1:
		at = time.Unix(rapid.Int64Range(0, 4102444800).Draw(t, "any s"), 0).UTC()
	default:
		at = at.UTC()
	}
	return payload.Update{
		DeviceID: texts.Draw(t, "device id"), IP: texts.Draw(t, "ip"), MAC: texts.Draw(t, "mac"), Hostname: texts.Draw(t, "hostname"),
		Source: texts.Draw(t, "source"), AgentID: texts.Draw(t, "agent"), PollerID: texts.Draw(t, "poller"), GatewayID: texts.Draw(t, "gateway"),
		Partition: texts.Draw(t, "partition"), IsAvailable: rapid.Bool().Draw(t, "available"), Confidence: rapid.IntRange(-1, 10).Draw(t, "confidence"),
		Timestamp: at, Metadata: rapid.MapOf(keys, texts).Draw(t, "metadata"),
	}
})

// agree compares an encoder with Validate and encoding/json.
func agree(t interface{ Fatalf(string, ...any) }, e *payload.Encoder, u payload.Update, own map[string]string) {
	whole := u
	if len(own) > 0 {
		whole.Metadata = map[string]string{}
		maps.Copy(whole.Metadata, u.Metadata)
		maps.Copy(whole.Metadata, own)
	}
	const prefix = "before"
	got, err := e.Append([]byte(prefix), &u)
	// Of several reasons either may be the first: a map has no order.
	if want := whole.Validate(now); (err == nil) != (want == nil) || status.Code(err) != status.Code(want) {
		t.Fatalf("refused with %v, want %v", err, want)
	}
	if err != nil {
		if string(got) != prefix {
			t.Fatalf("left %q of an update refused", got)
		}
		return
	}
	var a, b map[string]any
	if err := json.Unmarshal(got[len(prefix):], &a); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	encoded, err := json.Marshal(whole)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := json.Unmarshal(encoded, &b); err != nil {
		t.Fatalf("%v", err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("encoded\n%s\nwant\n%s", got[len(prefix):], encoded)
	}
	decoded, err := payload.DecodeUpdates([]byte("["+string(got[len(prefix):])+"]"), now)
	if err != nil || len(decoded) != 1 {
		t.Fatalf("what was encoded is refused: %v", err)
	}
}

func TestEncoderAgreesWithValidateAndTheTags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		own := rapid.MapOfN(keys, texts, 0, 3).Draw(t, "own")
		e := payload.NewEncoder(func() time.Time { return now }, own)
		for range rapid.IntRange(1, 4).Draw(t, "updates") {
			agree(t, e, updates.Draw(t, "update"), own)
		}
	})
}

// FuzzEncoder gives the encoder what a decoder makes of any bytes.
func FuzzEncoder(f *testing.F) {
	for _, seed := range []string{
		good, with(`"mac":"00:1B:44:11:3A:B7"`), with(`"metadata":{"integration_id":"42","b":"\u2028","a":"\\\""}`), `{"metadata":{"tags":"x","armis_device_id":"1"}}`,
	} {
		f.Add([]byte(seed), "type")
	}
	f.Fuzz(func(t *testing.T, data []byte, kind string) {
		var u payload.Update
		if json.Unmarshal(data, &u) != nil {
			t.Skip()
		}
		u.SyncMeta = nil
		if zone := u.Timestamp.Location(); zone != time.UTC {
			u.Timestamp = u.Timestamp.UTC()
		}
		own := map[string]string{payload.MetaIntegrationType: kind}
		agree(t, payload.NewEncoder(func() time.Time { return now }, own), u, own)
	})
}

func TestKeysOfMetadataAreInOrder(t *testing.T) {
	e := payload.NewEncoder(func() time.Time { return now }, nil)
	all := map[string]string{}
	for _, key := range []string{
		payload.MetaDeleted, payload.MetaAllIPs, payload.MetaAllMACs, payload.MetaArmisDeviceID, payload.MetaCustomField, payload.MetaDeviceType,
		payload.MetaIntegrationID, payload.MetaIntegrationSourceID, payload.MetaIntegrationType, payload.MetaManufacturer, payload.MetaModel,
		payload.MetaNetBoxDeviceID, payload.MetaOperatingSystem, payload.MetaPrimaryIP, payload.MetaQueryLabel, payload.MetaSerialNumber,
		payload.MetaSite, payload.MetaTags,
	} {
		all[key] = "x"
	}
	want, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Append(nil, &payload.Update{Timestamp: now, Metadata: all})
	if err != nil || !strings.Contains(string(got), `"metadata":`+string(want)) {
		t.Errorf("encoded %s, %v, want %s in it", got, err, want)
	}
	all["between"] = "y"
	want, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Append(nil, &payload.Update{Timestamp: now, Metadata: all}); err != nil || !strings.Contains(string(got), `"metadata":`+string(want)) {
		t.Errorf("encoded %s, %v, want %s in it", got, err, want)
	}
}

func BenchmarkEncoder(b *testing.B) {
	updates, err := payload.DecodeUpdates(chunk(b, payload.ChunkTarget), now)
	if err != nil {
		b.Fatal(err)
	}
	e := payload.NewEncoder(time.Now, map[string]string{payload.MetaIntegrationType: "armis", payload.MetaIntegrationSourceID: "0b6f3f0e-9d2b-4c1c-8b56-0a3b6f2f7c11"})
	var dst []byte
	b.ReportAllocs()
	bytes, devices := 0, 0
	for b.Loop() {
		for i := range updates {
			if dst, err = e.Append(dst[:0], &updates[i]); err != nil {
				b.Fatal(err)
			}
			bytes += len(dst)
			devices++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(devices), "ns/device")
	b.ReportMetric(float64(bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
}
