package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/certs/issue"
	"edgesync/core"
	"edgesync/onboarding"
	"edgesync/proto/monitoring"
	"edgesync/seal"
)

// authority is the active authority of a tenant, with its key, or with a nil id
// the root: what somebody has who stole it.
func (p *platform) authority(tenant uuid.UUID) *issue.Authority {
	p.t.Helper()
	var all []core.Authority
	must(p.t, p.store.Platform().View(p.t.Context(), func(tx core.PlatformTx) (err error) {
		all, err = tx.Authorities(p.t.Context())
		return err
	}))
	for _, a := range all {
		if a.TenantID == tenant && a.State == core.AuthorityActive {
			key, err := p.keys.Open(a.SealedKey, seal.AD("authority", a.KeyID))
			must(p.t, err)
			opened, err := issue.Load(a.Certificate, key)
			must(p.t, err)
			return opened
		}
	}
	p.t.Fatalf("tenant %s has no authority", tenant)
	return nil
}

// simulated is an edge service that only renews, shakes hands and says Hello.
type simulated struct {
	component string
	tenant    core.Tenant
	client.Credential
}

// hello connects anew. The edge checks the gateway with what it was given when
// its certificate was signed, and no more.
func (s *simulated) hello(ctx context.Context, p *platform) error {
	config, err := certs.ClientTLS(certs.EncodePEM(s.Roots...), s.TLS, "agent-gateway.edgesync.local")
	if err != nil {
		return err
	}
	config.Time = p.clock.now
	conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = monitoring.NewAgentGatewayServiceClient(conn).Hello(ctx, &monitoring.AgentHelloRequest{AgentId: s.component})
	return err
}

// drillFleet is many simulated edges over a few tenants.
type drillFleet struct {
	p     *platform
	edges []*simulated
}

// onboard gives an edge its first identity.
func (f *drillFleet) onboard(e *simulated) {
	f.p.t.Helper()
	key, csr, err := onboarding.NewKeyAndCSR()
	must(f.p.t, err)
	out, err := f.p.core.Onboard(f.p.t.Context(), operator, core.OnboardInput{Tenant: e.tenant.Slug, Name: e.component, CSR: csr})
	must(f.p.t, err)
	e.Credential = client.Credential{
		Key: key, Chain: decode(f.p.t, out.Certificate.ChainPEM), CAURL: out.CAURL, Roots: selfSigned(f.p.t, out.Certificate.CAChainPEM),
	}
}

// renew has edges renew at the enrolment CA, as their runtimes do.
func (f *drillFleet) renew(edges []*simulated) {
	f.p.t.Helper()
	group, ctx := errgroup.WithContext(f.p.t.Context())
	group.SetLimit(4)
	for _, e := range edges {
		group.Go(func() error {
			renewed, err := f.p.client().Renew(ctx, e.Credential)
			e.Credential = renewed
			return err
		})
	}
	if err := group.Wait(); err != nil {
		f.p.t.Fatalf("an edge is stranded: %v", err)
	}
}

