package payload_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/payload"
)

var now = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

const good = `{"ip":"10.0.0.1","source":"armis","timestamp":"2026-03-04T11:59:00Z","is_available":true}`

func with(field string) string {
	return `{` + field + `,` + strings.TrimPrefix(good, "{")
}

func TestDecodeUpdatesReadsEveryField(t *testing.T) {
	data := ` [ {"device_id":"default:10.0.0.1","ip":"10.0.0.1","mac":"00:1B:44:11:3A:B7","hostname":"h","source":"netbox",
		"agent_id":"a","poller_id":"p","gateway_id":"g","partition":"hq","timestamp":"2026-03-04T11:59:00.5Z","is_available":true,
		"confidence":7,"metadata":{"netbox_device_id":"device:7","tags":"a,b"},"unknown":{"deep":[1,{"a":null}]},
		"sync_meta":{"sync_service_id":"s","sync_run_id":"r","chunk_index":1,"total_chunks":2,"total_devices":9,"is_final":true,
		"mode":"snapshot","run_started":"2026-03-04T11:00:00Z"}} ] `
	started := time.Date(2026, time.March, 4, 11, 0, 0, 0, time.UTC)
	want := []payload.Update{{
		DeviceID: "default:10.0.0.1", IP: "10.0.0.1", MAC: "00:1B:44:11:3A:B7", Hostname: "h", Source: "netbox",
		AgentID: "a", PollerID: "p", GatewayID: "g", Partition: "hq",
		Timestamp: time.Date(2026, time.March, 4, 11, 59, 0, 500e6, time.UTC), IsAvailable: true, Confidence: 7,
		Metadata: map[string]string{"netbox_device_id": "device:7", "tags": "a,b"},
		SyncMeta: &payload.SyncMeta{SyncServiceID: "s", SyncRunID: "r", ChunkIndex: 1, TotalChunks: 2, TotalDevices: 9,
			IsFinal: true, Mode: payload.ModeSnapshot, RunStarted: &started},
	}}
	got, err := payload.DecodeUpdates([]byte(data), now)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

func TestDecodeUpdatesAcceptsWhatMayBeEmpty(t *testing.T) {
	for name, data := range map[string]string{
		"nothing": "", "white space": " \n", "null": " null ", "no updates": " [ ] ",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := payload.DecodeUpdates([]byte(data), now)
			if err != nil || len(got) != 0 {
				t.Errorf("got %d updates and error %v", len(got), err)
			}
		})
	}
	for name, data := range map[string]string{
		"no timestamp":    `[{"ip":"10.0.0.1"}]`,
		"null timestamp":  `[{"ip":"10.0.0.1","timestamp":null}]`,
		"empty timestamp": `[{"ip":"10.0.0.1","timestamp":""}]`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := payload.DecodeUpdates([]byte(data), now)
			if err != nil || len(got) != 1 || !got[0].Timestamp.Equal(now) {
				t.Errorf("got %+v and error %v, want one update seen now", got, err)
			}
		})
	}
	for name, update := range map[string]string{
		"null everywhere":      `{"ip":"10.0.0.1","mac":null,"metadata":null,"sync_meta":null,"confidence":null}`,
		"clock a day ahead":    with(`"x":1,"timestamp":"2026-03-05T12:00:10Z"`),
		"address with prefix":  `{"ip":"10.0.0.1/24"}`,
		"only a MAC":           `{"mac":"001b.4411.3ab7"}`,
		"only a list of MACs":  `{"metadata":{"all_macs":"x, 00-1B-44-11-3A-B7"}}`,
		"only a native id":     `{"metadata":{"integration_id":"42"}}`,
		"paired surrogates":    with(`"hostname":"\ud83d\ude00"`),
		"much white space":     good + strings.Repeat(" \n", payload.MaxUpdate),
		"escaped backslash u0": with(`"hostname":"\\u0000"`),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := payload.DecodeUpdates([]byte("["+update+"]"), now); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDecodeUpdatesRefusesWithTheIndex(t *testing.T) {
	many := &strings.Builder{}
	for i := range 2000 {
		fmt.Fprintf(many, `"k%d":"",`, i)
	}
	for name, c := range map[string]struct {
		update string
		code   codes.Code
		reason string
	}{
		"nested too deep":         {with(`"x":` + strings.Repeat("[", 7) + strings.Repeat("]", 7)), codes.InvalidArgument, "nested deeper"},
		"nested very deep":        {with(`"x":` + strings.Repeat("[", 30000)), codes.InvalidArgument, "nested deeper"},
		"thousands of keys":       {with(strings.TrimSuffix(many.String(), ",")), codes.InvalidArgument, "keys"},
		"metadata with many keys": {with(`"metadata":{` + strings.TrimSuffix(many.String(), ",") + `}`), codes.InvalidArgument, "keys"},
		"ip is a number":          {`{"ip":7}`, codes.InvalidArgument, `"ip" has the wrong type`},
		"metadata is a list":      {with(`"metadata":[]`), codes.InvalidArgument, `"metadata" has the wrong type`},
		"metadata holds a number": {with(`"metadata":{"a":1}`), codes.InvalidArgument, `"metadata" has the wrong type`},
		"confidence is a string":  {with(`"confidence":"7"`), codes.InvalidArgument, "wrong type"},
		"confidence is huge":      {with(`"confidence":1e999`), codes.InvalidArgument, "wrong type"},
		"update is a number":      {`17`, codes.InvalidArgument, "not a JSON object"},
		"update is an array":      {`[]`, codes.InvalidArgument, "not a JSON object"},
		"update is null":          {`null`, codes.InvalidArgument, "not a JSON object"},
		"update is missing":       {``, codes.InvalidArgument, "not a JSON object"},
		"bad UTF-8":               {with("\"hostname\":\"a\xffb\""), codes.InvalidArgument, "UTF-8"},
		"bad UTF-8 in a key":      {with("\"metadata\":{\"a\xc3\":\"\"}"), codes.InvalidArgument, "UTF-8"},
		"unpaired surrogate":      {with(`"hostname":"\ud83dx"`), codes.InvalidArgument, "UTF-8"},
		"reversed surrogates":     {with(`"hostname":"\ude00\ud83d"`), codes.InvalidArgument, "UTF-8"},
		"NUL":                     {with("\"hostname\":\"a\x00b\""), codes.InvalidArgument, "NUL"},
		"escaped NUL":             {with(`"hostname":"a\u0000b"`), codes.InvalidArgument, "NUL"},
		"NUL in an unknown field": {with(`"x":"\u0000"`), codes.InvalidArgument, "NUL"},
		"raw newline in a string": {with("\"hostname\":\"a\nb\""), codes.InvalidArgument, "control"},
		"bad escape":              {with(`"hostname":"\uZZZZ"`), codes.InvalidArgument, "escape"},
		"timestamp in 1999":       {`{"ip":"10.0.0.1","timestamp":"1999-12-31T23:59:59Z"}`, codes.InvalidArgument, "timestamp"},
		"timestamp in year 1":     {`{"ip":"10.0.0.1","timestamp":"0001-01-01T00:00:00Z"}`, codes.InvalidArgument, "timestamp"},
		"timestamp next week":     {`{"ip":"10.0.0.1","timestamp":"2026-03-11T12:00:00Z"}`, codes.InvalidArgument, "timestamp"},
		"timestamp in 9999":       {`{"ip":"10.0.0.1","timestamp":"9999-12-31T23:59:59Z"}`, codes.InvalidArgument, "timestamp"},
		"timestamp is words":      {`{"ip":"10.0.0.1","timestamp":"yesterday"}`, codes.InvalidArgument, "RFC 3339"},
		"timestamp is a number":   {`{"ip":"10.0.0.1","timestamp":1772625600}`, codes.InvalidArgument, "RFC 3339"},
		"run started in 9999":     {with(`"sync_meta":{"run_started":"9999-01-01T00:00:00Z"}`), codes.InvalidArgument, "run_started"},
		"nothing to know it by":   {`{"hostname":"h","source":"armis"}`, codes.InvalidArgument, "neither"},
		"address that is none":    {`{"ip":"printer","mac":"none"}`, codes.InvalidArgument, "neither"},
		"huge metadata":           {with(`"metadata":{"a":"` + strings.Repeat("x", payload.MaxMetadata) + `"}`), codes.ResourceExhausted, "metadata"},
		"huge update":             {with(`"x":"` + strings.Repeat("x", payload.MaxUpdate) + `"`), codes.ResourceExhausted, "bytes"},
		"huge array inside":       {with(`"x":[` + strings.Repeat("1,", payload.MaxUpdate) + `1]`), codes.ResourceExhausted, "bytes"},
		"huge hostname":           {with(`"hostname":"` + strings.Repeat("x", 1025) + `"`), codes.InvalidArgument, "hostname"},
		"two updates, no comma":   {good + good, codes.InvalidArgument, "JSON"},
		"brackets that mismatch":  {`{"x":[}`, codes.InvalidArgument, "brackets"},
		"no value":                {`{"x":}`, codes.InvalidArgument, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			updates, err := payload.DecodeUpdates([]byte("["+good+","+good+","+c.update+","+good+"]"), now)
			var refused *payload.UpdateError
			if !errors.As(err, &refused) {
				t.Fatalf("got %d updates and error %v, want an UpdateError", len(updates), err)
			}
			if refused.Index != 2 || refused.Code != c.code || !strings.Contains(refused.Reason, c.reason) {
				t.Errorf("got index %d, %v, %q; want index 2, %v, %q", refused.Index, refused.Code, refused.Reason, c.code, c.reason)
			}
			if status.Code(err) != c.code {
				t.Errorf("its status is %v, want %v", status.Code(err), c.code)
			}
			if len(refused.Reason) > 200 {
				t.Errorf("the reason is %d bytes long", len(refused.Reason))
			}
		})
	}
}

