package source_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

var moment = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func shaper(t *testing.T, config payload.Source) *source.Shaper {
	t.Helper()
	s, err := source.NewShaper(config, payload.TypeNetBox, source.Options{Now: func() time.Time { return moment }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestADeviceBecomesAnUpdate(t *testing.T) {
	got, ok := shaper(t, payload.Source{Partition: "dmz", AgentID: "agent-1"}).Update(source.Device{
		NativeID: "device:7", NativeKey: payload.MetaNetBoxDeviceID, Name: " core\x00-sw\x1b1 ",
		IPs:    source.Addresses("fe80::1%eth0, 10.0.0.1/24", "2001:db8::1/64"),
		MACs:   source.MACs("AA-BB-CC-00-00-01", "aabb.cc00.0002"),
		Serial: "FCW1", Manufacturer: "Cisco", Model: "C9300", OS: "IOS-XE", Type: "Switch", Site: "Berlin",
		CustomField: "IT", Tags: []string{"a", "b", "a", ""},
	})
	want := payload.Update{
		IP: "10.0.0.1", MAC: "aa:bb:cc:00:00:01", Hostname: "core -sw 1", Source: "netbox", AgentID: "agent-1", Partition: "dmz",
		Timestamp: moment, IsAvailable: true, Confidence: 7,
		Metadata: map[string]string{
			"integration_type": "netbox", "integration_id": "device:7", "netbox_device_id": "device:7",
			"all_ips": "10.0.0.1,2001:db8::1,fe80::1", "primary_ip": "10.0.0.1", "all_macs": "aa:bb:cc:00:00:01,aa:bb:cc:00:00:02",
			"serial_number": "FCW1", "manufacturer": "Cisco", "model": "C9300", "operating_system": "IOS-XE",
			"device_type": "Switch", "site": "Berlin", "tags": "a,b", "custom_field": "IT",
		},
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestADeviceOfNothingButAnIdIsKept(t *testing.T) {
	update, ok := shaper(t, payload.Source{NetworkBlacklist: []string{"0.0.0.0/0", "::/0"}}).Update(source.Device{NativeID: "7"})
	if err := update.Validate(moment); !ok || err != nil || len(update.Metadata) != 2 {
		t.Errorf("%+v: %v", update, err)
	}
}

// Whatever a source says of a device, the gateway takes the update.
func TestUpdatesAreAlwaysValid(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(0, 70_000), func(n int) string { return strings.Repeat("x\x01é", n/3) }))
	rapid.Check(t, func(t *rapid.T) {
		var ips []netip.Addr
		var macs []string
		for i := range rapid.IntRange(0, 2_000).Draw(t, "addresses") {
			ips = append(ips, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)))
			macs = append(macs, fmt.Sprintf("aa:bb:cc:%02x:%02x:%02x", i>>16, i>>8&0xff, i&0xff))
		}
		device := source.Device{
			NativeID: "device:18446744073709551615", NativeKey: payload.MetaNetBoxDeviceID, IPs: ips, MACs: macs,
			Name: text.Draw(t, "name"), Serial: text.Draw(t, "serial"), Manufacturer: text.Draw(t, "manufacturer"),
			Model: text.Draw(t, "model"), OS: text.Draw(t, "os"), Type: text.Draw(t, "type"), Site: text.Draw(t, "site"),
			CustomField: text.Draw(t, "custom"), Tags: rapid.SliceOfN(text, 0, 300).Draw(t, "tags"),
		}
		s, err := source.NewShaper(payload.Source{}, "netbox", source.Options{Now: func() time.Time { return moment }})
		if err != nil {
			t.Fatal(err)
		}
		update, ok := s.Update(device)
		source.Label(&update, rapid.SliceOfN(text, 0, 300).Draw(t, "labels"))
		update.Metadata[payload.MetaIntegrationSourceID] = "0e3c1d9e-5a1f-4c39-9d6b-0a2b6c6f6c11"
		if err := update.Validate(moment); !ok || err != nil {
			t.Fatalf("update %+v: %v", update, err)
		}
	})
}

func TestBlacklist(t *testing.T) {
	list, err := source.ParseBlacklist([]string{"10.1.2.3/16", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addrs, kept string
		none        bool
	}{
		{"", "", false},
		{"10.2.0.1", "10.2.0.1", false},
		{"10.1.255.255", "", true},
		{"10.1.0.1,10.2.0.1,2001:db8::1", "10.2.0.1", false},
		{"192.0.2.7,192.0.2.8", "192.0.2.8", false},
		{"::ffff:10.1.0.1", "", true},
		{"172.16.9.9,2001:db8:1::1", "", true},
		{"2001:db9::1", "2001:db9::1", false},
	} {
		kept, none := list.Keep(source.Addresses(c.addrs))
		if !reflect.DeepEqual(kept, source.Addresses(c.kept)) || none != c.none {
			t.Errorf("%q: kept %v, none %t", c.addrs, kept, none)
		}
	}
	for _, bad := range []string{"", "10.0.0.0/33", "10.0.0", "host", "fe80::1%eth0", "10.0.0.0/8 ", "\x1b[2J"} {
		if _, err := source.ParseBlacklist([]string{"10.0.0.0/8", bad}); err == nil || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, ok := shaper(t, payload.Source{NetworkBlacklist: []string{"10.0.0.0/8"}}).Update(source.Device{NativeID: "1", IPs: source.Addresses("10.0.0.1")}); ok {
		t.Error("a device with blacklisted addresses only was reported")
	}
}

func TestAddressesAndMACsInAnySpelling(t *testing.T) {
	for list, want := range map[string]string{
		"10.0.0.1, 10.0.0.2;10.0.0.1":             "[10.0.0.1 10.0.0.2]",
		"::ffff:10.0.0.1 10.0.0.1/8":              "[10.0.0.1]",
		"0.0.0.0,127.0.0.1,::1,224.0.0.1,ff02::1": "[]",
		"300.1.1.1,host,,":                        "[]",
		"fe80::1%en0":                             "[fe80::1]",
	} {
		if got := fmt.Sprint(source.Addresses(list)); got != want {
			t.Errorf("addresses of %q: %s", list, got)
		}
	}
	for list, want := range map[string]string{
		"AA:BB:CC:DD:EE:FF,aa-bb-cc-dd-ee-ff aabb.ccdd.eeff;AABBCCDDEEFF": "[aa:bb:cc:dd:ee:ff]",
		"00:00:00:00:00:00,ff:ff:ff:ff:ff:ff":                             "[]",
		"02:00:00:00:00:01":                                               "[02:00:00:00:00:01]",
		"aa:bb:cc:dd:ee:ff:00:11,aa:bb,none,xxxxxxxxxxxx":                 "[]",
	} {
		if got := fmt.Sprint(source.MACs(list)); got != want {
			t.Errorf("MACs of %q: %s", list, got)
		}
	}
}

func TestLenientFieldsNeverCostAPage(t *testing.T) {
	var got struct {
		A, B, C, D source.Text
		E, F, G    source.Texts
		H, I, J, K source.Named
		L, M, N, O source.ID
	}
	err := json.Unmarshal([]byte(`{
		"A":"x","B":7.5,"C":null,"D":{"x":1},
		"E":["a",{"name":"b"},null,3],"F":"one","G":{"name":"obj"},
		"H":{"name":"n"},"I":{"value":"v","label":"V"},"J":"plain","K":[1],
		"L":7,"M":"8","N":-1,"O":1.5}`), &got)
	want := "{x 7.5   [a b 3] [one] [obj] n v plain  7 8 0 0}"
	if text := fmt.Sprint(got); err != nil || text != want {
		t.Errorf("%s, %v", text, err)
	}
	custom := json.RawMessage(`{"a":"x","b":["y","z"],"c":{"name":"n"},"d":null,"e":7}`)
	for name, want := range map[string]string{"a": "x", "b": "y,z", "c": "n", "d": "", "e": "7", "f": "", "": ""} {
		if got := source.Property(custom, name); got != want {
			t.Errorf("property %q is %q", name, got)
		}
	}
	if source.Property(json.RawMessage(`[1]`), "a")+source.Property(nil, "a") != "" {
		t.Error("a property of no object")
	}
}
