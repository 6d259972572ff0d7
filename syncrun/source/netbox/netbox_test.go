package netbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgesync/faker"
	"edgesync/faker/inventory"
	"edgesync/proto/payload"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/netbox"
)

// log keeps the requests a server got.
type log struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (l *log) add(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r)
}

// to are the queries of requests to a path.
func (l *log) to(path string) []url.Values {
	l.mu.Lock()
	defer l.mu.Unlock()
	var queries []url.Values
	for _, r := range l.requests {
		if r.URL.Path == path {
			queries = append(queries, r.URL.Query())
		}
	}
	return queries
}

func serve(t *testing.T, options faker.Options) (*faker.Server, *log, payload.Source) {
	t.Helper()
	server, err := faker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	seen := &log{}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.add(r)
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	token := options.Token
	if token == "" {
		token = faker.DemoToken
	}
	return server, seen, payload.Source{Endpoint: listener.URL, Credentials: map[string]string{payload.CredentialAPIToken: token}}
}

// stub answers each path with its texts, one after the other; paths it does not
// know hold nothing, and those absent do not exist.
func stub(t *testing.T, pages map[string][]string, absent ...string) (*log, payload.Source) {
	t.Helper()
	seen, served := &log{}, map[string]int{}
	var mu sync.Mutex
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.add(r)
		mu.Lock()
		defer mu.Unlock()
		if slices.Contains(absent, r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		texts := pages[r.URL.Path]
		if len(texts) == 0 {
			_, _ = io.WriteString(w, `{"count":0,"next":null,"results":[]}`)
			return
		}
		_, _ = io.WriteString(w, texts[min(served[r.URL.Path], len(texts)-1)])
		served[r.URL.Path]++
	}))
	t.Cleanup(listener.Close)
	return seen, payload.Source{Endpoint: listener.URL, Credentials: map[string]string{payload.CredentialAPIToken: "canary-token"}}
}

