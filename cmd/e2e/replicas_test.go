package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/store/postgres/pgtest"
)

// newReplicas bootstraps a platform in a database of its own and serves it twice.
func newReplicas(t *testing.T, database string) (a, b *platform) {
	t.Helper()
	a = &platform{t: t, dir: t.TempDir(), database: database, clock: &clock{}}
	a.serve(true)
	t.Cleanup(func() { a.stop() })
	b = &platform{t: t, dir: a.dir, database: database, clock: a.clock}
	b.serve(false)
	t.Cleanup(func() { b.stop() })
	return a, b
}

// at is the same service as it connects to another replica.
func (e *edge) at(p *platform) *edge {
	moved := *e
	moved.p = p
	return &moved
}

// TestR30_ReplicasAreOnePlatform changes things on one replica and looks at what
// services and operators connected to the other see.
func TestR30_ReplicasAreOnePlatform(t *testing.T) {
	t.Parallel()
	a, b := newReplicas(t, pgtest.Database(t))
	ctx, cancel := context.WithCancel(t.Context())
	tailed := make(chan string, 1000)
	var tail sync.WaitGroup
	tail.Go(func() {
		err := b.core.TailEvents(ctx, core.EventQuery{}, func(e core.TenantEvent) error {
			tailed <- e.Type + " " + e.Tenant.Slug
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("tail on the other replica: %v", err)
		}
	})
	defer tail.Wait()
	defer cancel()

	// A tenant made on one is known to the handshakes of the other.
	acme := a.tenant("acme")
	e := a.onboard("acme", "edge-1")
	eventually(t, "hello on the other replica", func() bool {
		client, hangUp := e.at(b).dial()
		defer hangUp()
		_, err := client.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: e.component, Version: "1"})
		return err == nil
	})
	// A configuration that the other has in memory follows a change.
	_, before := e.at(b).getConfig()
	source := a.source("acme", "lab", "edge-1")
	eventually(t, "the new source in the other replica's configuration", func() bool {
		config, version := e.at(b).getConfig()
		return version != before && len(config.Sources) == 1
	})
	// The platform's own service, too, on whose index the two must agree.
	saas := a.saas()
	saas.hello()
	a.source("acme", "cloud", core.PlatformSyncName)
	eventually(t, "the platform's source in the other replica's configuration", func() bool {
		config, _ := saas.at(b).getConfig()
		return len(config.Sources) == 1
	})
	// A service connected to the other gets what changes here by push.
	line := e.at(b).control()
	line.next()
	extra := a.source("acme", "pushed", "edge-1")
	if config, _ := line.next(); len(config.Sources) != 2 {
		t.Errorf("pushed %+v", config)
	}
	must(t, a.core.RemoveSource(t.Context(), operator, "acme", extra.ID.String()))
	must(t, e.at(b).push(stream{tenant: acme, source: source.ID, runID: uuid.NewString(), chunks: [][]payload.Update{{update(source.ID, "1", "00:1b:21:00:00:01", "10.0.0.1")}}}))
	must(t, e.push(stream{tenant: acme, source: source.ID, runID: uuid.NewString(), chunks: [][]payload.Update{{update(source.ID, "1", "00:1b:21:00:00:01", "10.0.0.1")}}}))
	if n := a.count("acme"); n != 1 {
		t.Errorf("%d devices, want 1", n)
	}
	// What one records the other tails, each event once.
	seen := map[string]int{}
	eventually(t, "events of the other replica", func() bool {
		select {
		case event := <-tailed:
			seen[event]++
		default:
		}
		return seen["tenant.created acme"] > 0 && seen["source.created acme"] == 3 && seen["service.hello acme"] > 0
	})
	if seen["tenant.created acme"] != 1 || seen["service.hello acme"] != 1 {
		t.Errorf("events were tailed more than once: %v", seen)
	}
	// Revoked on one, refused by the other, and at once.
	_, err := a.core.RevokeService(t.Context(), operator, "acme", "edge-1")
	must(t, err)
	revoked := time.Now()
	eventually(t, "the refusal by the other replica", func() bool { return e.at(b).heartbeat() != nil })
	if took := time.Since(revoked); took > atOnce {
		t.Errorf("the other replica refused after %s", took)
	}
	// A tenant removed on one is gone from the other.
	must(t, a.core.RemoveTenant(t.Context(), operator, "acme"))
	eventually(t, "the removal on the other replica", func() bool {
		_, err := b.core.Tenant(t.Context(), "acme")
		return status.Code(err) == codes.NotFound
	})
	if _, err := b.core.CreateTenant(t.Context(), operator, core.TenantInput{Slug: "acme"}); err != nil {
		t.Errorf("make the tenant anew on the other replica: %v", err)
	}
}

