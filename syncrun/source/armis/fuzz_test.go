package armis

import (
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

func FuzzToken(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"access_token":"abc","expiration_utc":"2026-03-01T00:00:00+00:00"},"success":true}`,
		`{"message":"Invalid secret key.","success":false}`, `{"data":null,"success":true}`, `{"data":{"access_token":"a\r\nb"},"success":true}`, `<html>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if token, err := decodeToken(data); (err == nil) != (token != "") || err == nil && !source.Printable(token) {
			t.Errorf("token %q, error %v", token, err)
		}
	})
}

func FuzzSearch(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"count":1,"next":1,"prev":null,"results":[{"id":1,"ipAddress":"10.0.0.1,fe80::1","macAddress":"AA:BB:CC:00:00:01","name":"x","tags":["a"],"site":{"name":"Berlin"},"customProperties":{"Owner":"IT"}}],"total":2},"success":true}`,
		`{"data":{"results":[null,{},{"id":-1},{"id":1e99}]},"success":true}`, `{"success":false,"message":"no"}`, `{"data":{"next":0}}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	shaper, err := source.NewShaper(payload.Source{}, payload.TypeArmis, source.Options{Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		page, err := decodeSearch(data)
		if (err == nil) != (page != nil) {
			t.Fatalf("page %v, error %v", page, err)
		}
		if err != nil {
			return
		}
		if page.next() < 0 || page.total() < -1 {
			t.Errorf("next %d, total %d", page.next(), page.total())
		}
		for i := range page.Results {
			if page.Results[i].ID == 0 {
				continue
			}
			update, _ := shaper.Update(page.Results[i].shape("Owner"))
			if err := update.Validate(now); err != nil {
				t.Errorf("update %+v: %v", update, err)
			}
		}
	})
}
