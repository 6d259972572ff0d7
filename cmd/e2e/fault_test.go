package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/faker"
	"edgesync/gateway"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// moody is a system whose way of answering a test changes.
type moody struct {
	*httptest.Server
	now atomic.Pointer[http.Handler]
}

func newMoody(t *testing.T, handler http.Handler) *moody {
	t.Helper()
	m := &moody{}
	m.become(handler)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*m.now.Load()).ServeHTTP(w, r) }))
	t.Cleanup(m.Close)
	return m
}

func (m *moody) become(handler http.Handler) { m.now.Store(&handler) }

func newFaker(t *testing.T, options faker.Options) *faker.Server {
	t.Helper()
	server, err := faker.New(options)
	must(t, err)
	return server
}

// syncOnce reads every source of the edge once, each of whose answers has to come
// within a while, and returns what it told of those that were not brought over whole.
func (e *edge) syncOnce(within time.Duration) []syncrun.FailedSource {
	e.p.t.Helper()
	err := e.runtime(func(o *syncrun.Options) {
		o.Source = source.Options{Timeout: within, Wait: func(context.Context, time.Duration) error { return nil }}
	}).Run(e.p.t.Context())
	var failed *syncrun.SourcesError
	if err != nil && !errors.As(err, &failed) {
		e.p.t.Fatal(err)
	}
	if failed == nil {
		return nil
	}
	return failed.Failed
}

// paged makes a source of Armis that is read in pages of twenty.
func (p *platform) paged(endpoint string) core.SourceView {
	p.t.Helper()
	view, err := p.core.CreateSource(p.t.Context(), operator, core.SourceInput{
		Tenant: "acme", Service: "hq", Credentials: map[string][]byte{payload.CredentialSecretKey: []byte(faker.DemoSecret)},
		Spec: core.SourceSpec{Name: "main", Type: payload.TypeArmis, Endpoint: endpoint, PageSize: 20},
	})
	must(p.t, err)
	return view
}

// TestSourceThatFailsRetractsNothing goes through every way a source fails or
// lies, twice in a row, between snapshots that are complete: the run is told as
// what it was, every device stays, and the next good run is a good run.
func TestSourceThatFailsRetractsNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	systems := newFaker(t, faker.Options{Armis: 60, Seed: 3})
	world := newMoody(t, systems)
	p.paged(world.URL)
	for range 2 {
		if failed := e.syncOnce(patience); failed != nil {
			t.Fatalf("%+v", failed)
		}
	}
	before := p.ids("acme")
	// Pages that drift: what was taken away at the front pulled the rest ahead.
	drift := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); query.Get("from") == "20" {
			query.Set("from", "25")
			r.URL.RawQuery = query.Encode()
		}
		systems.ServeHTTP(w, r)
	})
	for _, c := range []struct {
		name          string
		faults        faker.Faults
		handler       http.Handler
		result, words string
	}{
		{"answers 429", faker.Faults{Status: 429, StatusEvery: 1}, nil, payload.ResultFailed, "429"},
		{"answers 500", faker.Faults{Status: 500, StatusEvery: 2}, nil, payload.ResultFailed, "500"},
		{"hangs after the head", faker.Faults{HangEvery: 2}, nil, payload.ResultFailed, "300ms"},
		{"200 with HTML", faker.Faults{HTMLEvery: 2}, nil, payload.ResultFailed, "web page"},
		{"truncated JSON", faker.Faults{TruncateEvery: 2}, nil, payload.ResultFailed, "JSON"},
		{"success false", faker.Faults{SuccessFalseEvery: 2}, nil, payload.ResultFailed, "could not be executed"},
		{"endless next", faker.Faults{EndlessNext: true}, nil, payload.ResultFailed, "do not end"},
		{"pages drift", faker.Faults{}, drift, payload.ResultPartial, "changed while it was read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			systems.SetFaults(c.faults)
			within := patience
			if c.faults.HangEvery > 0 {
				within = 300 * time.Millisecond
			}
			if c.handler != nil {
				world.become(c.handler)
			}
			for range 2 {
				failed := e.syncOnce(within)
				if len(failed) != 1 || failed[0].Result != c.result || !strings.Contains(failed[0].Detail, c.words) {
					t.Errorf("the run is told as %+v, want %s and %q", failed, c.result, c.words)
				}
			}
			view, err := p.core.Source(t.Context(), "acme", "main")
			must(t, err)
			if view.Stats.LastResult != c.result || view.Stats.LastError == "" || c.result == payload.ResultFailed && view.Stats.ConsecutiveFailures != 2 {
				t.Errorf("the source shows %+v", view.Stats)
			}
			systems.SetFaults(faker.Faults{})
			world.become(systems)
			if failed := e.syncOnce(patience); failed != nil {
				t.Errorf("once it works again: %+v", failed)
			}
			if after := p.ids("acme"); !slices.Equal(before, after) {
				t.Errorf("%d devices are left, want the %d there were", len(after), len(before))
			}
		})
	}
}

