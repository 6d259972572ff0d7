package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"edgesync/certs/issue"
	"edgesync/core"
	"edgesync/proto/monitoring"
)

// forgery is a client certificate as somebody makes it who has the key of one
// tenant, and can write into it what he likes.
type forgery struct {
	by     *issue.Authority
	uri    string
	name   string
	change func(*x509.Certificate)
	chain  []*x509.Certificate
}

func (p *platform) forgeFreely(f forgery) *tls.Certificate {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(p.t, err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(p.t, err)
	uri, err := url.Parse(f.uri)
	must(p.t, err)
	now := p.clock.now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: f.name}, DNSNames: []string{f.name}, URIs: []*url.URL{uri},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if f.change != nil {
		f.change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.by.Certificate, key.Public(), f.by.Key)
	must(p.t, err)
	forged := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, c := range append(f.chain, f.by.Certificate) {
		forged.Certificate = append(forged.Certificate, c.Raw)
	}
	return forged
}

// try says Hello as whoever the certificate is.
func (p *platform) try(identity *tls.Certificate, agentID string) error {
	p.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(p.clientTLS(identity))))
	must(p.t, err)
	defer func() { _ = conn.Close() }()
	_, err = monitoring.NewAgentGatewayServiceClient(conn).Hello(p.t.Context(), &monitoring.AgentHelloRequest{AgentId: agentID})
	return err
}

const (
	spiffe = "spiffe://edgesync.local"
	dns    = ".edgesync.local"
)

// TestR21_ForgedIdentitiesAreRefusedAtTheHandshakeAndKept takes the key of globex
// and tries to be somebody else with it.
func TestR21_ForgedIdentitiesAreRefusedAtTheHandshakeAndKept(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	globex := p.tenant("globex")
	p.onboard("acme", "hq").hello()
	stolen := p.authority(globex.ID)
	for name, test := range map[string]struct {
		forgery
		// event is the type of what is kept among globex's events.
		event string
	}{
		"another tenant's name": {forgery{uri: spiffe + "/sync/acme/default/hq", name: "hq.default.acme" + dns}, "security.name_constraint"},
		"another tenant's URI below its own DNS name": {
			forgery{uri: spiffe + "/sync/acme/default/hq", name: "hq.default.globex" + dns}, "security.name_mismatch",
		},
		"a platform component": {
			forgery{uri: spiffe + "/sync/platform/default/platform-sync", name: "platform-sync.default.platform" + dns}, "security.name_constraint",
		},
		"a gateway":   {forgery{uri: spiffe + "/gateway/globex/default/hq", name: "hq.default.globex" + dns}, "security.platform_only_type"},
		"an operator": {forgery{uri: spiffe + "/operator/globex/default/root", name: "root.default.globex" + dns}, "security.platform_only_type"},
		"upper case":  {forgery{uri: spiffe + "/sync/globex/default/HQ", name: "HQ.default.globex" + dns}, "security.bad_name"},
		"an authority": {forgery{
			uri: spiffe + "/sync/globex/default/ca", name: "ca.default.globex" + dns,
			change: func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign },
		}, "security.certificate_is_ca"},
		"an intermediate of acme's in the chain": {forgery{
			uri: spiffe + "/sync/acme/default/hq", name: "hq.default.acme" + dns, chain: []*x509.Certificate{p.authority(p.tenantID("acme")).Certificate},
		}, "security.name_constraint"},
		"expired": {forgery{
			uri: spiffe + "/sync/globex/default/hq", name: "hq.default.globex" + dns,
			change: func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Second) },
		}, ""},
		"not yet valid": {forgery{
			uri: spiffe + "/sync/globex/default/hq", name: "hq.default.globex" + dns,
			change: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotAfter, c.NotAfter.Add(time.Hour) },
		}, ""},
		"for servers only": {forgery{
			uri: spiffe + "/sync/globex/default/hq", name: "hq.default.globex" + dns,
			change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.by = stolen
			before := p.everything()
			wantCode(t, p.try(p.forgeFreely(test.forgery), "hq"), codes.Unavailable, "")
			if test.event != "" {
				event := p.wantSecurityEvent("globex", test.event, test.uri, "Connect")
				if !strings.Contains(event.Message, test.uri) {
					t.Errorf("the event says %q, not what was claimed", event.Message)
				}
			}
			if after := p.everything(); after != before {
				t.Errorf("there were %s, there are %s", before, after)
			}
		})
	}
	for _, tenant := range []string{"acme", "platform"} {
		events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: tenant, TypePrefix: "security."})
		must(t, err)
		if len(events) != 0 {
			t.Errorf("%s is told of what globex's key did: %+v", tenant, events)
		}
	}
}

// everything is what a refused attempt must not change.
func (p *platform) everything() string {
	p.t.Helper()
	services, err := p.core.Services(p.t.Context(), "", false)
	must(p.t, err)
	text := ""
	for _, s := range services {
		text += s.Tenant.Slug + "/" + s.ComponentID + " " + s.LastHeartbeatAt.String() + "; "
	}
	return text
}

func (p *platform) tenantID(slug string) uuid.UUID {
	p.t.Helper()
	tenant, err := p.core.Tenant(p.t.Context(), slug)
	must(p.t, err)
	return tenant.ID
}

