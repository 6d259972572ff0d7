package armis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/faker"
	"edgesync/faker/inventory"
	"edgesync/proto/payload"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/armis"
)

// serve starts a faker behind a hook that sees every request first.
func serve(t *testing.T, options faker.Options, hook func(*faker.Server, *http.Request)) (*faker.Server, payload.Source) {
	t.Helper()
	server, err := faker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hook != nil {
			hook(server, r)
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	return server, payload.Source{
		Type:        payload.TypeArmis,
		Endpoint:    listener.URL,
		Credentials: map[string]string{payload.CredentialSecretKey: faker.DemoSecret, payload.CredentialPageSize: "100"},
	}
}

// stub answers searches with the texts given, one after the other.
func stub(t *testing.T, pages ...string) payload.Source {
	t.Helper()
	var served atomic.Int32
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"data":{"access_token":"tok"},"success":true}`)
			return
		}
		_, _ = io.WriteString(w, pages[min(int(served.Add(1)), len(pages))-1])
	}))
	t.Cleanup(listener.Close)
	return payload.Source{Endpoint: listener.URL, Credentials: map[string]string{payload.CredentialAPIKey: "key"}}
}

func discover(t *testing.T, config payload.Source, options source.Options) (map[string]payload.Update, source.Discovery, error) {
	t.Helper()
	adapter, err := armis.New(config, options)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]payload.Update{}
	discovery, err := adapter.Discover(t.Context(), source.Request{}, func(update payload.Update) error {
		id := update.Metadata[payload.MetaArmisDeviceID]
		if _, twice := found[id]; twice || id == "" || id != update.Metadata[payload.MetaIntegrationID] {
			t.Errorf("device %q emitted twice or without an id", id)
		}
		if err := update.Validate(time.Now()); err != nil {
			t.Errorf("device %q: %v", id, err)
		}
		found[id] = update
		return nil
	})
	if int(discovery.Devices) != len(found) {
		t.Errorf("the discovery counts %d devices, %d were emitted", discovery.Devices, len(found))
	}
	if discovery.Mode == payload.ModeSnapshot && (err != nil || discovery.Partial != "") {
		t.Errorf("a run that did not see everything is a snapshot: %+v, %v", discovery, err)
	}
	if err != nil && (strings.Contains(err.Error(), faker.DemoSecret) || strings.Contains(err.Error(), "aql=")) {
		t.Errorf("the error holds a secret: %v", err)
	}
	return found, discovery, err
}

func reason(err error) source.Reason {
	var failed *source.Error
	if errors.As(err, &failed) {
		return failed.Reason
	}
	return ""
}

func TestEveryDeviceIsFoundOnceWithAllItsFacts(t *testing.T) {
	for _, count := range []int{0, 1, 99, 100, 101, 1_050} {
		_, config := serve(t, faker.Options{Armis: count, Seed: 5}, nil)
		config.Partition, config.AgentID = "dmz", "edge-1"
		found, discovery, err := discover(t, config, source.Options{})
		want := source.Discovery{Devices: int64(count), Total: int64(count), Mode: payload.ModeSnapshot}
		if err != nil || discovery != want {
			t.Fatalf("%d devices: %+v, %v", count, discovery, err)
		}
		for index := range count {
			device := inventory.New(5).Device(inventory.Armis, index, 0)
			got := found[fmt.Sprint(index+1)]
			var ips []string
			for _, addr := range device.Addresses {
				ips = append(ips, addr.String())
			}
			if got.IP != ips[0] || got.MAC != device.MACs[0] || got.Hostname != device.Name || got.Source != "armis" ||
				!got.IsAvailable || got.Confidence != 7 || got.Partition != "dmz" || got.AgentID != "edge-1" {
				t.Fatalf("device %+v became %+v", device, got)
			}
			for key, value := range map[string]string{
				payload.MetaIntegrationType: "armis", payload.MetaAllIPs: strings.Join(ips, ","), payload.MetaPrimaryIP: ips[0],
				payload.MetaAllMACs: strings.Join(device.MACs, ","), payload.MetaSerialNumber: device.Serial,
				payload.MetaManufacturer: device.Manufacturer, payload.MetaModel: device.Model, payload.MetaOperatingSystem: device.OS,
				payload.MetaDeviceType: device.Type, payload.MetaSite: device.Site, payload.MetaTags: strings.Join(device.Tags, ","),
			} {
				if got.Metadata[key] != value {
					t.Fatalf("device %d: %s is %q, want %q", index+1, key, got.Metadata[key], value)
				}
			}
		}
	}
}

func TestChurnChangesAddressesOfTheSameDevices(t *testing.T) {
	server, config := serve(t, faker.Options{Armis: 300}, nil)
	before, _, _ := discover(t, config, source.Options{})
	server.Advance()
	after, _, err := discover(t, config, source.Options{})
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d devices became %d: %v", len(before), len(after), err)
	}
	for id, update := range before {
		if after[id].IP == update.IP || after[id].MAC != update.MAC {
			t.Errorf("device %s was %s at %s and is %s at %s", id, update.MAC, update.IP, after[id].MAC, after[id].IP)
		}
	}
}

func TestDevicesOfSeveralQueriesAreMergedWithAllTheirLabels(t *testing.T) {
	dir := t.TempDir()
	_, config := serve(t, faker.Options{Armis: 2_000, Seed: 3}, nil)
	config.Queries = []payload.Query{
		{Label: "berlin", Query: "in:devices site:Berlin"},
		{Label: "laptops", Query: "in:devices type:Laptop"},
		{Label: "", Query: "in:devices site:Oslo"},
		{Label: "risky", Query: "in:devices riskLevel:>5"},
	}
	found, discovery, err := discover(t, config, source.Options{TempDir: dir})
	if err != nil || discovery.Mode != payload.ModeSnapshot || discovery.Total != -1 {
		t.Fatalf("%+v, %v", discovery, err)
	}
	expected := 0
	for index := range 2_000 {
		device := inventory.New(3).Device(inventory.Armis, index, 0)
		var labels []string
		if device.Site == "Berlin" {
			labels = append(labels, "berlin")
		}
		if device.Type == "Laptop" {
			labels = append(labels, "laptops")
		}
		if device.Risk > 5 {
			labels = append(labels, "risky")
		}
		update, emitted := found[fmt.Sprint(index+1)]
		if want := labels != nil || device.Site == "Oslo"; emitted != want {
			t.Fatalf("device %+v emitted: %t", device, emitted)
		}
		if emitted {
			expected++
		}
		if got := update.Metadata[payload.MetaQueryLabel]; got != strings.Join(labels, ",") {
			t.Errorf("device %d has the labels %q, want %v", index+1, got, labels)
		}
	}
	if len(found) != expected {
		t.Errorf("%d devices, want %d", len(found), expected)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func TestSeveralQueriesNeedRoomForTheirDevices(t *testing.T) {
	_, config := serve(t, faker.Options{Armis: 10}, nil)
	config.Queries = []payload.Query{{Query: "in:devices"}, {Query: "in:devices"}}
	if _, _, err := discover(t, config, source.Options{TempDir: t.TempDir() + "/gone"}); err == nil {
		t.Error("a missing directory was not noticed")
	}
}

func TestATokenThatEndsIsRenewedAndThePageAskedForAgain(t *testing.T) {
	var searches, logins atomic.Int32
	_, config := serve(t, faker.Options{Armis: 1_000}, func(server *faker.Server, r *http.Request) {
		if r.Method == http.MethodPost {
			logins.Add(1)
			return
		}
		// Each third page finds the token withdrawn.
		if n := searches.Add(1); n%3 == 0 {
			server.ExpireTokens()
		}
	})
	_, discovery, err := discover(t, config, source.Options{})
	if err != nil || discovery.Devices != 1_000 || discovery.Mode != payload.ModeSnapshot {
		t.Fatalf("%+v, %v", discovery, err)
	}
	// Ten pages; a refused one costs one login and one request more.
	if extra := searches.Load() - 10; extra < 3 || logins.Load() != 1+extra {
		t.Errorf("%d searches, %d logins", searches.Load(), logins.Load())
	}
}

func TestATokenIsRenewedOnlyOnceForAPage(t *testing.T) {
	var logins atomic.Int32
	_, config := serve(t, faker.Options{Armis: 10, TokenLife: time.Nanosecond}, func(_ *faker.Server, r *http.Request) {
		if r.Method == http.MethodPost {
			logins.Add(1)
		}
	})
	if _, _, err := discover(t, config, source.Options{}); reason(err) != source.ReasonToken || logins.Load() != 2 {
		t.Errorf("%d logins, then %v", logins.Load(), err)
	}
}

func TestAWrongSecretIsSaidSo(t *testing.T) {
	_, config := serve(t, faker.Options{Armis: 10}, nil)
	config.Credentials[payload.CredentialSecretKey] = "canary-wrong"
	_, _, err := discover(t, config, source.Options{})
	if reason(err) != source.ReasonToken || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

func TestAWrongQueryIsNamed(t *testing.T) {
	_, config := serve(t, faker.Options{Armis: 10}, nil)
	config.Queries = []payload.Query{{Label: "all", Query: "in:devices"}, {Label: "odd", Query: "in:devices colour:red"}}
	_, _, err := discover(t, config, source.Options{})
	if reason(err) != source.ReasonQuery || !strings.Contains(err.Error(), "query 2 (odd)") || !strings.Contains(err.Error(), "colour") {
		t.Errorf("error %v", err)
	}
}

func TestFaultsFailTheRun(t *testing.T) {
	for spec, want := range map[string]source.Reason{
		"status=500/3":    source.ReasonServer,
		"status=403/2":    source.ReasonPermission,
		"status=429":      source.ReasonRateLimit,
		"html=4":          source.ReasonAnswer,
		"truncate=2":      source.ReasonAnswer,
		"success-false=5": source.ReasonQuery,
		"endless-next":    source.ReasonAnswer,
		"hang=2":          source.ReasonTimeout,
	} {
		faults, err := faker.ParseFaults([]string{spec})
		if err != nil {
			t.Fatal(err)
		}
		_, config := serve(t, faker.Options{Armis: 1_000, Faults: faults}, nil)
		options := source.Options{Wait: func(context.Context, time.Duration) error { return nil }}
		if spec == "hang=2" {
			options.Timeout = 200 * time.Millisecond
		}
		_, discovery, err := discover(t, config, options)
		if reason(err) != want || discovery.Mode == payload.ModeSnapshot {
			t.Errorf("%s: %+v, %v", spec, discovery, err)
		}
	}
}

func TestARateLimitIsWaitedOut(t *testing.T) {
	var waited time.Duration
	_, config := serve(t, faker.Options{Armis: 1_000, Faults: faker.Faults{Status: 429, StatusEvery: 4}}, nil)
	_, discovery, err := discover(t, config, source.Options{Wait: func(_ context.Context, d time.Duration) error { waited += d; return nil }})
	if err != nil || discovery.Devices != 1_000 || waited != 3*time.Second {
		t.Errorf("%+v, %v, waited %s", discovery, err, waited)
	}
}

// An endpoint that is the address of the API was asked for /api/v1/api/v1.
func TestEndpointsAndSecretsAsPeoplePasteThem(t *testing.T) {
	for _, path := range []string{"/", "/api", "/api/v1/"} {
		_, config := serve(t, faker.Options{Armis: 3}, nil)
		config.Endpoint += path
		config.Credentials[payload.CredentialSecretKey] += "\n"
		if _, discovery, err := discover(t, config, source.Options{}); err != nil || discovery.Devices != 3 {
			t.Errorf("%q: %+v, %v", path, discovery, err)
		}
	}
}

func device(ids ...int) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprintf(`{"id":%d,"ipAddress":"10.0.0.%d","macAddress":null}`, id, id)
	}
	return strings.Join(texts, ",")
}

func answer(results, rest string) string {
	return `{"data":{"results":[` + results + `]` + rest + `},"success":true}`
}

func TestTheEndOfTheListingAndItsTotal(t *testing.T) {
	for _, c := range []struct {
		name    string
		pages   []string
		devices int64
		partial bool
		want    source.Reason
	}{
		{"next null", []string{answer(device(1, 2), `,"next":2,"total":3`), answer(device(3), `,"next":null,"total":3`)}, 3, false, ""},
		{"next 0", []string{answer(device(1, 2), `,"next":0,"total":2`)}, 2, false, ""},
		{"next missing", []string{answer(device(1, 2), `,"total":2`)}, 2, false, ""},
		{"next as text", []string{answer(device(1), `,"next":"1","total":2`), answer(device(2), `,"total":2`)}, 2, false, ""},
		{"fewer than the total", []string{answer(device(1, 2), `,"next":null,"total":3`)}, 2, true, ""},
		{"no total", []string{answer(device(1, 2), ``)}, 2, true, ""},
		{"a total that is no number", []string{answer("", `,"next":null,"total":{"value":3,"relation":"gte"}`)}, 0, true, ""},
		{"a duplicate and a gap", []string{answer(device(1, 2), `,"next":2,"total":4`), answer(device(2, 4), `,"total":4`)}, 3, true, ""},
		{"gone meanwhile", []string{answer(device(1, 2), `,"next":2,"total":4`), answer(device(4), `,"total":3`)}, 3, true, ""},
		{"a device without an id", []string{answer(`{"name":"x"},`+device(1), `,"total":1`)}, 1, true, ""},
		{"next goes back", []string{answer(device(1, 2), `,"next":2,"total":9`), answer(device(3, 4), `,"next":1,"total":9`)}, 4, false, source.ReasonAnswer},
		{"next stays", []string{answer(device(1, 2), `,"next":2,"total":9`), answer(device(3), `,"next":2,"total":9`)}, 3, false, source.ReasonAnswer},
		{"an empty page goes on", []string{answer(device(1, 2), `,"next":2,"total":9`), answer("", `,"next":4,"total":9`)}, 2, false, source.ReasonAnswer},
		{"no data", []string{`{"success":true}`}, 0, false, source.ReasonAnswer},
		{"another shape", []string{`{"data":[],"success":true}`}, 0, false, source.ReasonAnswer},
	} {
		_, discovery, err := discover(t, stub(t, c.pages...), source.Options{})
		if reason(err) != c.want || (err == nil) != (c.want == "") || discovery.Devices != c.devices || (discovery.Partial != "") != c.partial {
			t.Errorf("%s: %+v, %v", c.name, discovery, err)
		}
		if whole := err == nil && !c.partial; whole != (discovery.Mode == payload.ModeSnapshot) {
			t.Errorf("%s: mode %s", c.name, discovery.Mode)
		}
	}
}

func TestOddDevicesAreKept(t *testing.T) {
	found, _, err := discover(t, stub(t, answer(`
		{"id":1,"ipAddress":null,"macAddress":null,"name":null,"tags":null,"site":null,"customProperties":null},
		{"id":2,"ipAddress":"nonsense","macAddress":"nonsense","tags":"one","site":"Berlin"},
		{"id":"3","ipAddress":"10.0.0.3, 10.0.0.4,fe80::3","macAddress":"02:00:00:00:00:03,AA-BB-CC-00-00-03","category":"Phones"},
		{"id":4,"name":7,"customProperties":{"Owner":["IT","OT"]}}`, `,"total":4`)), source.Options{})
	if err != nil || len(found) != 4 {
		t.Fatalf("%d devices, %v", len(found), err)
	}
	if d := found["3"]; d.IP != "10.0.0.3" || d.Metadata["all_ips"] != "10.0.0.3,10.0.0.4,fe80::3" ||
		d.Metadata["all_macs"] != "02:00:00:00:00:03,aa:bb:cc:00:00:03" || d.Metadata["device_type"] != "Phones" {
		t.Errorf("device 3 is %+v", d)
	}
	if d := found["2"]; d.IP != "" || d.Metadata["tags"] != "one" || d.Metadata["site"] != "Berlin" {
		t.Errorf("device 2 is %+v", d)
	}
}

// Ids beyond 64 bits all became the largest number there is, and so one device.
func TestAnIDThatIsTooLargeIsNone(t *testing.T) {
	config := stub(t, answer(`{"id":9223372036854775808,"name":"a"},{"id":18446744073709551617,"name":"b"},{"id":3}`, `,"next":null,"total":3`))
	found, discovery, err := discover(t, config, source.Options{})
	if err != nil || len(found) != 1 || found["3"].Metadata == nil || discovery.Unnamed != 2 || discovery.Partial == "" {
		t.Fatalf("found %v, %+v, %v", found, discovery, err)
	}
}

func TestTheCustomFieldIsRead(t *testing.T) {
	_, config := serve(t, faker.Options{Armis: 1}, nil)
	config.CustomField = "Owner"
	found, _, err := discover(t, config, source.Options{})
	if err != nil || !strings.HasPrefix(found["1"].Metadata[payload.MetaCustomField], "IT ") {
		t.Errorf("%+v, %v", found["1"], err)
	}
}

func TestTheNetworkBlacklistTakesAddressesAndDevices(t *testing.T) {
	_, config := serve(t, faker.Options{Armis: 1_000, Seed: 1}, nil)
	config.NetworkBlacklist = []string{"10.0.0.0/9"}
	config.Queries = []payload.Query{{Query: "in:devices"}, {Query: "in:devices"}}
	found, discovery, err := discover(t, config, source.Options{})
	if err != nil || discovery.Devices+discovery.Blacklisted != 1_000 || discovery.Blacklisted == 0 || discovery.Mode != payload.ModeSnapshot {
		t.Fatalf("%+v, %v", discovery, err)
	}
	list, _ := source.ParseBlacklist(config.NetworkBlacklist)
	for id, update := range found {
		addrs := source.Addresses(update.IP, update.Metadata["all_ips"], update.Metadata["primary_ip"])
		if kept, _ := list.Keep(addrs); !slices.Equal(kept, addrs) || len(addrs) == 0 {
			t.Errorf("device %s has %v", id, addrs)
		}
	}
}

func TestDiscoverEndsWithTheFirstErrorOfEmitAndWithTheCaller(t *testing.T) {
	for _, queries := range [][]payload.Query{nil, {{Query: "in:devices"}, {Query: "in:devices"}}} {
		_, config := serve(t, faker.Options{Armis: 1_000}, nil)
		config.Queries = queries
		adapter, err := armis.New(config, source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		full := errors.New("the disk is full")
		emitted := 0
		discovery, err := adapter.Discover(t.Context(), source.Request{}, func(payload.Update) error {
			if emitted++; emitted == 150 {
				return full
			}
			return nil
		})
		if !errors.Is(err, full) || discovery.Devices != 149 || emitted != 150 || discovery.Mode == payload.ModeSnapshot {
			t.Errorf("%+v, %v after %d", discovery, err, emitted)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = adapter.Discover(ctx, source.Request{}, func(payload.Update) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the caller's end: %v", err)
		}
	}
}

func TestConfigurationsAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*payload.Source){
		"secret_key":        func(c *payload.Source) { c.Credentials = nil },
		"page_size":         func(c *payload.Source) { c.Credentials[payload.CredentialPageSize] = "0" },
		"endpoint":          func(c *payload.Source) { c.Endpoint = "armis" },
		"network blacklist": func(c *payload.Source) { c.NetworkBlacklist = []string{"10"} },
		"number 1":          func(c *payload.Source) { c.Queries = []payload.Query{{Label: "x"}} },
	} {
		_, config := serve(t, faker.Options{}, nil)
		spoil(&config)
		if _, err := armis.New(config, source.Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Memory must not grow with the inventory, whichever way devices take.
func TestMemoryStaysFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a large inventory")
	}
	peak := func(count int, queries []payload.Query) uint64 {
		_, config := serve(t, faker.Options{Armis: count}, nil)
		config.Queries = queries
		config.Credentials[payload.CredentialPageSize] = "1000"
		adapter, err := armis.New(config, source.Options{TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		var most uint64
		emitted := 0
		discovery, err := adapter.Discover(t.Context(), source.Request{}, func(payload.Update) error {
			if emitted++; emitted%(count/5) == 0 {
				var stats runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&stats)
				most = max(most, stats.HeapAlloc)
			}
			return nil
		})
		if err != nil || discovery.Devices != int64(count) {
			t.Fatalf("%+v, %v", discovery, err)
		}
		return most
	}
	for _, queries := range [][]payload.Query{nil, {{Query: "in:devices"}, {Query: "in:devices !site:Oslo"}}} {
		small, large := peak(2_000, queries), peak(20_000, queries)
		if large > small+8<<20 {
			t.Errorf("%d queries: %d KiB of heap for 2,000 devices, %d KiB for 20,000", max(1, len(queries)), small>>10, large>>10)
		}
	}
}
