package netbox_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

// An endpoint that is the address of the API was asked for /api/api, and a line
// end behind the token was told as a broken connection.
func TestEndpointsAndTokensAsPeoplePasteThem(t *testing.T) {
	for _, path := range []string{"", "/", "/api", "/api/", "/netbox", "/netbox/api/"} {
		seen, config := stub(t, nil)
		config.Endpoint += path
		config.Credentials[payload.CredentialAPIToken] = " canary-token\r\n"
		_, _, err := discover(t, config, source.Options{}, time.Time{})
		prefix, _, _ := strings.Cut(path, "/api")
		want := strings.TrimSuffix(prefix, "/") + devices
		if asked := len(seen.to(want)); err != nil || asked != 1 || seen.requests[0].Header.Get("Authorization") != "Token canary-token" {
			t.Errorf("%q: %d requests to %s, %v", path, asked, want, err)
		}
	}
}

// One thing told by its name where NetBox has an object cost the whole page.
func TestShapesThatOnlyResembleNetBox(t *testing.T) {
	_, config := stub(t, map[string][]string{
		devices: {results(4, "",
			`{"id":1,"name":"a","primary_ip4":"10.0.0.1/24","primary_ip6":"2001:db8::1","device_type":"C9300","status":"offline","role":"switch","site":"Berlin"}`,
			`{"id":2,"name":"b","primary_ip":{"address":"10.0.0.2/24"},"device_type":null}`,
			`{"id":3,"name":"c","primary_ip4":{"address":"10.0.0.3/24"},"primary_ip6":{"address":"2001:db8::3/64"},"primary_ip":{"address":"2001:db8::3/64"}}`,
			`{"id":4,"name":"d","primary_ip4":[],"primary_ip":7,"device_type":[1]}`)},
		ports: {results(2, "",
			`{"id":1,"device":1,"mac_address":null,"primary_mac_address":"AA:BB:CC:00:00:01","mac_addresses":["AA:BB:CC:00:00:02"]}`,
			`{"id":2,"device":{"id":"2"},"mac_address":"AA:BB:CC:00:00:03"}`)},
	})
	found, discovery, err := discover(t, config, source.Options{}, time.Time{})
	if err != nil || discovery.Devices != 4 || discovery.Mode != payload.ModeSnapshot {
		t.Fatalf("%+v, %v", discovery, err)
	}
	for id, want := range map[string]string{
		"device:1": "10.0.0.1|false|10.0.0.1,2001:db8::1|aa:bb:cc:00:00:01,aa:bb:cc:00:00:02|switch|C9300|Berlin",
		"device:2": "10.0.0.2|true|10.0.0.2|aa:bb:cc:00:00:03|||",
		"device:3": "10.0.0.3|true|10.0.0.3,2001:db8::3||||",
		"device:4": "|true|||||",
	} {
		u := found[id]
		m := u.Metadata
		got := fmt.Sprintf("%s|%t|%s|%s|%s|%s|%s", u.IP, u.IsAvailable, m["all_ips"], m["all_macs"], m["device_type"], m["model"], m["site"])
		if got != want {
			t.Errorf("%s is\n%s, want\n%s", id, got, want)
		}
	}
}

// NetBox answers 400 to a filter that names something deleted, and one device
// deleted between its page and its interfaces made the whole run fail.
func TestAThingDeletedWhileItIsReadDoesNotEndTheRun(t *testing.T) {
	var asked [][]string
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case vms:
			_, _ = io.WriteString(w, results(4, "", things(7, 77, 400, 8)))
		case vmPorts:
			owners := r.URL.Query()["virtual_machine_id"]
			asked = append(asked, owners)
			for _, gone := range []string{"77", "8"} {
				if slices.Contains(owners, gone) {
					w.WriteHeader(http.StatusBadRequest)
					_, _ = fmt.Fprintf(w, `{"virtual_machine_id":["Select a valid choice. %s is not one of the available choices."]}`, gone)
					return
				}
			}
			_, _ = io.WriteString(w, results(2, "", `{"id":1,"virtual_machine":{"id":400},"mac_address":"00:50:56:00:00:01"},{"id":2,"virtual_machine":{"id":7}}`))
		default:
			_, _ = io.WriteString(w, results(0, ""))
		}
	}))
	t.Cleanup(listener.Close)
	config := payload.Source{Endpoint: listener.URL, Credentials: map[string]string{payload.CredentialAPIToken: "canary-token"}}
	found, discovery, err := discover(t, config, source.Options{}, time.Time{})
	if err != nil || len(found) != 2 || found["vm:400"].MAC != "00:50:56:00:00:01" || found["vm:7"].Metadata == nil {
		t.Errorf("found %v, %v", found, err)
	}
	if discovery.Mode != payload.ModeIncremental || !strings.Contains(discovery.Partial, "77 was deleted") || len(asked) != 3 {
		t.Errorf("%+v after %v", discovery, asked)
	}
}

