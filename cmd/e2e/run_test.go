package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgesync/core"
	"edgesync/faker"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/armis"
	fakersource "edgesync/syncrun/source/faker"
	"edgesync/syncrun/source/netbox"
)

var adapters = map[string]syncrun.NewAdapter{
	payload.TypeArmis: armis.New, payload.TypeNetBox: netbox.New, payload.TypeFaker: fakersource.New,
}

// runtime is the edge's own, with the identity in its files.
func (e *edge) runtime(edit func(*syncrun.Options)) *syncrun.Runtime {
	e.p.t.Helper()
	// The systems of these tests are on loopback, where a platform's service goes
	// only if told.
	egress, err := source.ParseEgress([]string{"127.0.0.0/8"})
	must(e.p.t, err)
	options := syncrun.Options{Egress: egress, Config: e.config, Adapters: adapters, Once: true}
	if edit != nil {
		edit(&options)
	}
	runtime, err := syncrun.New(options)
	must(e.p.t, err)
	return runtime
}

// systems are a fake Armis and NetBox, and who was asked for what.
type systems struct {
	*httptest.Server
	mu    sync.Mutex
	asked int
}

func newSystems(t testing.TB, options faker.Options) *systems {
	t.Helper()
	server, err := faker.New(options)
	must(t, err)
	s := &systems{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *systems) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (p *platform) armisAt(tenant, name, service, endpoint string) core.SourceView {
	p.t.Helper()
	view, err := p.core.CreateSource(p.t.Context(), operator, core.SourceInput{
		Tenant: tenant, Service: service, Credentials: map[string][]byte{payload.CredentialSecretKey: []byte(faker.DemoSecret)},
		Spec: core.SourceSpec{Name: name, Type: payload.TypeArmis, Endpoint: endpoint},
	})
	must(p.t, err)
	return view
}

func TestR13_ServiceThatIsRefusedReadsNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	world := newSystems(t, faker.Options{Armis: 50, NetBox: 1, Seed: 1})
	p.armisAt("acme", "main", "hq", world.URL)
	_, err := p.core.SuspendTenant(t.Context(), operator, "acme", false)
	must(t, err)
	if err := e.runtime(nil).Run(t.Context()); err == nil {
		t.Error("a suspended tenant's service ran")
	}
	if n := world.requests(); n != 0 {
		t.Errorf("the source was asked %d times before the gateway had accepted the service", n)
	}
	_, err = p.core.SuspendTenant(t.Context(), operator, "acme", true)
	must(t, err)
	must(t, e.runtime(nil).Run(t.Context()))
	if n := p.count("acme"); n != 50 {
		t.Errorf("%d devices, want 50", n)
	}
}

func TestR18_RunFarBeyondOneMessageArrivesWhole(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	const devices = 25_000 // About 17 MB of updates.
	_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{
		Tenant: "acme", Service: "hq", Spec: core.SourceSpec{Name: "plant", Type: payload.TypeFaker, Settings: map[string]string{"devices": fmt.Sprint(devices)}},
	})
	must(t, err)
	must(t, e.runtime(nil).Run(t.Context()))
	if n := p.count("acme"); n != devices {
		t.Errorf("%d devices, want %d", n, devices)
	}
	view, err := p.core.Source(t.Context(), "acme", "plant")
	must(t, err)
	if view.Stats.LastResult != payload.ResultSuccess || view.Stats.LastDeviceCount != devices {
		t.Errorf("the source shows %+v", view.Stats)
	}
}

func TestR19_NothingButTheGatewayAndTheSourceIsAsked(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	world := newSystems(t, faker.Options{Armis: 50, NetBox: 1, Seed: 1})
	p.armisAt("acme", "main", "hq", world.URL)
	var mu sync.Mutex
	dialled := map[string]bool{}
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		mu.Lock()
		dialled[address] = true
		mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	must(t, e.runtime(func(o *syncrun.Options) {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, "tcp", address) }
		o.Source = source.Options{HTTP: &http.Client{Transport: &http.Transport{DialContext: dial}}}
	}).Run(t.Context()))
	if n := p.count("acme"); n != 50 {
		t.Errorf("%d devices, want 50", n)
	}
	for address := range dialled {
		if address != p.addr && "http://"+address != world.URL {
			t.Errorf("%s was asked for something", address)
		}
	}
	if len(dialled) != 2 {
		t.Errorf("%v were asked, want the gateway and the source", dialled)
	}
	config, _ := e.getConfig()
	for name := range config.Sources {
		if strings.Contains(strings.ToLower(name), "kv") {
			t.Errorf("the configuration speaks of a key-value store: %s", name)
		}
	}
}

func TestR20_FailingSourceDelaysNoOtherTenant(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	saas := p.saas()
	saas.hello()
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // Only then is the client's going noticed.
		<-r.Context().Done()
	}))
	t.Cleanup(hang.Close)
	world := newSystems(t, faker.Options{Armis: 200, NetBox: 1, Seed: 1})
	p.armisAt("acme", "hangs", saas.service.Name, hang.URL)
	p.armisAt("globex", "works", saas.service.Name, world.URL)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- saas.runtime(func(o *syncrun.Options) {
			o.Observe = func(event syncrun.Event) {
				if event.Kind == syncrun.RunEnded && event.Source == "globex/works" {
					close(done)
				}
			}
		}).Run(ctx)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("a source that hangs holds another tenant's back")
	}
	if n := p.count("globex"); n != 200 {
		t.Errorf("globex has %d devices, want 200", n)
	}
	cancel()
	if err := <-ended; err == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("the runtime ended with %v", err)
	}
}

func TestR27_EveryAddressChangesAndEveryDeviceStays(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	server, err := faker.New(faker.Options{Armis: 500, NetBox: 300, Seed: 7})
	must(t, err)
	world := httptest.NewServer(server)
	t.Cleanup(world.Close)
	p.armisAt("acme", "armis", "hq", world.URL)
	_, err = p.core.CreateSource(t.Context(), operator, core.SourceInput{
		Tenant: "acme", Service: "hq", Credentials: map[string][]byte{payload.CredentialAPIToken: []byte(faker.DemoToken)},
		Spec: core.SourceSpec{Name: "netbox", Type: payload.TypeNetBox, Endpoint: world.URL},
	})
	must(t, err)
	must(t, e.runtime(nil).Run(t.Context()))
	before := p.ids("acme")
	if len(before) != 800 {
		t.Fatalf("%d devices, want 800", len(before))
	}
	for range 3 {
		server.Advance()
		must(t, e.runtime(nil).Run(t.Context()))
		if after := p.ids("acme"); !slices.Equal(before, after) {
			t.Fatalf("after a change of every address there are %d devices, or other ones", len(after))
		}
	}
}
