package core_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/dire"
	"edgesync/proto/payload"
)

// burstWorld is a tenant in whose store a transaction begins when it is let go.
type burstWorld struct {
	*world
	t      *testing.T
	tenant uuid.UUID
	peer   certs.Peer
	source core.SourceView
	slow   *core.Core

	inside, leave chan struct{}
	done          chan result
	// poison is a source over whose updates the program panics.
	poison atomic.Value
	// broken is a store that takes nothing.
	broken atomic.Bool
}

type poisoned struct {
	core.Store
	b *burstWorld
}

func (p poisoned) Tenant(ctx context.Context, id uuid.UUID) (core.TenantStore, error) {
	store, err := p.Store.Tenant(ctx, id)
	return poisonedTenant{store, p.b}, err
}

type poisonedTenant struct {
	core.TenantStore
	b *burstWorld
}

func (p poisonedTenant) Update(ctx context.Context, fn func(core.TenantTx) error) error {
	if p.b.broken.Load() {
		return core.Unavailable(errFault)
	}
	return p.TenantStore.Update(ctx, func(tx core.TenantTx) error { return fn(poisonedTx{tx, p.b}) })
}

type poisonedTx struct {
	core.TenantTx
	b *burstWorld
}

func (p poisonedTx) Touch(ctx context.Context, probe dire.Probe) (dire.Probe, error) {
	if probe.Source == p.b.poison.Load() {
		panic("poison")
	}
	return p.TenantTx.Touch(ctx, probe)
}

type result struct {
	name string
	err  error
}

func newBurstWorld(t *testing.T) *burstWorld {
	w, peer, source := edge(t)
	b := &burstWorld{world: w, t: t, peer: peer, source: source, inside: make(chan struct{}), leave: make(chan struct{}), done: make(chan result, 100)}
	var err error
	if b.slow, err = w.open(&slowStore{Store: poisoned{w.store, b}, inside: b.inside, leave: b.leave}); err != nil {
		t.Fatal(err)
	}
	tenants, err := w.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range tenants {
		if tenant.Slug == "acme" {
			b.tenant = tenant.ID
		}
	}
	return b
}

// begin has a stream of one chunk begin, and waits until it is in the store or,
// once somebody is, waits for its turn.
func (b *burstWorld) begin(ctx context.Context, name string, peer certs.Peer, source core.SourceView, updates []payload.Update) {
	b.t.Helper()
	before, read := b.slow.Waiting(b.tenant), false
	go func() {
		b.done <- result{name, b.slow.Ingest(ctx, peer, stream(source, name), func(context.Context) (payload.Chunk, error) {
			if read {
				return payload.Chunk{}, io.EOF
			}
			read = true
			return payload.Chunk{Total: 1, Final: true, Updates: updates}, nil
		})}
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		select {
		case <-b.inside:
			return
		default:
		}
		if b.slow.Waiting(b.tenant) > before {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatal("the stream does not get to its turn")
		}
	}
}

// first is a stream that holds the turn until it is let go.
func (b *burstWorld) first() {
	b.t.Helper()
	b.begin(background, "first", b.peer, b.source, b.devices(b.source, 0, 1))
	for b.slow.Waiting(b.tenant) > 0 { // It waited, and then got the turn.
		<-b.inside
	}
}

// other is another service of the tenant, and its source.
func (b *burstWorld) other() (certs.Peer, core.SourceView) {
	lab := b.onboard("acme", "lab")
	b.hello(lab)
	return lab, b.world.source("acme", "other", "lab")
}

// results lets everybody go and are what came of so many streams, in how many
// transactions more.
func (b *burstWorld) results(streams int) (outcome map[string]error, transactions int) {
	b.t.Helper()
	outcome = map[string]error{}
	b.leave <- struct{}{}
	for len(outcome) < streams {
		select {
		case r := <-b.done:
			outcome[r.name] = r.err
		case <-b.inside:
			transactions++
			b.leave <- struct{}{}
		case <-time.After(patience):
			b.t.Fatalf("%d streams have ended", len(outcome))
		}
	}
	return outcome, transactions
}

