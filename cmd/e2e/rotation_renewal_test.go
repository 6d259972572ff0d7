package e2e_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"

	"edgesync/certs/client"
	"edgesync/cmd/renewal"
	"edgesync/core"
	"edgesync/proto/monitoring"
)

// credential is the edge's identity as its runtime renews it.
func (e *edge) credential() client.Credential {
	e.p.t.Helper()
	c := client.Credential{Key: e.identity.Key, Chain: e.identity.Chain, CAURL: e.identity.CAURL}
	for _, one := range e.identity.CAs {
		if one.CheckSignatureFrom(one) == nil {
			c.Roots = append(c.Roots, one)
		}
	}
	return c
}

// TestRenewalCarriesAnEdgeOverARotation has an edge do nothing but renew, as its
// runtime does, while the root, the platform's authority and its tenant's are
// replaced. The renewal is today's: step goes by the real clock.
func TestRenewalCarriesAnEdgeOverARotation(t *testing.T) {
	t.Parallel()
	const age = 20 * 24 * time.Hour
	p := pastPlatform(t, age, "acme")
	e := p.onboard("acme", "edge")
	held := e.credential()
	end := p.rotations("acme")
	e.hello()
	p.clock.pass(age)
	p.renewServers()
	renewed, err := p.client().Renew(t.Context(), held)
	must(t, err)
	if renewed.Chain[1].Equal(held.Chain[1]) || len(renewed.Roots) != 2 {
		t.Errorf("renewed by the same authority, or with %d roots", len(renewed.Roots))
	}
	e.use(renewed).hello()
	if old, err := p.core.Certificates(t.Context(), core.CertificateQuery{Tenant: "acme", Old: true}); err != nil || len(old) != 0 {
		t.Errorf("there are still %+v, %v", old, err)
	}
	p.clock.pass(end.Sub(p.clock.now()) + time.Second)
	must(t, p.core.EndOverlaps(t.Context()))
	p.renewServers()
	e.hello()
	// The former identity is of no use, whatever it trusts.
	former := *e
	former.use(held)
	former.wantNoHandshake()
}

// TestRuntimeTrustsTheNewRootWithoutARestart has one process live through the
// whole of a rotation: what it trusts changes with what it renews.
func TestRuntimeTrustsTheNewRootWithoutARestart(t *testing.T) {
	t.Parallel()
	const age = 20 * 24 * time.Hour
	p := pastPlatform(t, age, "acme")
	e := p.onboard("acme", "edge")
	kept := renewal.Keep(e.config.Paths(), e.identity, p.clock.now, nil)
	transport, err := kept.Transport(e.config.ServerName())
	must(t, err)
	hello := func() {
		t.Helper()
		conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(transport))
		must(t, err)
		defer func() { _ = conn.Close() }()
		_, err = monitoring.NewAgentGatewayServiceClient(conn).Hello(t.Context(), e.helloRequest())
		must(t, err)
	}
	hello()
	end := p.rotations("acme")
	p.clock.pass(age)
	p.renewServers()
	must(t, kept.Check(t.Context()))
	p.clock.pass(end.Sub(p.clock.now()) + time.Second)
	must(t, p.core.EndOverlaps(t.Context()))
	p.renewServers()
	hello()
}

// TestTokenOfBeforeARotationIsGood: it pins the old root.
func TestTokenOfBeforeARotationIsGood(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	token := p.mint("acme", "edge").Text
	p.rotations("acme")
	e, made := p.enrol(token)
	if len(made.Roots) != 2 {
		t.Errorf("the edge was given %d roots", len(made.Roots))
	}
	e.hello()
}

// TestRenewalAfterTheEndGoesOverARotation: proof of the key is enough for an
// edge that slept through its certificate's end while its authority retired.
func TestRenewalAfterTheEndGoesOverARotation(t *testing.T) {
	t.Parallel()
	const age = core.DefaultLeafLife + 6*24*time.Hour
	p := pastPlatform(t, age, "acme")
	e := p.onboard("acme", "edge")
	held := e.credential()
	p.rotations("acme")
	p.clock.pass(age)
	p.renewServers()
	renewed, err := p.client().Renew(t.Context(), held)
	must(t, err)
	e.use(renewed).hello()
}

// rotations replaces the root, the platform's authority and a tenant's, and
// returns when the last overlap ends.
func (p *platform) rotations(slug string) time.Time {
	p.t.Helper()
	last := time.Time{}
	for _, r := range []core.Rotation{p.rotateRoot(false), p.rotate("platform", false), p.rotate(slug, false)} {
		if r.EndsAt.After(last) {
			last = r.EndsAt
		}
	}
	return last
}

// renewServers renews what serve renews of its own accord.
func (p *platform) renewServers() {
	p.t.Helper()
	p.certificate.Store(p.serverCertificate(p.t.Context(), p.core.IssueGateway))
	p.caCertificate.Store(p.serverCertificate(p.t.Context(), p.core.IssueCA))
}