// TestR30_TenantsAreMadeOnce has both replicas make the same tenants at once.
func TestR30_TenantsAreMadeOnce(t *testing.T) {
	t.Parallel()
	a, b := newReplicas(t, pgtest.Database(t))
	for i := range 4 {
		slug := fmt.Sprintf("tenant-%d", i)
		made := make(chan error, 2)
		for _, p := range []*platform{a, b} {
			go func() {
				_, err := p.core.CreateTenant(t.Context(), operator, core.TenantInput{Slug: slug})
				made <- err
			}()
		}
		first, second := <-made, <-made
		if first != nil {
			first, second = second, first
		}
		if first != nil || status.Code(second) != codes.AlreadyExists {
			t.Errorf("%s: made with %v and %v, want one made and one refused", slug, first, second)
		}
	}
	for _, p := range []*platform{a, b} {
		tenants, err := p.core.Tenants(t.Context())
		must(t, err)
		if len(tenants) != 5 {
			t.Errorf("%d tenants, want 4 and the platform's", len(tenants))
		}
	}
}

// TestR30_ReplicaStoppedLosesNothing streams to one replica until it is stopped
// in the middle, and sends what was not acknowledged to the other, as a runtime
// does. Then the database is killed under the other, too.
func TestR30_ReplicaStoppedLosesNothing(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	a, b := newReplicas(t, cluster.Database(t))
	acme := a.tenant("acme")
	e := a.onboard("acme", "edge-1")
	e.hello()
	source := a.source("acme", "lab", "edge-1")
	run := func(i int) stream {
		s := stream{tenant: acme, source: source.ID, runID: uuid.NewString()}
		for chunk := range 4 {
			var updates []payload.Update
			for n := range 25 {
				id := i*100 + chunk*25 + n
				updates = append(updates, update(source.ID, fmt.Sprint(id), fmt.Sprintf("00:1b:21:00:%02x:%02x", id>>8, id&255), fmt.Sprintf("10.0.%d.%d", id>>8, id&255)))
			}
			s.chunks = append(s.chunks, updates)
		}
		return s
	}
	at, stopped := a, make(chan struct{})
	acknowledged := 0
	for i := 0; i < 20; {
		switch i {
		case 7:
			if at == a {
				go func() { a.stop(); close(stopped) }()
			}
		case 14:
			if err := cluster.Crash(); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.at(at).push(run(i)); err != nil {
			at = b // The same run again, to the replica that is there.
			continue
		}
		acknowledged += 100
		i++
		if i == 8 {
			at = b
			<-stopped
		}
	}
	if n := b.count("acme"); int(n) != acknowledged || acknowledged != 2000 {
		t.Errorf("%d devices of %d acknowledged updates", n, acknowledged)
	}
}

// TestR30_ReplicasTrustTheSame changes on one replica who is trusted and looks at
// whom the other lets in.
func TestR30_ReplicasTrustTheSame(t *testing.T) {
	t.Parallel()
	a, b := newReplicas(t, pgtest.Database(t))
	a.tenant("acme")
	first := a.onboard("acme", "edge-1")
	admitted := func(e *edge) func() bool { return func() bool { return e.at(b).heartbeat() == nil } }
	refused := func(e *edge) func() bool { return func() bool { return e.at(b).heartbeat() != nil } }
	eventually(t, "a service of the new tenant let in", admitted(first))

	_, err := a.core.SuspendTenant(t.Context(), operator, "acme", false)
	must(t, err)
	eventually(t, "a service of the suspended tenant refused", refused(first))
	first.at(b).wantNoHandshake()
	_, err = a.core.SuspendTenant(t.Context(), operator, "acme", true)
	must(t, err)
	eventually(t, "a service of the resumed tenant let in", admitted(first))

	// New authorities of the tenant and of the platform, and a new root over both.
	_, err = a.core.RotateTenant(t.Context(), operator, "acme", false)
	must(t, err)
	second := a.onboard("acme", "edge-2")
	eventually(t, "a service under the tenant's new authority let in", admitted(second))
	info, err := a.core.PlatformInfo(t.Context())
	must(t, err)
	before := b.certificate.Load()
	_, err = a.core.RotateTenant(t.Context(), operator, info.Slug, false)
	must(t, err)
	eventually(t, "the other gateway's new certificate", func() bool { return b.certificate.Load() != before })
	_, err = a.core.RotateRoot(t.Context(), operator, false)
	must(t, err)
	eventually(t, "the new root in use by both", func() bool {
		ours, err := a.core.PlatformInfo(t.Context())
		must(t, err)
		theirs, err := b.core.PlatformInfo(t.Context())
		must(t, err)
		return ours.RootFingerprint == theirs.RootFingerprint && ours.RootFingerprint != info.RootFingerprint
	})
	third := a.onboard("acme", "edge-3")
	eventually(t, "a service under the new root let in", admitted(third))
	eventually(t, "a service from before still let in", admitted(first))

	// What was revoked is refused by handshakes, of one that starts later, too.
	_, err = a.core.RevokeService(t.Context(), operator, "acme", "edge-2")
	must(t, err)
	eventually(t, "a revoked service refused", refused(second))
	second.at(b).wantNoHandshake()
	b.restart()
	second.at(b).wantNoHandshake()
	eventually(t, "a service let in after the restart", admitted(third))

	// An authority that leaked takes all with it that it has signed.
	_, err = a.core.RotateTenant(t.Context(), operator, "acme", true)
	must(t, err)
	eventually(t, "a service under the leaked authority refused", refused(third))
	third.at(b).wantNoHandshake()
}