func TestWhatWaitsIsStoredInOneTransaction(t *testing.T) {
	b := newBurstWorld(t)
	b.first()
	const streams = 10
	for i := range streams {
		b.begin(background, fmt.Sprint("run-", i), b.peer, b.source, b.devices(b.source, 10*i, 10*i+10))
	}
	outcome, transactions := b.results(streams + 1)
	for name, err := range outcome {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := b.count("acme"); transactions != 1 || n != 10*streams {
		t.Errorf("%d devices in %d transactions", n, transactions)
	}
	if got, _ := b.Source(t.Context(), "acme", "armis"); got.Stats.TotalSyncs != streams+1 {
		t.Errorf("stats are %+v", got.Stats)
	}
}

// TestAStoreThatTakesNothingFailsABurstOnce and not chunk by chunk.
func TestAStoreThatTakesNothingFailsABurstOnce(t *testing.T) {
	b := newBurstWorld(t)
	b.first()
	for i := range 3 {
		b.begin(background, fmt.Sprint("run-", i), b.peer, b.source, b.devices(b.source, i, i+1))
	}
	b.broken.Store(true)
	outcome, transactions := b.results(4)
	delete(outcome, "first")
	for name, err := range outcome {
		if !has(err, codes.Unavailable) {
			t.Errorf("%s ended with %v", name, err)
		}
	}
	if transactions != 1 {
		t.Errorf("tried in %d transactions", transactions)
	}
}

func TestABurstIsNoLargerThanABatch(t *testing.T) {
	b := newBurstWorld(t)
	b.first()
	for i, updates := range [][]payload.Update{b.devices(b.source, 0, 3000), b.devices(b.source, 3000, 5001), b.devices(b.source, 5001, 5002)} {
		b.begin(background, fmt.Sprint("run-", i), b.peer, b.source, updates)
	}
	if _, transactions := b.results(4); transactions != 2 || b.count("acme") != 5002 {
		t.Errorf("%d devices in %d transactions", b.count("acme"), transactions)
	}
}

// TestOneChunkOfABurstFailsAlone, for whatever reason: the others are stored.
func TestOneChunkOfABurstFailsAlone(t *testing.T) {
	gone, give := context.WithCancel(background)
	stranger := core.SourceView{}
	stranger.ID = uuid.New()
	for name, c := range map[string]struct {
		fail func(b *burstWorld)
		want func(err error) bool
		// transactions are one for all, and where that failed one for each.
		transactions int
	}{
		"not assigned": {
			func(b *burstWorld) { b.begin(background, "it", b.peer, stranger, b.devices(stranger, 0, 1)) },
			func(err error) bool { return has(err, codes.PermissionDenied) }, 1 + 3 + 1, // And one for the event.
		},
		"revoked while it waits": {
			func(b *burstWorld) {
				lab, other := b.other()
				b.begin(background, "it", lab, other, b.devices(other, 0, 1))
				if _, err := b.RevokeService(background, operator, "acme", "lab"); err != nil {
					b.t.Fatal(err)
				}
				b.clock.advance(time.Second)
			},
			func(err error) bool { return has(err, codes.PermissionDenied) }, 1,
		},
		"a fault of the program": {
			func(b *burstWorld) {
				lab, other := b.other()
				b.poison.Store(other.ID.String())
				b.begin(background, "it", lab, other, b.devices(other, 0, 1))
			},
			func(err error) bool { var told *core.Error; return err != nil && !errors.As(err, &told) }, 1 + 3,
		},
		"hung up while it waits": {
			func(b *burstWorld) {
				b.begin(gone, "it", b.peer, b.source, b.devices(b.source, 0, 1))
				give()
				for b.slow.Waiting(b.tenant) > 1 {
					time.Sleep(time.Millisecond)
				}
			},
			func(err error) bool { return errors.Is(err, context.Canceled) }, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBurstWorld(t)
			b.first()
			b.begin(background, "before", b.peer, b.source, b.devices(b.source, 10, 20))
			c.fail(b)
			b.begin(background, "after", b.peer, b.source, b.devices(b.source, 20, 30))
			outcome, transactions := b.results(4)
			if !c.want(outcome["it"]) || outcome["before"] != nil || outcome["after"] != nil || outcome["first"] != nil {
				t.Errorf("ended %v", outcome)
			}
			if transactions != c.transactions || b.count("acme") != 21 {
				t.Errorf("%d devices in %d transactions", b.count("acme"), transactions)
			}
		})
	}
}

func has(err error, code codes.Code) bool {
	var told *core.Error
	return errors.As(err, &told) && told.Code == code
}
