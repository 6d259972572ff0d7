package syncrun_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/armis"
	"edgesync/syncrun/source/netbox"
)

// TestPlatformServiceDialsNothingPrivate reads a source on loopback for a
// tenant, with and without an exception, and for an edge service.
func TestPlatformServiceDialsNothingPrivate(t *testing.T) {
	allowed, err := source.ParseEgress([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		scope  string
		egress *source.Egress
		want   bool
	}{
		"platform":                   {payload.ScopePlatform, nil, false},
		"platform with --allow":      {payload.ScopePlatform, allowed, true},
		"edge, without an exemption": {payload.ScopeTenant, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			var requests, secrets atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				body, _ := io.ReadAll(r.Body)
				if strings.Contains(string(body)+r.Header.Get("Authorization"), canary) {
					secrets.Add(1)
				}
				w.WriteHeader(http.StatusInternalServerError)
			}))
			t.Cleanup(server.Close)
			w := newWorld(t)
			w.options.Adapters = map[string]syncrun.NewAdapter{"armis": armis.New, "netbox": netbox.New}
			w.options.Egress, w.options.Once, w.options.GiveUp = c.egress, true, 10*time.Second
			w.gateway.configure(c.scope, map[string]payload.Source{
				"a": {Type: "armis", Endpoint: server.URL, Credentials: map[string]string{"secret_key": canary}, TenantID: "t", TenantSlug: "t"},
				"n": {Type: "netbox", Endpoint: server.URL, Credentials: map[string]string{"api_token": canary}, TenantID: "t", TenantSlug: "t"},
			})
			runtime, err := syncrun.New(w.options)
			if err != nil {
				t.Fatal(err)
			}
			err = runtime.Run(context.Background())
			w.gateway.kill()
			if reached := requests.Load() > 0; reached != c.want || (secrets.Load() > 0) != c.want {
				t.Errorf("%d requests, %d with the credential; want any: %v (%v)", requests.Load(), secrets.Load(), c.want, err)
			}
			if c.want == strings.Contains(err.Error(), "may not reach") {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// TestServiceWithoutAConfigurationDialsNothingPrivate tests a source on loopback
// before and after a service learns for whom it acts: until then it may be the
// platform's.
func TestServiceWithoutAConfigurationDialsNothingPrivate(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		b := w.switchboard()
		w.options.Adapters = map[string]syncrun.NewAdapter{"netbox": netbox.New}
		w.gateway.configureRaw([]byte(`nonsense`))
		w.run()
		pass(time.Minute)
		inside := payload.Source{Type: "netbox", Endpoint: "http://127.0.0.1:1", Credentials: map[string]string{"api_token": canary}}
		if got := b.test(t, "c1", inside); got.Reason != string(source.ReasonEgress) {
			t.Errorf("without a configuration it was tested as %+v", got)
		}
		w.gateway.configure(payload.ScopeTenant, nil)
		b.push(w.gateway)
		pass(time.Minute)
		if got := b.test(t, "c2", inside); got.Reason != string(source.ReasonConnect) {
			t.Errorf("by a tenant's own service it was tested as %+v", got)
		}
		w.stop()
	})
}