func TestDecodeUpdatesRefusesWhatIsNoArray(t *testing.T) {
	for name, c := range map[string]struct {
		data  string
		index int
		code  codes.Code
	}{
		"an object":           {good, -1, codes.InvalidArgument},
		"a word":              {"nil", -1, codes.InvalidArgument},
		"binary":              {"\x00\x01", -1, codes.InvalidArgument},
		"cut":                 {"[" + good, 0, codes.InvalidArgument},
		"cut in a string":     {"[" + good + `,{"ip":"10.`, 1, codes.InvalidArgument},
		"cut after a comma":   {"[" + good + ",", 1, codes.InvalidArgument},
		"something after":     {"[" + good + "] []", 0, codes.InvalidArgument},
		"a NUL after":         {"[]\x00", 0, codes.InvalidArgument},
		"updates by millions": {"[" + strings.Repeat(`{"ip":"::"},`, payload.MaxUpdates) + `{"ip":"::"}]`, -1, codes.ResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := payload.DecodeUpdates([]byte(c.data), now)
			var refused *payload.UpdateError
			if !errors.As(err, &refused) || refused.Index != c.index || refused.Code != c.code {
				t.Errorf("got %#v, want index %d and %v", err, c.index, c.code)
			}
		})
	}
}

// A sender checks with Validate what the receiver checks with DecodeUpdates, so
// whatever passes the one passes the other.
func TestValidateAgreesWithDecodeUpdates(t *testing.T) {
	for name, u := range map[string]payload.Update{
		"plain":                      {IP: "10.0.0.1", Timestamp: now},
		"no timestamp":               {IP: "10.0.0.1"},
		"bad UTF-8":                  {IP: "10.0.0.1", Timestamp: now, Hostname: "a\xff"},
		"NUL in metadata":            {IP: "10.0.0.1", Timestamp: now, Metadata: map[string]string{"a": "\x00"}},
		"metadata at the limit":      {IP: "10.0.0.1", Timestamp: now, Metadata: map[string]string{"a": strings.Repeat("x", payload.MaxMetadata-1)}},
		"metadata over the limit":    {IP: "10.0.0.1", Timestamp: now, Metadata: map[string]string{"a": strings.Repeat("x", payload.MaxMetadata)}},
		"metadata that escapes":      {IP: "10.0.0.1", Timestamp: now, Metadata: map[string]string{"a": strings.Repeat("\x01", payload.MaxMetadata-1)}},
		"metadata that HTML-escapes": {IP: "10.0.0.1", Timestamp: now, Metadata: map[string]string{"a": strings.Repeat("<", payload.MaxMetadata-1)}},
		"huge agent id":              {IP: "10.0.0.1", Timestamp: now, AgentID: strings.Repeat("x", payload.MaxUpdate)},
		"huge run id":                {IP: "10.0.0.1", Timestamp: now, SyncMeta: &payload.SyncMeta{SyncRunID: strings.Repeat("x", 2000)}},
		"nothing to know it by":      {Hostname: "h", Timestamp: now},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal([]payload.Update{u})
			if err != nil {
				t.Fatal(err)
			}
			sender := u.Validate(now)
			_, receiver := payload.DecodeUpdates(data, now)
			// Bad UTF-8 cannot be seen once encoding/json has replaced it.
			if (sender == nil) != (receiver == nil) && name != "bad UTF-8" {
				t.Errorf("Validate says %v, DecodeUpdates says %v", sender, receiver)
			}
			if sender != nil && receiver != nil && status.Code(sender) != status.Code(receiver) {
				t.Errorf("Validate says %v, DecodeUpdates says %v", status.Code(sender), status.Code(receiver))
			}
		})
	}
}

