package netbox_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/netbox"
)

func TestLookupTellsWhereAThingIs(t *testing.T) {
	pages := map[string][]string{
		"/api/dcim/devices/": {
			`{"count":3,"next":"http://x/?limit=2&offset=2","results":[{"id":1,"name":"sw-1","primary_ip4":{"address":"10.0.0.1/24"}},{"id":0,"name":"nameless"}]}`,
			`{"count":3,"next":null,"results":[{"id":3,"name":"sw-3","primary_ip4":{"address":"10.9.0.3/24"}}]}`,
		},
		"/api/virtualization/virtual-machines/": {`{"count":1,"next":null,"results":[{"id":1,"name":"vm-1"}]}`},
		"/api/dcim/interfaces/":                 {`{"count":1,"next":null,"results":[{"id":9,"mac_address":"00:1B:21:00:00:01","device":{"id":1}}]}`},
	}
	look := func(macs bool, wanted func(source.Device) bool) (found []source.Sighting, requests int, err error) {
		t.Helper()
		seen, config := stub(t, pages)
		config.NetworkBlacklist = []string{"10.9.0.0/16"}
		adapter, errNew := netbox.New(config, source.Options{})
		if errNew != nil {
			t.Fatal(errNew)
		}
		_, err = adapter.Discover(t.Context(), source.Request{Lookup: &source.Lookup{
			MACs: macs, Wanted: wanted, Looked: func(string, int, int) {},
			Found: func(s source.Sighting) bool { found = append(found, s); return len(found) < 2 },
		}}, func(payload.Update) error { t.Error("a lookup reports"); return nil })
		return found, len(seen.to("/api/dcim/interfaces/")), err
	}
	byName := func(names ...string) func(source.Device) bool {
		return func(d source.Device) bool { return slices.Contains(names, d.Name) }
	}
	found, requests, err := look(false, byName("sw-3", "nameless"))
	if !errors.Is(err, source.ErrEnough) || len(found) != 2 || requests != 0 {
		t.Fatalf("found %+v with %d requests for interfaces (%v)", found, requests, err)
	}
	if one := found[0]; one.Page != 1 || one.Place != 2 || one.Fate != source.FateUnnamed {
		t.Errorf("what has no id is %+v", one)
	}
	if one := found[1]; one.List != "/api/dcim/devices/" || one.Page != 2 || one.Place != 1 || one.Fate != source.FateBlacklisted || !strings.Contains(one.Why, "10.9.0.0/16") {
		t.Errorf("what is blacklisted is %+v", one)
	}
	found, requests, err = look(true, func(d source.Device) bool { return slices.Contains(d.MACs, "00:1b:21:00:00:01") })
	if err != nil || len(found) != 1 || requests == 0 || found[0].Device.NativeID != "device:1" || found[0].Update.IP != "10.0.0.1" {
		t.Errorf("by MAC it is %+v with %d requests (%v)", found, requests, err)
	}
}