func discover(t *testing.T, config payload.Source, options source.Options, since time.Time) (map[string]payload.Update, source.Discovery, error) {
	t.Helper()
	adapter, err := netbox.New(config, options)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]payload.Update{}
	discovery, err := adapter.Discover(t.Context(), source.Request{Since: since}, func(update payload.Update) error {
		id := update.Metadata[payload.MetaNetBoxDeviceID]
		if _, twice := found[id]; twice || id == "" || id != update.Metadata[payload.MetaIntegrationID] {
			t.Errorf("%q emitted twice or without an id", id)
		}
		if err := update.Validate(time.Now()); err != nil {
			t.Errorf("%q: %v", id, err)
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
	if err != nil && (strings.Contains(err.Error(), config.Credentials[payload.CredentialAPIToken]) || strings.Contains(err.Error(), "limit=")) {
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

func TestDevicesAndVirtualMachinesAreFoundOnceWithAllTheirFacts(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		for _, count := range []int{0, 1, 5, 1_300} {
			server, _, config := serve(t, faker.Options{NetBox: count, Seed: 9, NetBoxLegacy: legacy})
			found, discovery, err := discover(t, config, source.Options{}, time.Time{})
			want := source.Discovery{Devices: int64(count), Total: int64(count), Mode: payload.ModeSnapshot}
			if err != nil || discovery != want {
				t.Fatalf("%d things: %+v, %v", count, discovery, err)
			}
			for index := range server.Counts().NetBoxDevices {
				compare(t, found[fmt.Sprintf("device:%d", index+1)], inventory.New(9).Device(inventory.NetBoxDevice, index, 0))
			}
			for index := range server.Counts().NetBoxVMs {
				compare(t, found[fmt.Sprintf("vm:%d", index+1)], inventory.New(9).Device(inventory.NetBoxVM, index, 0))
			}
		}
	}
}

func compare(t *testing.T, got payload.Update, device inventory.Device) {
	t.Helper()
	var ips []string
	for _, addr := range device.Addresses {
		ips = append(ips, addr.String())
	}
	name := device.Name
	if got.Hostname == "" && device.Kind == inventory.NetBoxDevice && device.Index%17 == 16 {
		name = ""
	}
	if got.IP != ips[0] || got.MAC != device.MACs[0] || got.Hostname != name || got.Source != "netbox" ||
		got.IsAvailable == device.Offline || got.Confidence != 7 {
		t.Fatalf("%+v became %+v", device, got)
	}
	want := map[string]string{
		payload.MetaIntegrationType: "netbox", payload.MetaAllIPs: strings.Join(ips, ","), payload.MetaPrimaryIP: ips[0],
		payload.MetaAllMACs: strings.Join(device.MACs, ","), payload.MetaSerialNumber: device.Serial,
		payload.MetaOperatingSystem: device.OS, payload.MetaDeviceType: device.Type, payload.MetaSite: device.Site,
		payload.MetaTags: strings.Join(device.Tags, ","),
	}
	if device.Kind == inventory.NetBoxDevice {
		want[payload.MetaManufacturer], want[payload.MetaModel] = device.Manufacturer, device.Model
	}
	for key, value := range want {
		if got.Metadata[key] != value {
			t.Fatalf("%s: %s is %q, want %q", device.Name, key, got.Metadata[key], value)
		}
	}
}

func TestAPageOfDevicesCostsOneRequestForItsInterfaces(t *testing.T) {
	_, seen, config := serve(t, faker.Options{NetBox: 1_000})
	if _, discovery, err := discover(t, config, source.Options{}, time.Time{}); err != nil {
		t.Fatalf("%+v, %v", discovery, err)
	}
	// 800 devices and 200 virtual machines, 150 a page.
	for path, want := range map[string]int{
		"/api/dcim/devices/": 6, "/api/dcim/interfaces/": 6,
		"/api/virtualization/virtual-machines/": 2, "/api/virtualization/interfaces/": 2,
	} {
		if got := len(seen.to(path)); got != want {
			t.Errorf("%d requests to %s, want %d", got, path, want)
		}
	}
	for _, query := range append(seen.to("/api/dcim/devices/"), seen.to("/api/virtualization/virtual-machines/")...) {
		if query.Get("exclude") != "config_context" || query.Get("ordering") != "id" {
			t.Errorf("query %v", query)
		}
	}
}

func TestLargePagesKeepRequestsShortEnough(t *testing.T) {
	_, seen, config := serve(t, faker.Options{NetBox: 2_500})
	config.Credentials[payload.CredentialPageSize] = "5000"
	if _, discovery, err := discover(t, config, source.Options{}, time.Time{}); err != nil || discovery.Devices != 2_500 {
		t.Fatalf("%+v, %v", discovery, err)
	}
	if pages := len(seen.to("/api/dcim/devices/")); pages != 2 {
		t.Errorf("%d pages of devices, want 2 of the server's largest size", pages)
	}
	for _, r := range seen.requests {
		if len(r.RequestURI) > 4094 {
			t.Errorf("a request line of %d bytes", len(r.RequestURI))
		}
	}
}

func TestNextKeepsTheEndpointsSchemeHostAndPath(t *testing.T) {
	stolen := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen = true }))
	t.Cleanup(other.Close)
	_, _, config := serve(t, faker.Options{NetBox: 1_000, NextBase: strings.Replace(other.URL, "http:", "https:", 1) + "/deeper"})
	if _, discovery, err := discover(t, config, source.Options{}, time.Time{}); err != nil || discovery.Devices != 1_000 {
		t.Errorf("%+v, %v", discovery, err)
	}
	if stolen {
		t.Error("the host of a next link was asked")
	}
}

func TestBothVersionsOfTokens(t *testing.T) {
	for _, token := range []string{"0123456789012345678901234567890123456789", "nbt_abc.def"} {
		_, _, config := serve(t, faker.Options{NetBox: 10, Token: token})
		if _, _, err := discover(t, config, source.Options{}, time.Time{}); err != nil {
			t.Errorf("token %s: %v", token, err)
		}
	}
}

