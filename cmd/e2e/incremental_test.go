package e2e_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"edgesync/core"
	"edgesync/faker"
	"edgesync/faker/inventory"
	"edgesync/proto/payload"
	"edgesync/syncrun"
)

// TestR17_ChangesArriveBetweenSnapshots reads a NetBox whole once and then only
// for what changed.
func TestR17_ChangesArriveBetweenSnapshots(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	server, err := faker.New(faker.Options{NetBox: 300, Seed: 7})
	must(t, err)
	world := httptest.NewServer(server)
	t.Cleanup(world.Close)
	_, err = p.core.CreateSource(t.Context(), operator, core.SourceInput{
		Tenant: "acme", Service: "hq", Credentials: map[string][]byte{payload.CredentialAPIToken: []byte(faker.DemoToken)},
		Spec: core.SourceSpec{Name: "netbox", Type: payload.TypeNetBox, Endpoint: world.URL, PollInterval: time.Second, DiscoveryInterval: time.Hour},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	runs := make(chan int64, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- e.runtime(func(o *syncrun.Options) {
			o.Once, o.DataDir = false, t.TempDir()
			o.Observe = func(event syncrun.Event) {
				if event.Kind == syncrun.RunEnded && event.Result == payload.ResultSuccess {
					runs <- event.Devices
				}
			}
		}).Run(ctx)
	}()
	wantRun := func(devices int64) {
		t.Helper()
		for deadline := time.After(patience); ; {
			select {
			case n := <-runs:
				if n == devices {
					return
				}
			case <-deadline:
				t.Fatalf("no run with %d devices", devices)
			}
		}
	}
	wantRun(300)
	wantRun(0)
	if n := p.count("acme"); n != 300 {
		t.Errorf("%d devices after a run that found no changes", n)
	}
	server.Advance()
	wantRun(300)
	want := inventory.New(7).Device(inventory.NetBoxDevice, 0, 1).Addresses[0].String()
	found, err := p.core.CountDevices(t.Context(), core.DeviceQuery{Tenant: "acme", Search: want})
	must(t, err)
	if n := p.count("acme"); n != 300 || found != 1 {
		t.Errorf("%d devices, %d at the new address %s", n, found, want)
	}
	cancel()
	must(t, <-ended)
}