// connect has edges connect anew and returns how many could not.
func (f *drillFleet) connect(edges []*simulated) (refused int, last error) {
	f.p.t.Helper()
	ctx, cancel := context.WithTimeout(f.p.t.Context(), 3*time.Minute)
	defer cancel()
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, e := range edges {
		group.Go(func() error {
			if err := e.hello(ctx, f.p); err != nil {
				if status.Code(err) == codes.DeadlineExceeded {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				refused, last = refused+1, err
			}
			return nil
		})
	}
	must(f.p.t, group.Wait())
	return refused, last
}

func (f *drillFleet) wantAll(when string, edges []*simulated) {
	f.p.t.Helper()
	if refused, err := f.connect(edges); refused != 0 {
		f.p.t.Fatalf("%s: %d of %d edges are stranded: %v", when, refused, len(edges), err)
	}
}

func (f *drillFleet) wantNone(when string, edges []*simulated) {
	f.p.t.Helper()
	if refused, _ := f.connect(edges); refused != len(edges) {
		f.p.t.Fatalf("%s: %d of %d edges are accepted", when, len(edges)-refused, len(edges))
	}
}

// holders is how many still depend on what is retiring, by kind.
func (p *platform) holders() map[core.AuthorityKind]int {
	p.t.Helper()
	all, err := p.core.Authorities(p.t.Context(), "")
	must(p.t, err)
	held := map[core.AuthorityKind]int{}
	for _, a := range all {
		if a.State == core.AuthorityRetiring {
			held[a.Kind] += a.Holders
		}
	}
	return held
}

func newDrill(t *testing.T, count int) *drillFleet {
	f := &drillFleet{p: newPlatform(t)}
	var tenants []core.Tenant
	for i := range 4 {
		tenants = append(tenants, f.p.tenant(fmt.Sprintf("tenant-%d", i)))
	}
	for i := range count {
		e := &simulated{component: fmt.Sprintf("edge-%d", i), tenant: tenants[i%len(tenants)]}
		f.onboard(e)
		f.edges = append(f.edges, e)
	}
	return f
}

// drillSize is how many edges the drill has: EDGESYNC_DRILL, or as many as every
// change of the program can wait for.
func drillSize(t *testing.T) int {
	if text := os.Getenv("EDGESYNC_DRILL"); text != "" {
		size, err := strconv.Atoi(text)
		must(t, err)
		return size
	}
	if testing.Short() || raceDetector {
		return 20
	}
	return 100
}

// TestRotationDrill has many edges over two rotations of every intermediate and
// of the root: over real connections, with certificates renewed by the enrolment
// CA, and time passing. Most renew in the overlap, one in ten never does. None
// that connected within the overlap is stranded, none is accepted after its end,
// and the platform says who still holds what.
func TestRotationDrill(t *testing.T) {
	t.Parallel()
	f := newDrill(t, drillSize(t))
	p := f.p
	f.wantAll("before any rotation", f.edges)
	alive := f.edges
	for round := 1; round <= 2; round++ {
		firstRoot := p.authority(uuid.Nil).Certificate
		rotations := []core.Rotation{p.rotateRoot(false)}
		for _, slug := range []string{"platform", "tenant-0", "tenant-1", "tenant-2", "tenant-3"} {
			rotations = append(rotations, p.rotate(slug, false))
		}
		if p.authority(uuid.Nil).Certificate.Equal(firstRoot) {
			t.Fatal("the root is the same")
		}
		at := fmt.Sprintf("round %d, ", round)
		f.wantAll(at+"right after the rotation, nobody renewed", alive)
		if held := p.holders(); held[core.AuthorityTenant] != len(alive) || held[core.AuthorityRoot] < len(alive) {
			t.Errorf("%sheld are %v, want %d", at, held, len(alive))
		}
		lazy := alive[:len(alive)/10]
		diligent := alive[len(alive)/10:]
		p.clock.pass(20 * 24 * time.Hour)
		p.renewServers()
		before := diligent[0].Credential
		f.renew(diligent)
		if now := diligent[0].Credential; samePublic(before, now) || now.Chain[1].Equal(before.Chain[1]) || len(now.Roots) != 2 {
			t.Errorf("%sa renewed edge has its old key or authority, or %d roots", at, len(now.Roots))
		}
		f.wantAll(at+"two thirds on, most renewed", alive)
		if held := p.holders(); held[core.AuthorityTenant] != len(lazy) {
			t.Errorf("%sheld are %v, want %d", at, held, len(lazy))
		}
		p.passTo(rotations)
		f.wantAll(at+"after the end, those that renewed", diligent)
		f.wantNone(at+"after the end, those that never did", lazy)
		if held := p.holders(); len(held) != 0 {
			t.Errorf("%sthere are still retiring authorities: %v", at, held)
		}
		f.renew(diligent)
		alive = diligent
	}
	p.restart()
	f.wantAll("after a restart", alive)
}

// passTo lets time pass until every overlap has ended, renewing what serve
// renews of its own.
func (p *platform) passTo(rotations []core.Rotation) {
	p.t.Helper()
	last := p.clock.now()
	for _, r := range rotations {
		if r.EndsAt.After(last) {
			last = r.EndsAt
		}
	}
	p.clock.pass(last.Sub(p.clock.now()) + time.Second)
	must(p.t, p.core.EndOverlaps(p.t.Context()))
	p.renewServers()
}

func (p *platform) rotate(slug string, leaked bool) core.Rotation {
	p.t.Helper()
	r, err := p.core.RotateTenant(p.t.Context(), operator, slug, leaked)
	must(p.t, err)
	return r
}

func (p *platform) rotateRoot(leaked bool) core.Rotation {
	p.t.Helper()
	before := p.certificate.Load()
	r, err := p.core.RotateRoot(p.t.Context(), operator, leaked)
	must(p.t, err)
	if p.certificate.Load() == before {
		p.t.Error("the rotation was answered while the gateway still had its old certificate")
	}
	return r
}

// TestOldRootAloneIsNotUnderstoodAfterItsEnd takes an edge whose certificate is
// good, but that was given nothing but the old root.
func TestOldRootAloneIsNotUnderstoodAfterItsEnd(t *testing.T) {
	t.Parallel()
	f := newDrill(t, 1)
	p, e := f.p, f.edges[0]
	old := e.Roots
	rotation := p.rotateRoot(false)
	f.onboard(e)
	if len(e.Roots) != 2 {
		t.Errorf("in the overlap an edge is given %d roots", len(e.Roots))
	}
	both := e.Roots
	e.Roots = old
	f.wantAll("in the overlap, the old root alone", f.edges)
	p.passTo([]core.Rotation{rotation})
	f.onboard(e)
	if len(e.Roots) != 1 {
		t.Errorf("after it an edge is given %d roots", len(e.Roots))
	}
	f.wantAll("after it, the new root", f.edges)
	e.Roots = both
	f.wantAll("after it, both roots", f.edges)
	e.Roots = old
	f.wantNone("after it, the old root alone", f.edges)
}

func selfSigned(t testing.TB, pem []byte) []*x509.Certificate {
	t.Helper()
	var roots []*x509.Certificate
	for _, c := range decode(t, pem) {
		if c.CheckSignatureFrom(c) == nil {
			roots = append(roots, c)
		}
	}
	return roots
}

// TestLeakedAuthorityIsRefusedAtOnce takes a leaf that a thief signed himself
// with the stolen key, and an honest one of the same key.
func TestLeakedAuthorityIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme := p.tenant("acme")
	p.tenant("globex")
	honest, foreign := p.onboard("acme", "hq"), p.onboard("globex", "hq")
	honest.hello()
	foreign.hello()
	stream := honest.openStream(p.source("acme", "lab", "hq"))
	stolen := p.authority(acme.ID)
	forged := &simulated{component: "ghost", tenant: acme, Credential: p.asCredential(p.forge(stolen, issue.Leaf{
		Type: certs.TypeSync, Tenant: "acme", Partition: "default", Component: "ghost",
	}))}
	must(t, forged.hello(t.Context(), p))
	begun := time.Now()
	p.rotate("acme", true)
	wantEnded(t, stream, begun, "no longer accepted")
	honest.wantNoHandshake()
	if err := forged.hello(t.Context(), p); status.Code(err) != codes.Unavailable {
		t.Errorf("a leaf of the stolen key came to %v", err)
	}
	foreign.hello()
	again := p.onboard("acme", "hq")
	again.hello()
	p.restart()
	p.rewire(honest, again, foreign)
	honest.wantNoHandshake()
	if err := forged.hello(t.Context(), p); status.Code(err) != codes.Unavailable {
		t.Errorf("after a restart a leaf of the stolen key came to %v", err)
	}
	again.hello()
	foreign.hello()
}

// TestLeakedRootIsNotUnderstoodAtOnce: leaves stay good, but who knows only the
// old root trusts nobody here any more.
func TestLeakedRootIsNotUnderstoodAtOnce(t *testing.T) {
	t.Parallel()
	f := newDrill(t, 1)
	e := f.edges[0]
	f.wantAll("before", f.edges)
	f.p.rotateRoot(true)
	f.wantNone("the old root alone", f.edges)
	info, err := f.p.core.PlatformInfo(t.Context())
	must(t, err)
	e.Roots = decode(t, info.RootPEM)
	f.wantAll("the same leaf with the new root", f.edges)
	f.p.restart()
	f.wantAll("after a restart", f.edges)
}

// forge signs a leaf as somebody would who has the authority's key.
func (p *platform) forge(a *issue.Authority, leaf issue.Leaf) *tls.Certificate {
	p.t.Helper()
	key, csr, err := onboarding.NewKeyAndCSR()
	must(p.t, err)
	signed, err := a.SignLeaf(csr, leaf, p.clock.now())
	must(p.t, err)
	return &tls.Certificate{Certificate: [][]byte{signed.Raw, a.Certificate.Raw}, PrivateKey: key, Leaf: signed}
}
