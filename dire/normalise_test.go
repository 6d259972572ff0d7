package dire_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"edgesync/dire"
	"edgesync/dire/diretest"
)

// assertion is what the engine makes of one update.
func assertion(t diretest.T, u dire.Update) dire.Assertion {
	t.Helper()
	plan := diretest.NewMemory(0).Ingest(t, batch("s", 1, u))
	if len(plan.Put) != 1 {
		t.Fatalf("%+v gives %+v", u, plan)
	}
	return plan.Put[0]
}

// batch is one run's batch of a source in partition p1.
func batch(source string, run int, updates ...dire.Update) dire.Batch {
	return dire.Batch{
		Source: source, SourceType: source, Confidence: 5, Partition: "p1", Updates: updates,
		Run: dire.Run{ID: "run", Started: minutes(run)}, Received: minutes(run),
	}
}

func TestAddressesHaveOneSpelling(t *testing.T) {
	for _, test := range []struct {
		macs, wantMACs, ips, wantIPs []string
	}{
		{macs: []string{"00-1B-21-3C-4D-5E"}, wantMACs: []string{"00:1b:21:3c:4d:5e"}},
		{macs: []string{"001b.213c.4d5e"}, wantMACs: []string{"00:1b:21:3c:4d:5e"}},
		{macs: []string{"001b213c4d5e"}, wantMACs: []string{"00:1b:21:3c:4d:5e"}},
		{macs: []string{"001b21-3c4d5e"}, wantMACs: []string{"00:1b:21:3c:4d:5e"}},
		{macs: []string{"0:1b:21:3c:4d:e"}, wantMACs: []string{"00:1b:21:3c:4d:0e"}},
		{macs: []string{" 00:1b:21:3c:4d:5e , 00:1b:21:3c:4d:5f;00:1B:21:3C:4D:5E"}, wantMACs: []string{"00:1b:21:3c:4d:5e", "00:1b:21:3c:4d:5f"}},
		// The primary one stays first, of the others the order says nothing.
		{macs: []string{"00:1b:21:00:00:09", "00:1b:21:00:00:03", "00:1b:21:00:00:01"}, wantMACs: []string{"00:1b:21:00:00:09", "00:1b:21:00:00:01", "00:1b:21:00:00:03"}},
		{macs: []string{"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:1b:21", "zz:1b:21:3c:4d:5e", "00:1b:21:3c:4d:5e:6f", "00:1b:21:3c:4d:", "001:b:21:3c:4d:5e", "", "n/a"}},
		{ips: []string{"10.1.2.3/24"}, wantIPs: []string{"10.1.2.3"}},
		{ips: []string{"::ffff:10.1.2.3"}, wantIPs: []string{"10.1.2.3"}},
		{ips: []string{"2001:DB8:0::1"}, wantIPs: []string{"2001:db8::1"}},
		{ips: []string{"fe80::1%eth0"}, wantIPs: []string{"fe80::1"}},
		{ips: []string{"10.0.0.2,10.0.0.1", "10.0.0.2"}, wantIPs: []string{"10.0.0.2", "10.0.0.1"}},
		{ips: []string{"127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "10.0.0", "host"}},
	} {
		a := assertion(t, dire.Update{NativeID: "1", MACs: test.macs, IPs: test.ips})
		if !slices.Equal(a.Facts.MACs, test.wantMACs) || !slices.Equal(a.Facts.IPs, test.wantIPs) {
			t.Errorf("MACs %q, IPs %q give %q, %q", test.macs, test.ips, a.Facts.MACs, a.Facts.IPs)
		}
	}
}

func TestOnlyGloballyUniqueMACsLink(t *testing.T) {
	for mac, links := range map[string]bool{
		"00:1b:21:3c:4d:5e": true,
		"00:00:5e:00:03:01": true,
		"02:1b:21:3c:4d:5e": false, // locally administered
		"da:a1:19:00:00:01": false, // a phone's private address
		"02:42:ac:11:00:02": false, // a container's
		"00:00:5e:00:01:0a": false, // VRRP
		"00:00:5e:00:02:0a": false, // VRRP for IPv6
		"00:00:0c:07:ac:01": false, // HSRP
		"00:00:0c:9f:f0:01": false, // HSRP version 2
		"00:05:73:a0:00:01": false, // HSRP for IPv6
		"00:07:b4:00:01:01": false, // GLBP
	} {
		a := assertion(t, dire.Update{NativeID: "1", MACs: []string{mac}})
		if got := slices.ContainsFunc(a.Identifiers, diretest.Hardware); got != links {
			t.Errorf("%s links: %v, want %v", mac, got, links)
		}
		if !slices.Equal(a.Facts.MACs, []string{mac}) {
			t.Errorf("%s is stored as %q", mac, a.Facts.MACs)
		}
	}
}

func TestSerialsLinkWithTheirMaker(t *testing.T) {
	for _, test := range []struct{ maker, number, want string }{
		{"Dell Inc.", "ABC 1234", "dellinc/abc 1234"},
		{"DELL INC", " abc  1234 ", "dellinc/abc 1234"},
		{"Dell Inc.", "", ""},
		{"", "ABC1234", ""},
		{"To be filled by O.E.M.", "ABC1234", ""},
		{"ASUS", "Default string", ""},
		{"ASUS", "System Serial Number", ""},
		{"ASUS", "0000-0000", ""},
		{"ASUS", "........", ""},
		{"ASUS", "A1", ""},
		{"ASUS", "1234567890", ""},
	} {
		a := assertion(t, dire.Update{NativeID: "1", Manufacturer: test.maker, SerialNumber: test.number})
		got := ""
		if len(a.Identifiers) > 0 {
			got = a.Identifiers[0].Value
		}
		if got != test.want {
			t.Errorf("%q %q is identified by %q, want %q", test.maker, test.number, got, test.want)
		}
	}
}

func TestKeysNameThingsWithinTheirSource(t *testing.T) {
	for _, test := range []struct {
		u    dire.Update
		want string
	}{
		{dire.Update{NativeID: "vm:7", MACs: []string{"00:1b:21:00:00:01"}}, "id:vm:7"},
		{dire.Update{MACs: []string{"02:00:00:00:00:01", "00:1b:21:00:00:09", "00:1b:21:00:00:03"}, IPs: []string{"10.0.0.1"}}, "mac:00:1b:21:00:00:03"},
		{dire.Update{MACs: []string{"02:00:00:00:00:01"}, IPs: []string{"10.0.0.9", "10.0.0.1"}}, "ip:10.0.0.9"},
		{dire.Update{Manufacturer: "HP", SerialNumber: "CZC1234"}, "serial:hp/czc1234"},
		{dire.Update{MACs: []string{"02:00:00:00:00:02", "02:00:00:00:00:01"}}, "weak:02:00:00:00:00:01"},
	} {
		if a := assertion(t, test.u); a.Key != test.want {
			t.Errorf("%+v is known by %q, want %q", test.u, a.Key, test.want)
		}
	}
}

func TestWhatNamesNothingIsRefused(t *testing.T) {
	plan := diretest.NewMemory(0).Ingest(t, batch("s", 1,
		dire.Update{Hostname: "h"}, dire.Update{MACs: []string{"00:00:00:00:00:00"}}, dire.Update{NativeID: " "},
		dire.Update{NativeID: "1"}))
	if plan.Stats != (dire.Stats{Stored: 1, Refused: 3}) {
		t.Errorf("stats are %+v", plan.Stats)
	}
}

func TestFactsSurviveTheirEncoding(t *testing.T) {
	f := assertion(t, dire.Update{
		NativeID: "1", MACs: []string{"00:1b:21:00:00:01"}, IPs: []string{"10.0.0.1"}, Hostname: "H.Example.",
		SerialNumber: "S", Manufacturer: "M", Model: "<m>\u2028", OS: "o", DeviceType: "d", Site: "s",
		Tags: []string{"b", "a", " ", "b"}, Available: true, Metadata: map[string]string{"k": "v", "": "\x01"},
	}).Facts
	if !slices.Equal(f.Tags, []string{"a", "b"}) || f.Hostname != "h.example" {
		t.Errorf("facts are %+v", f)
	}
	data, err := dire.EncodeFacts(&f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := dire.DecodeFacts(append([]byte(`{"of_a_later_version":1,`), data[1:]...))
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%s decodes to %+v, %v", data, got, err)
	}
	if _, err := dire.DecodeFacts([]byte("[")); err == nil {
		t.Error("half an array decodes")
	}
}

// FuzzNormalise: canonical spellings are those of themselves, and whatever a
// source says is either refused or one assertion.
func FuzzNormalise(f *testing.F) {
	f.Add("1", "00-1b-21-00-00-01, x", "10.0.0.1/8 ::1", "h.", "Dell", "S N 1")
	f.Add("", "0:0:5e:0:1:1", "::ffff:1.2.3.4%z", "\xff", "\u00e9", "\u212a\u212a\u212a\u212a")
	f.Fuzz(func(t *testing.T, native, macs, ips, host, maker, serial string) {
		u := dire.Update{
			NativeID: native, MACs: strings.Split(macs, "|"), IPs: strings.Split(ips, "|"),
			Hostname: host, Manufacturer: maker, SerialNumber: serial,
		}
		plan := diretest.NewMemory(0).Ingest(t, batch("s", 1, u))
		if plan.Stats.Refused == 1 {
			return
		}
		a := plan.Put[0]
		again := assertion(t, dire.Update{
			NativeID: a.Facts.NativeID, MACs: a.Facts.MACs, IPs: a.Facts.IPs, Hostname: a.Facts.Hostname,
			Manufacturer: a.Facts.Manufacturer, SerialNumber: a.Facts.SerialNumber,
		})
		if again.Key != a.Key || again.Hash != a.Hash || !slices.Equal(again.Identifiers, a.Identifiers) {
			t.Errorf("%+v becomes %+v", a, again)
		}
	})
}