func TestAWrongTokenAndAMissingPermissionAreToldApart(t *testing.T) {
	_, _, config := serve(t, faker.Options{NetBox: 10})
	config.Credentials[payload.CredentialAPIToken] = "canary-wrong"
	if _, _, err := discover(t, config, source.Options{}, time.Time{}); reason(err) != source.ReasonToken {
		t.Errorf("a wrong token: %v", err)
	}
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"detail":"You do not have permission to perform this action."}`)
	}))
	t.Cleanup(forbidden.Close)
	config.Endpoint = forbidden.URL
	_, _, err := discover(t, config, source.Options{}, time.Time{})
	if reason(err) != source.ReasonPermission || !strings.Contains(err.Error(), "/api/dcim/devices/") {
		t.Errorf("a missing permission: %v", err)
	}
}

func TestFaultsFailTheRun(t *testing.T) {
	for spec, want := range map[string]source.Reason{
		"status=500/3": source.ReasonServer,
		"status=429":   source.ReasonRateLimit,
		"html=4":       source.ReasonAnswer,
		"truncate=2":   source.ReasonAnswer,
		"endless-next": source.ReasonAnswer,
		"hang=2":       source.ReasonTimeout,
	} {
		faults, err := faker.ParseFaults([]string{spec})
		if err != nil {
			t.Fatal(err)
		}
		_, _, config := serve(t, faker.Options{NetBox: 1_000, Faults: faults})
		options := source.Options{Wait: func(context.Context, time.Duration) error { return nil }}
		if spec == "hang=2" {
			options.Timeout = 200 * time.Millisecond
		}
		_, discovery, err := discover(t, config, options, time.Time{})
		if reason(err) != want || discovery.Mode == payload.ModeSnapshot {
			t.Errorf("%s: %+v, %v", spec, discovery, err)
		}
	}
}

const (
	devices = "/api/dcim/devices/"
	ports   = "/api/dcim/interfaces/"
	vmPorts = "/api/virtualization/interfaces/"
	vms     = "/api/virtualization/virtual-machines/"
)

func results(count int, next string, texts ...string) string {
	link := "null"
	if next != "" {
		link = fmt.Sprintf("%q", next)
	}
	return fmt.Sprintf(`{"count":%d,"next":%s,"results":[%s]}`, count, link, strings.Join(texts, ","))
}

func things(ids ...int) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprintf(`{"id":%d,"name":null}`, id)
	}
	return strings.Join(texts, ",")
}

func TestPagesThatDriftOrDoNotEnd(t *testing.T) {
	next := "https://elsewhere.example" + devices + "?limit=2&offset="
	for _, c := range []struct {
		name    string
		pages   map[string][]string
		devices int64
		partial bool
		want    source.Reason
	}{
		{"whole", map[string][]string{devices: {results(3, next+"2", things(1, 2)), results(3, "", things(3))}}, 3, false, ""},
		{"a duplicate and a gap", map[string][]string{devices: {results(4, next+"2", things(1, 2)), results(4, "", things(2, 4))}}, 3, true, ""},
		{"gone meanwhile", map[string][]string{devices: {results(4, next+"2", things(1, 2)), results(3, "", things(4))}}, 3, true, ""},
		{"fewer virtual machines than counted", map[string][]string{vms: {results(4, "", things(1, 2))}}, 2, true, ""},
		{"fewer interfaces than counted", map[string][]string{devices: {results(1, "", things(1))}, ports: {results(2, "", `{"id":1,"device":{"id":1}}`)}}, 1, true, ""},
		{"a thing without an id", map[string][]string{devices: {results(1, "", things(1, 0))}}, 1, true, ""},
		{"no count", map[string][]string{devices: {`{"results":[{"id":1}]}`}}, 1, true, ""},
		{"a count that is no number", map[string][]string{devices: {`{"count":"many","next":null,"results":[]}`}}, 0, true, ""},
		{"next is the same", map[string][]string{devices: {results(9, next+"2", things(1)), results(9, next+"2", things(2))}}, 2, false, source.ReasonAnswer},
		{"next is no link", map[string][]string{devices: {results(9, "none", things(1))}}, 1, false, source.ReasonAnswer},
		{"next is broken", map[string][]string{devices: {results(9, "http://[::1", things(1))}}, 1, false, source.ReasonAnswer},
		{"interfaces do not end", map[string][]string{devices: {results(1, "", things(1))}, ports: {results(1, next+"1"), results(1, next+"2")}}, 0, false, source.ReasonAnswer},
		{"no results", map[string][]string{devices: {`{"count":0}`}}, 0, false, source.ReasonAnswer},
		{"another shape", map[string][]string{devices: {`{"count":1,"results":{}}`}}, 0, false, source.ReasonAnswer},
	} {
		_, config := stub(t, c.pages)
		_, discovery, err := discover(t, config, source.Options{}, time.Time{})
		if reason(err) != c.want || (err == nil) != (c.want == "") || discovery.Devices != c.devices || (discovery.Partial != "") != c.partial {
			t.Errorf("%s: %+v, %v", c.name, discovery, err)
		}
		if whole := err == nil && !c.partial; whole != (discovery.Mode == payload.ModeSnapshot) {
			t.Errorf("%s: mode %s", c.name, discovery.Mode)
		}
	}
}

func TestShapesOfAllVersions(t *testing.T) {
	_, config := stub(t, map[string][]string{
		devices: {results(3, "",
			`{"id":7,"name":"sw1","device_role":{"name":"switch"},"device_type":{"manufacturer":{"name":"Cisco"},"model":"C9300"},
				"primary_ip4":{"address":"10.0.0.1/24"},"primary_ip6":{"address":"2001:db8::1/64"},"status":{"value":"decommissioning"},
				"serial":"FCW1","tags":["old","style"],"platform":null,"custom_fields":{"owner":"IT"},"config_context":{"big":1}}`,
			`{"id":8,"name":null,"role":{"name":"router"},"device_type":null,"primary_ip4":null,"status":{"value":"active"},"tags":[{"name":"new"}]}`,
			`{"id":9,"primary_ip6":{"address":"2001:db8::9/128"},"status":null}`)},
		vms: {results(1, "", `{"id":7,"name":"vm7","role":null,"cluster":{"name":"c1"},"primary_ip4":{"address":"10.0.0.7/24"}}`)},
		ports: {results(5, "",
			`{"id":1,"device":{"id":7},"mac_address":"AA:BB:CC:00:00:01"}`,
			`{"id":2,"device":{"id":7},"mac_address":null,"primary_mac_address":{"mac_address":"AA:BB:CC:00:00:03"},"mac_addresses":[{"mac_address":"AA:BB:CC:00:00:02"},{"mac_address":"AA:BB:CC:00:00:03"}]}`,
			`{"id":3,"device":{"id":8},"mac_address":null,"primary_mac_address":null,"mac_addresses":[]}`,
			`{"id":4,"device":{"id":55},"mac_address":"AA:BB:CC:00:00:55"}`,
			`{"id":5,"virtual_machine":null,"device":null,"mac_address":"AA:BB:CC:00:00:56"}`)},
		vmPorts: {results(1, "", `{"id":1,"virtual_machine":{"id":7},"mac_address":"00:50:56:00:00:01"}`)},
	})
	config.CustomField = "owner"
	found, discovery, err := discover(t, config, source.Options{}, time.Time{})
	if err != nil || discovery.Devices != 4 || discovery.Mode != payload.ModeSnapshot {
		t.Fatalf("%+v, %v", discovery, err)
	}
	for id, want := range map[string]string{
		"device:7": "10.0.0.1|aa:bb:cc:00:00:01|sw1|false|10.0.0.1,2001:db8::1|aa:bb:cc:00:00:01,aa:bb:cc:00:00:03,aa:bb:cc:00:00:02|switch|Cisco|C9300|FCW1|old,style|IT",
		"device:8": "|||true|||router||||new|",
		"device:9": "2001:db8::9|||true|2001:db8::9|||||||",
		"vm:7":     "10.0.0.7|00:50:56:00:00:01|vm7|true|10.0.0.7|00:50:56:00:00:01||||||",
	} {
		u := found[id]
		m := u.Metadata
		got := fmt.Sprintf("%s|%s|%s|%t|%s|%s|%s|%s|%s|%s|%s|%s", u.IP, u.MAC, u.Hostname, u.IsAvailable, m["all_ips"], m["all_macs"],
			m["device_type"], m["manufacturer"], m["model"], m["serial_number"], m["tags"], m["custom_field"])
		if got != want {
			t.Errorf("%s is\n%s, want\n%s", id, got, want)
		}
	}
}

func TestWhatChangedSinceIsIncremental(t *testing.T) {
	seen, config := stub(t, map[string][]string{devices: {results(1, "", things(1))}})
	since := time.Date(2026, time.March, 1, 13, 0, 0, 0, time.FixedZone("", 3600))
	_, discovery, err := discover(t, config, source.Options{}, since)
	if err != nil || discovery.Mode != payload.ModeIncremental || discovery.Partial != "" {
		t.Errorf("%+v, %v", discovery, err)
	}
	for _, path := range []string{devices, vms} {
		if got := seen.to(path)[0].Get("last_updated__gte"); got != "2026-03-01T12:00:00Z" {
			t.Errorf("%s was asked for changes since %q", path, got)
		}
	}
}

func TestTheNetworkBlacklistTakesAddressesAndDevices(t *testing.T) {
	_, _, config := serve(t, faker.Options{NetBox: 1_000})
	config.NetworkBlacklist = []string{"10.0.0.0/9"}
	found, discovery, err := discover(t, config, source.Options{}, time.Time{})
	if err != nil || discovery.Devices+discovery.Blacklisted != 1_000 || discovery.Blacklisted == 0 || discovery.Mode != payload.ModeSnapshot {
		t.Fatalf("%+v, %v", discovery, err)
	}
	list, _ := source.ParseBlacklist(config.NetworkBlacklist)
	onlyIPv6 := 0
	for id, update := range found {
		addrs := source.Addresses(update.IP, update.Metadata["all_ips"], update.Metadata["primary_ip"])
		if kept, _ := list.Keep(addrs); len(kept) != len(addrs) || len(addrs) == 0 {
			t.Errorf("%s has %v", id, addrs)
		}
		if addrs[0].Is6() {
			onlyIPv6++
		}
	}
	if onlyIPv6 == 0 {
		t.Error("no device was left with its IPv6 address alone")
	}
}

func TestDiscoverEndsWithTheFirstErrorOfEmit(t *testing.T) {
	_, _, config := serve(t, faker.Options{NetBox: 1_000})
	adapter, err := netbox.New(config, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	discovery, err := adapter.Discover(t.Context(), source.Request{}, func(payload.Update) error { return full })
	if !errors.Is(err, full) || discovery.Devices != 0 || discovery.Mode == payload.ModeSnapshot {
		t.Errorf("%+v, %v", discovery, err)
	}
}

func TestConfigurationsAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*payload.Source){
		"api_token must be": func(c *payload.Source) { c.Credentials[payload.CredentialAPIToken] = "Token 0123" },
		"api_token":         func(c *payload.Source) { c.Credentials = nil },
		"page_size":         func(c *payload.Source) { c.Credentials[payload.CredentialPageSize] = "x" },
		"endpoint":          func(c *payload.Source) { c.Endpoint = "" },
		"network blacklist": func(c *payload.Source) { c.NetworkBlacklist = []string{"10"} },
	} {
		_, _, config := serve(t, faker.Options{})
		spoil(&config)
		if _, err := netbox.New(config, source.Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