// TestSourceSuddenlyHalvedOrEmptyIsHeld: what it is without waits for an operator,
// and is lifted when the source is itself again.
func TestSourceSuddenlyHalvedOrEmptyIsHeld(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]int{"halved": 30, "empty": 0} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			p.tenant("acme")
			e := p.onboard("acme", "hq")
			whole := newFaker(t, faker.Options{Armis: 60, Seed: 3})
			world := newMoody(t, whole)
			p.paged(world.URL)
			sync := func() {
				if failed := e.syncOnce(patience); failed != nil {
					t.Fatalf("%+v", failed)
				}
			}
			sync()
			world.become(newFaker(t, faker.Options{Armis: left, NetBox: 1, Seed: 3}))
			for range 3 {
				sync()
			}
			held, err := p.core.Retractions(t.Context(), "acme", "main")
			must(t, err)
			if n := p.count("acme"); n != 60 || len(held) != 1 || held[0].Hold.Retractions != int64(60-left) {
				t.Errorf("%d devices, held %+v", n, held)
			}
			world.become(whole)
			sync()
			if held, err := p.core.Retractions(t.Context(), "acme", "main"); err != nil || len(held) != 0 || p.count("acme") != 60 {
				t.Errorf("held %+v, %v", held, err)
			}
		})
	}
}

// TestClockOfAnEdgeADayOffChangesNoIdentity, whichever way it jumps.
func TestClockOfAnEdgeADayOffChangesNoIdentity(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	systems := newFaker(t, faker.Options{Armis: 60, Seed: 3})
	world := newMoody(t, systems)
	p.paged(world.URL)
	var before []string
	for i, jump := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour, 0} {
		now := func() time.Time { return time.Now().Add(jump) }
		must(t, e.runtime(func(o *syncrun.Options) { o.Now, o.Source.Now = now, now }).Run(t.Context()))
		after := p.ids("acme")
		if before == nil {
			before = after
		}
		if len(after) != 60 || !slices.Equal(before, after) {
			t.Fatalf("run %d, %s off, left %d devices, or other ones", i, jump, len(after))
		}
		systems.Advance()
	}
	view, err := p.core.Source(t.Context(), "acme", "main")
	must(t, err)
	if at := view.Stats.LastSyncAt; view.Stats.TotalSyncs != 4 || at.After(time.Now()) || time.Since(at) > time.Minute {
		t.Errorf("the source shows %+v", view.Stats)
	}
}

// another serves the same platform over one more gateway.
func (p *platform) another() *platform {
	t := p.t
	t.Helper()
	server, err := gateway.New(gateway.Options{Platform: p.core, Issuers: p.core.Issuers(), Certificate: p.certificate.Load, Now: p.clock.now})
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
	second := &platform{t: t, dir: p.dir, clock: p.clock, core: p.core, store: p.store, keys: p.keys, addr: listener.Addr().String()}
	return second
}