func TestDecodeConfig(t *testing.T) {
	data := `{"sync_service_id":"s","component_id":"c","scope":"tenant","later":{},"sources":{"a":{"type":"armis","endpoint":"https://x",
		"credentials":{"secret_key":"k"},"queries":[{"label":"l","query":"q"}],"poll_interval":"5m"}}}`
	config, err := payload.DecodeConfig([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if s := config.Sources["a"]; config.Scope != payload.ScopeTenant || s.Credentials["secret_key"] != "k" || s.Queries[0].Label != "l" {
		t.Errorf("decoded %+v", config)
	}
	for _, empty := range []string{"", "{}", `{"sources":null}`, `{"sources":{}}`} {
		if config, err := payload.DecodeConfig([]byte(empty)); err != nil || config.Sources == nil || len(config.Sources) != 0 {
			t.Errorf("%q: got %+v and error %v", empty, config, err)
		}
	}
	for _, bad := range []string{"[]", "{", `{"sources":[]}`, "{\"scope\":\"\xff\"}", `{"scope":["canary"]}`,
		`{"sources":{"a":["canary"]}}`, `{"sources":{"a":{"batch_size":"canary","integration_source_id":5}}}`, `{"sources":{"a":{"tenant_id":["canary"]}}}`} {
		if _, err := payload.DecodeConfig([]byte(bad)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
}

// TestMalformedSourceIsAlone: a field of a wrong type costs its source, of which
// nothing is taken but whose it is, and no other.
func TestMalformedSourceIsAlone(t *testing.T) {
	const good = `"good":{"type":"armis","endpoint":"https://x","credentials":{"secret_key":"k"}}`
	for field, value := range map[string]string{
		"batch_size": `"canary"`, "credentials": `{"api_key":"k","secret_key":{"canary":1}}`, "insecure_skip_verify": `"canary"`, "network_blacklist": `"canary"`,
		"queries": `[{"query":"q","label":["canary"]}]`, "poll_interval": `5`, "type": `{}`,
	} {
		t.Run(field, func(t *testing.T) {
			config, err := payload.DecodeConfig([]byte(`{"scope":"platform","component_id":"c","sources":{` + good + `,
				"t/bad":{"endpoint":"https://y","integration_source_id":"i","tenant_id":"t","` + field + `":` + value + `,"tenant_slug":"slug"}}}`))
			if err != nil {
				t.Fatal(err)
			}
			if s := config.Sources["good"]; config.Scope != payload.ScopePlatform || config.ComponentID != "c" || s.Credentials["secret_key"] != "k" || config.Malformed["good"] != nil {
				t.Errorf("the others were read as %+v", config)
			}
			if s, want := config.Sources["t/bad"], (payload.Source{IntegrationSourceID: "i", TenantID: "t", TenantSlug: "slug"}); !reflect.DeepEqual(s, want) {
				t.Errorf("of the malformed source %+v was taken, want %+v", s, want)
			}
			if err := config.Malformed["t/bad"]; err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), "canary") {
				t.Errorf("it was refused with %v", err)
			}
		})
	}
}

func TestDecodeHealth(t *testing.T) {
	data := `{"outbox_bytes":5,"sources":[{"integration_source_id":"i","run_id":"r","started_at":"2026-03-04T11:00:00Z",
		"finished_at":"2026-03-04T11:01:00Z","result":"success","devices":3}],"later":1}`
	health, err := payload.DecodeHealth([]byte(data), now)
	if err != nil || health.OutboxBytes != 5 || len(health.Sources) != 1 || health.Sources[0].Devices != 3 {
		t.Errorf("got %+v and error %v", health, err)
	}
	if health, err := payload.DecodeHealth(nil, now); err != nil || !reflect.DeepEqual(health, payload.Health{}) {
		t.Errorf("empty: got %+v and error %v", health, err)
	}
	for _, bad := range []string{
		"[]", "ok", `{"sources":`, data[:len(data)-20], `{"outbox_bytes":-1}`, `{"sources":[{"devices":-1}]}`, "\x00",
		`{"sources":[{"error":"\u0000"}]}`, "{\"sources\":[{\"error\":\"\xff\"}]}", `{"sources":[{"finished_at":"9999-01-01T00:00:00Z"}]}`,
		`{"x":` + strings.Repeat("[", 9),
	} {
		if health, err := payload.DecodeHealth([]byte(bad), now); err == nil || !reflect.DeepEqual(health, payload.Health{}) {
			t.Errorf("%q: got %+v and error %v", bad, health, err)
		}
	}
}

func FuzzDecodeUpdates(f *testing.F) {
	for _, seed := range []string{"", "null", "[]", "[" + good + "," + good + "]", `[{"ip":"10.0.0.1","metadata":{"a":"\ud83d\ude00"}}]`,
		"[" + with(`"sync_meta":{"run_started":"2026-03-04T11:00:00Z"}`) + "]", "[[[[[[[[[", `[{"ip":7}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		updates, err := payload.DecodeUpdates(data, now)
		if err != nil {
			var refused *payload.UpdateError
			if !errors.As(err, &refused) || (refused.Code != codes.InvalidArgument && refused.Code != codes.ResourceExhausted) {
				t.Fatalf("error %#v is no UpdateError", err)
			}
			return
		}
		for i := range updates {
			if err := updates[i].Validate(now); err != nil {
				t.Fatalf("update %d was decoded and is invalid: %v", i, err)
			}
		}
		encoded, err := json.Marshal(updates)
		if err != nil {
			return // a zone whose offset RFC 3339 cannot write
		}
		again, err := payload.DecodeUpdates(encoded, now)
		if err != nil || len(again) != len(updates) {
			t.Fatalf("what was decoded is refused when sent on: %v", err)
		}
	})
}

// FuzzDecodeUpdatesInAnySpacing compares how an update is read as our own client
// writes it with how it is read with a blank in it, which takes the other way.
func FuzzDecodeUpdatesInAnySpacing(f *testing.F) {
	for _, seed := range []string{
		good, with(`"mac":"00:1B:44:11:3A:B7"`), with(`"metadata":{"integration_id":"42","b":"\u2028","a":"\\\""}`),
		`{"metadata":{"integration_id":"x","integration_id":""}}`, `{"metadata":{},"confidence":-0}`, with(`"confidence":01`), with(`"ip":"10.0.0.2"`),
		with(`"sync_meta":{"sync_run_id":"r","run_started":"2026-03-04T11:00:00Z","x":{"y":{"z":{"a":{"b":{"c":{}}}}}}}`),
		with(`"sync_meta":{"run_started":"1999-03-04T11:00:00Z"}`), with(`"hostname":"S\u00f6hne Söhne \x7f"`), with(`"metadata":{"tags":"x"}`), with(`"Mac":"1"`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rest, ok := bytes.CutPrefix(data, []byte("{"))
		if !ok || len(rest) > payload.MaxUpdate-2 {
			t.Skip()
		}
		// Twice, since what is read once may be remembered.
		got, err := payload.DecodeUpdates([]byte("["+string(data)+","+string(data)+"]"), now)
		want, wanted := payload.DecodeUpdates([]byte("[{ "+string(rest)+",{ "+string(rest)+"]"), now)
		if !reflect.DeepEqual(got, want) || (err == nil) != (wanted == nil) || status.Code(err) != status.Code(wanted) {
			t.Fatalf("read as %+v, %v, with a blank as %+v, %v", got, err, want, wanted)
		}
	})
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add([]byte(`{"scope":"platform","sources":{"t/a":{"type":"armis","batch_size":5}}}`))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		if config, err := payload.DecodeConfig(data); err == nil && config.Sources == nil {
			t.Fatal("a configuration without a map of sources")
		}
	})
}

func FuzzDecodeHealth(f *testing.F) {
	f.Add([]byte(`{"outbox_runs":1,"sources":[{"run_id":"r","started_at":"2026-03-04T11:00:00Z"}]}`))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		health, err := payload.DecodeHealth(data, now)
		if err != nil && !reflect.DeepEqual(health, payload.Health{}) {
			t.Fatal("an error beside a health")
		}
	})
}

// chunk is a results message of about size bytes, as our own client sends it.
func chunk(tb testing.TB, size int) []byte {
	tb.Helper()
	var updates []payload.Update
	for n, i := 0, 0; n < size; i++ {
		u := payload.Update{
			IP: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), MAC: fmt.Sprintf("00:1b:44:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255),
			Hostname: fmt.Sprintf("host-%d.example.net", i), Source: "armis", Timestamp: now, IsAvailable: true, Confidence: 7,
			Metadata: map[string]string{
				"integration_type": "armis", "integration_id": fmt.Sprint(i), "armis_device_id": fmt.Sprint(i), "query_label": "all",
				"integration_source_id": "4b2c9d1e-1111-4222-8333-444455556666", "manufacturer": "Example GmbH", "operating_system": "Linux 6.1",
			},
			SyncMeta: &payload.SyncMeta{SyncRunID: "0d9f3c52-aaaa-4bbb-8ccc-ddddeeeeffff", Mode: payload.ModeSnapshot, RunStarted: &now},
		}
		data, err := json.Marshal(u)
		if err != nil {
			tb.Fatal(err)
		}
		n += len(data)
		updates = append(updates, u)
	}
	data, err := json.Marshal(updates)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Clone(data)
}

// BenchmarkDecodeUpdates decodes a chunk of 1 MiB and reports the share it takes
// of the 50 ms such a chunk may cost.
func BenchmarkDecodeUpdates(b *testing.B) {
	data := chunk(b, payload.ChunkTarget)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := payload.DecodeUpdates(data, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(50*time.Millisecond), "of-limit")
}

// FuzzUnpack: whatever is said to be packed unpacks to what it says, within the
// limit, or is refused.
func FuzzUnpack(f *testing.F) {
	f.Add(payload.AppendPacked(nil, []byte("["+good+"]")))
	f.Add([]byte("\x00s2\x01\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		got, err := payload.Unpack(nil, data, limit)
		if len(got) > limit || err != nil && got != nil {
			t.Fatalf("%d bytes and %v", len(got), err)
		}
		again, err := payload.Unpack(got, payload.AppendPacked(nil, data), max(limit, len(data)))
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("packed and unpacked %d bytes to %d, %v", len(data), len(again), err)
		}
	})
}