// TestR21_ExtraIntermediatesAreIgnored: the issuing key is found by the leaf's
// own word and signature, whatever else was sent.
func TestR21_ExtraIntermediatesAreIgnored(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme, globex := p.tenant("acme"), p.tenant("globex")
	e := p.onboard("acme", "hq")
	identity := e.identity.TLSCertificate()
	identity.Certificate = [][]byte{identity.Certificate[0], p.authority(globex.ID).Certificate.Raw, p.authority(uuid.Nil).Certificate.Raw}
	must(t, p.try(identity, "hq"))
	service, err := p.core.Service(t.Context(), "acme", "hq")
	must(t, err)
	if service.Tenant.ID != acme.ID || service.FirstHelloAt.IsZero() {
		t.Errorf("recorded %+v", service)
	}
	if theirs, err := p.core.Services(t.Context(), "globex", false); err != nil || len(theirs) != 0 {
		t.Errorf("globex shows %v, %v", theirs, err)
	}
}

// TestR21_SubAuthorityOfATenantIsNobody signs a leaf with an authority that the
// tenant's key has signed.
func TestR21_SubAuthorityOfATenantIsNobody(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	globex := p.tenant("globex")
	stolen := p.authority(globex.ID)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: stolen.Certificate.Subject, URIs: stolen.Certificate.URIs,
		NotBefore: p.clock.now().Add(-time.Minute), NotAfter: p.clock.now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, stolen.Certificate, key.Public(), stolen.Key)
	must(t, err)
	sub, err := x509.ParseCertificate(der)
	must(t, err)
	forged := p.forgeFreely(forgery{
		by:  &issue.Authority{Certificate: sub, Key: key},
		uri: spiffe + "/sync/globex/default/hq", name: "hq.default.globex" + dns, chain: []*x509.Certificate{stolen.Certificate},
	})
	wantCode(t, p.try(forged, "hq"), codes.Unavailable, "")
}

func TestR21_ConnectionsThatProveNothingAreRefused(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.2":        func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"no certificate": func(c *tls.Config) { c.GetClientCertificate = nil },
	} {
		config := p.clientTLS(e.identity.TLSCertificate())
		change(config)
		conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		must(t, err)
		_, err = monitoring.NewAgentGatewayServiceClient(conn).Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq"})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
	}
}

// TestTenantLeafDoesNotPassForTheGateway has the platform's listener present a
// leaf of a tenant's key for the gateway's name: its clients hang up.
func TestTenantLeafDoesNotPassForTheGateway(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme := p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	p.certificate.Store(p.forgeFreely(forgery{
		by: p.authority(acme.ID), uri: spiffe + "/gateway/platform/default/agent-gateway", name: "agent-gateway.edgesync.local",
		change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
	}))
	_, err := e.client().Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq"})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "x509") {
		t.Errorf("the client says %v", err)
	}
	// The same leaf under a name that the constraints let it have.
	p.certificate.Store(p.forgeFreely(forgery{
		by: p.authority(acme.ID), uri: spiffe + "/gateway/platform/default/agent-gateway", name: "gw.default.acme.edgesync.local",
		change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
	}))
	e.config.GatewaySecurity.ServerName = "gw.default.acme.edgesync.local"
	_, err = e.client().Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq"})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not one the platform issued") {
		t.Errorf("the client says %v", err)
	}
}

// TestR23_PlatformOnlyOperationsOfATenantAreRefusedAndKept has an edge service
// try what only the platform's service may.
func TestR23_PlatformOnlyOperationsOfATenantAreRefusedAndKept(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	globex := p.tenant("globex")
	e := p.onboard("acme", "hq")
	e.hello()
	p.onboard("acme", "branch").hello()
	own := p.source("acme", "lab", "hq")
	sibling := p.source("acme", "shop", "branch")
	const who = spiffe + "/sync/acme/default/hq"

	// It speaks for another tenant: that is ignored, and kept.
	speak := streamOf(own, update(own.ID, "1", "", "10.0.0.1"))
	speak.tenant = globex
	must(t, e.push(speak))
	p.wantSecurityEvent("acme", "security.tenant_mismatch", who, "StreamStatus")
	if n := p.count("globex"); n != 0 || p.count("acme") != 1 {
		t.Errorf("%d devices came to globex", n)
	}
	// It pushes for a sibling's source.
	err := e.push(streamOf(sibling, update(sibling.ID, "2", "", "10.0.0.2")))
	wantCode(t, err, codes.PermissionDenied, "")
	// It asks for a sibling's configuration, and for the platform service's.
	for _, agent := range []string{"branch", core.PlatformSyncName} {
		_, err := e.client().GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: agent})
		wantCode(t, err, codes.PermissionDenied, "agent_id")
	}
	p.wantSecurityEvent("acme", "security.agent_id_mismatch", who, "GetConfig")
	if n := p.count("acme"); n != 1 {
		t.Errorf("%d devices are stored, want the one of its own", n)
	}
	foreign, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "globex", TypePrefix: "security."})
	must(t, err)
	if len(foreign) != 0 {
		t.Errorf("globex is told of what acme tried: %+v", foreign)
	}
}
