package netbox

import (
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

func FuzzThings(f *testing.F) {
	for _, seed := range []string{
		`{"count":1,"next":"http://x/?limit=1&offset=1","previous":null,"results":[{"id":7,"name":null,"role":{"name":"r"},"device_type":{"manufacturer":{"name":"Cisco"},"model":"C"},"primary_ip4":{"address":"10.0.0.1/24"},"status":{"value":"active"},"tags":[{"name":"t"}],"custom_fields":{"owner":null}}]}`,
		`{"count":null,"next":null,"results":[null,{}]}`, `{"results":null}`, `{"detail":"no"}`, `<html>`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	shaper, err := source.NewShaper(payload.Source{}, payload.TypeNetBox, source.Options{Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		page, err := decode[thing](data)
		if err != nil {
			return
		}
		if query, err := page.next("limit=1"); err == nil && query == "limit=1" {
			t.Error("a page that names itself was taken")
		}
		for i := range page.Results {
			if page.Results[i].ID == 0 {
				continue
			}
			update, _ := shaper.Update(page.Results[i].shape("device", "owner"))
			if err := update.Validate(now); err != nil {
				t.Errorf("update %+v: %v", update, err)
			}
		}
	})
}

func FuzzInterfaces(f *testing.F) {
	for _, seed := range []string{
		`{"count":1,"next":null,"results":[{"id":1,"device":{"id":7},"mac_address":"AA:BB:CC:00:00:01","primary_mac_address":{"mac_address":"AA:BB:CC:00:00:01"},"mac_addresses":[{"mac_address":"AA:BB:CC:00:00:01"}]}]}`,
		`{"count":1,"results":[{"id":1,"virtual_machine":{"id":7},"mac_address":null}]}`, `{"results":[null]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		page, err := decode[port](data)
		if err != nil {
			return
		}
		for i := range page.Results {
			page.Results[i].owner()
			for _, mac := range source.MACs(page.Results[i].macs()...) {
				if len(mac) != len("aa:bb:cc:dd:ee:ff") {
					t.Errorf("MAC %q", mac)
				}
			}
		}
	})
}