// A server that has devices and lacks the lists beside them is read as far as it
// goes; that nothing is known of its virtual machines is never taken for none.
func TestListsThatDoNotExist(t *testing.T) {
	for _, c := range []struct {
		name         string
		absent       []string
		devices      int64
		mode         string
		asked        int
		partial, mac string
		lacks        string
	}{
		{"interfaces of virtual machines", []string{vmPorts}, 4, payload.ModeSnapshot, 2, "", "aa:bb:cc:00:00:01", vmPorts},
		{"all interfaces", []string{ports, vmPorts}, 4, payload.ModeSnapshot, 1, "", "", ports + ", " + vmPorts},
		{"virtual machines", []string{vms}, 3, payload.ModeIncremental, 2, vms + ": the source has no such list", "aa:bb:cc:00:00:01", vms},
	} {
		seen, config := stub(t, map[string][]string{
			devices: {results(3, "/?offset=2", things(1, 2)), results(3, "", things(3))},
			ports:   {results(2, "", `{"id":1,"device":{"id":1},"mac_address":"AA:BB:CC:00:00:01"}`, `{"id":2,"device":{"id":2}}`)},
			vms:     {results(1, "", things(1))},
		}, c.absent...)
		found, discovery, err := discover(t, config, source.Options{}, time.Time{})
		if err != nil || discovery.Devices != c.devices || discovery.Mode != c.mode || discovery.Partial != c.partial || discovery.Lacks != c.lacks {
			t.Errorf("%s: %+v, %v", c.name, discovery, err)
		}
		if mac, asked := found["device:1"].MAC, len(seen.to(ports)); mac != c.mac || asked != c.asked {
			t.Errorf("%s: the MAC %q after %d requests", c.name, mac, asked)
		}
	}
	_, config := stub(t, nil, devices)
	if _, _, err := discover(t, config, source.Options{}, time.Time{}); reason(err) != source.ReasonAnswer {
		t.Errorf("without devices: %v", err)
	}
}

// A server that looks at one of several owners only gave the MACs of one device
// of each page, and nothing said so.
func TestInterfacesOfAServerThatLooksAtOneOwnerOnly(t *testing.T) {
	for name, pick := range map[string]func([]string) []string{
		"first": func(owners []string) []string { return owners[:1] },
		"last":  func(owners []string) []string { return owners[len(owners)-1:] },
		"all":   func(owners []string) []string { return owners },
	} {
		asked := 0
		listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case devices:
				_, _ = io.WriteString(w, results(5, "", things(1, 2, 3, 4, 5)))
			case ports:
				asked++
				var found []string
				for _, owner := range pick(r.URL.Query()["device_id"]) {
					if owner != "3" {
						found = append(found, fmt.Sprintf(`{"id":%s,"device":{"id":%s},"mac_address":"AA:BB:CC:00:00:0%s"}`, owner, owner, owner))
					}
				}
				_, _ = io.WriteString(w, results(len(found), "", found...))
			default:
				_, _ = io.WriteString(w, results(0, ""))
			}
		}))
		t.Cleanup(listener.Close)
		config := payload.Source{Endpoint: listener.URL, Credentials: map[string]string{payload.CredentialAPIToken: "canary-token"}}
		found, discovery, err := discover(t, config, source.Options{}, time.Time{})
		if err != nil || discovery.Mode != payload.ModeSnapshot || name == "all" && asked != 1 || asked > 6 {
			t.Errorf("%s: %+v after %d requests, %v", name, discovery, asked, err)
		}
		for _, id := range []string{"1", "2", "4", "5"} {
			if found["device:"+id].MAC != "aa:bb:cc:00:00:0"+id {
				t.Errorf("%s: device %s has the MAC %q", name, id, found["device:"+id].MAC)
			}
		}
	}
}