// TestServiceOnTwoGatewaysHasOneEffect delivers the same run over both at once,
// and then an older one after a newer: what it says stays what the newer said.
func TestServiceOnTwoGatewaysHasOneEffect(t *testing.T) {
	t.Parallel()
	p, e, source := site(t)
	two := e.at(p.another())
	started := time.Now().UTC().Add(-time.Minute)
	run := stream{source: source.ID, runID: "r1", started: started.Add(-2 * time.Hour), mode: payload.ModeSnapshot, chunks: fleet(source.ID, 60, 20, 1), announced: true}
	sent := make(chan error, 2)
	for _, one := range []*edge{e, two} {
		go func() { sent <- one.push(run) }()
	}
	for range 2 {
		must(t, <-sent)
	}
	view, err := p.core.Source(t.Context(), "acme", "lab")
	must(t, err)
	if n := p.count("acme"); n != 60 || view.Stats.TotalSyncs != 1 {
		t.Fatalf("%d devices, %d runs", n, view.Stats.TotalSyncs)
	}
	named := func(name string, at time.Time) [][]payload.Update {
		u := update(source.ID, "1", "00:1b:21:00:00:00", "10.9.0.1")
		u.Hostname, u.Timestamp = name, at
		return [][]payload.Update{{u}}
	}
	must(t, e.push(stream{source: source.ID, runID: "newer", started: started, chunks: named("newer", started)}))
	must(t, two.push(stream{source: source.ID, runID: "older", started: started.Add(-time.Hour), chunks: named("older", started.Add(-time.Hour))}))
	found := 0
	for _, state := range []string{"newer", "older"} {
		devices, err := p.core.CountDevices(t.Context(), core.DeviceQuery{Tenant: "acme", Search: state})
		must(t, err)
		if state == "newer" {
			found = int(devices)
		} else if devices != 0 {
			t.Errorf("an old run renamed %d devices", devices)
		}
	}
	if found != 1 {
		t.Errorf("%d devices have the newer name", found)
	}
}

// slowStore is a store each of whose writes to a tenant takes its time.
type slowStore struct {
	core.Store
	pause *atomic.Int64
}

type slowTenant struct {
	core.TenantStore
	pause *atomic.Int64
}

func (s slowStore) Tenant(ctx context.Context, id uuid.UUID) (core.TenantStore, error) {
	tenant, err := s.Store.Tenant(ctx, id)
	return slowTenant{tenant, s.pause}, err
}

func (s slowTenant) Update(ctx context.Context, fn func(core.TenantTx) error) error {
	pause := time.NewTimer(time.Duration(s.pause.Load()))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	return s.TenantStore.Update(ctx, fn)
}

// TestSlowStoreHoldsThePollerBack: what one source brought is on its way to a
// store that takes its time, so the next is read no further than the outbox's
// bound allows, and all of it arrives.
func TestSlowStoreHoldsThePollerBack(t *testing.T) {
	t.Parallel()
	devices, bound := 2500, int64(400_000)
	if raceDetector {
		devices, bound = 800, 140_000
	}
	var pause atomic.Int64
	p := &platform{t: t, dir: t.TempDir(), clock: &clock{}, wrap: func(s core.Store) core.Store { return slowStore{s, &pause} }}
	p.serve(true)
	t.Cleanup(func() { p.stop() })
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	for i := range 3 {
		_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Service: "hq", Spec: core.SourceSpec{
			Name: fmt.Sprint("plant-", i), Type: payload.TypeFaker, Settings: map[string]string{"devices": fmt.Sprint(devices), "seed": fmt.Sprint(i)},
		}})
		must(t, err)
	}
	pause.Store(int64(200 * time.Millisecond))
	dir := t.TempDir()
	var waiting, most atomic.Int64
	must(t, e.runtime(func(o *syncrun.Options) {
		o.DataDir, o.OutboxMax, o.Workers = dir, bound, 1
		o.Observe = func(event syncrun.Event) {
			switch event.Kind {
			case syncrun.Spooled:
				most.Store(max(most.Load(), waiting.Add(1)))
			case syncrun.RunEnded:
				waiting.Add(-1)
			case syncrun.Discovered, syncrun.Sent:
				if size := diskUse(t, dir); size > bound {
					t.Errorf("the outbox takes %d bytes", size)
				}
			}
		}
	}).Run(t.Context()))
	for i := range 3 {
		view, err := p.core.Source(t.Context(), "acme", fmt.Sprint("plant-", i))
		must(t, err)
		if view.Stats.LastResult != payload.ResultSuccess || view.Stats.LastDeviceCount != int64(devices) {
			t.Errorf("source %d shows %+v", i, view.Stats)
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d runs waited at once in an outbox with room for one", most.Load())
	}
}

// diskUse is what the files of an outbox take.
func diskUse(t *testing.T, dir string) (size int64) {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(dir, "outbox"))
	must(t, err)
	for _, entry := range found {
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}
