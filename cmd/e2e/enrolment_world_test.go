package e2e_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgesync/certs"
	"edgesync/certs/ca"
	"edgesync/certs/client"
	"edgesync/certs/issue"
	"edgesync/core"
	"edgesync/onboarding"
	"edgesync/proto/monitoring"
)

// listenCA listens where the enrolment CA is said to be.
func (p *platform) listenCA() net.Listener {
	p.t.Helper()
	if p.caAddr == "" {
		p.caAddr = strings.Replace(freeAddr(p.t), "127.0.0.1", "localhost", 1)
	}
	listener, err := net.Listen("tcp", strings.Replace(p.caAddr, "localhost", "127.0.0.1", 1))
	must(p.t, err)
	return listener
}

// enrolmentCA is the CA of the platform; its limits are out of the way of tests
// that are about something else.
func (p *platform) enrolmentCA(ctx context.Context) *ca.Server {
	p.caCertificate.Store(p.serverCertificate(ctx, p.core.IssueCA))
	server, err := ca.New(ca.Options{
		Platform: p.core.Enrolment(), Addr: p.caAddr, Certificate: p.caCertificate.Load,
		Logger: slog.New(slog.DiscardHandler), Now: p.clock.now, Failures: 100_000,
	})
	must(p.t, err)
	return server
}

func (p *platform) caURL() string { return "https://" + p.caAddr }

// mint makes a join token as an operator does.
func (p *platform) mint(tenant, name string) core.MintedToken {
	p.t.Helper()
	minted, err := p.core.MintToken(p.t.Context(), operator, core.TokenInput{Tenant: tenant, Name: name, GatewayAddr: p.addr})
	must(p.t, err)
	return minted
}

func (p *platform) client() client.Client { return client.Client{Now: p.clock.now} }

// enrol exchanges a token as an edge host does and writes the files.
func (p *platform) enrol(text string) (*edge, client.Credential) {
	p.t.Helper()
	made, token, err := p.client().Enrol(p.t.Context(), text)
	must(p.t, err)
	dir := filepath.Join(p.t.TempDir(), "edge")
	e := &edge{p: p, component: token.Component, identity: onboarding.Identity{
		Key: made.Key, Chain: made.Chain, CAs: append(made.Roots, made.Chain[1]), CAURL: made.CAURL,
	}}
	must(p.t, onboarding.WriteIdentity(filepath.Join(dir, onboarding.CertDir), e.identity))
	path := filepath.Join(dir, filepath.FromSlash(onboarding.ConfigFile))
	must(p.t, onboarding.WriteConfig(path, onboarding.NewConfig(token.Component, token.Partition, token.GatewayAddr, token.GatewayServerName)))
	e.config, err = onboarding.LoadConfig(path)
	must(p.t, err)
	return e, made
}

// use is the edge with another credential.
func (e *edge) use(c client.Credential) *edge {
	e.p.t.Helper()
	e.identity = onboarding.Identity{Key: c.Key, Chain: c.Chain, CAs: append(c.Roots, c.Chain[1]), CAURL: c.CAURL}
	must(e.p.t, onboarding.WriteIdentity(e.config.Paths().Dir, e.identity))
	return e
}

func (p *platform) root() *x509.Certificate {
	p.t.Helper()
	info, err := p.core.PlatformInfo(p.t.Context())
	must(p.t, err)
	return decode(p.t, info.RootPEM)[0]
}

// post sends a request to the CA as anybody can, with a certificate or none and
// a name for the handshake.
func (p *platform) post(path string, present *tls.Certificate, serverName string, header http.Header, body any) (int, string, error) {
	p.t.Helper()
	data, err := json.Marshal(body)
	must(p.t, err)
	roots := x509.NewCertPool()
	roots.AddCert(p.root())
	config := &tls.Config{RootCAs: roots, ServerName: serverName}
	if present != nil {
		config.Certificates = []tls.Certificate{*present}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.caURL()+path, bytes.NewReader(data))
	must(p.t, err)
	if header != nil {
		request.Header = header
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}

// sign sends a token and a request for a certificate.
func (p *platform) sign(text string, csr []byte) (int, string) {
	p.t.Helper()
	status, answer, err := p.post("/1.0/sign", nil, "localhost", nil, map[string]string{"csr": csrPEM(csr), "ott": text})
	must(p.t, err)
	return status, answer
}

func csrPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func request(t testing.TB, template *x509.CertificateRequest) (crypto.Signer, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	must(t, err)
	return key, der
}

// certificates is how many good certificates a component has in the store.
func (p *platform) certificates(tenant, component string) []core.Certificate {
	p.t.Helper()
	found, err := p.core.Tenant(p.t.Context(), tenant)
	must(p.t, err)
	store, err := p.store.Tenant(p.t.Context(), found.ID)
	must(p.t, err)
	var all []core.Certificate
	must(p.t, store.View(p.t.Context(), func(tx core.TenantTx) (err error) {
		all, err = tx.Certificates(p.t.Context(), component, p.clock.now())
		return err
	}))
	return all
}

// issuedLongAgo is a certificate of a service's that the tenant's own key signed
// some time ago and that is recorded as such.
func (p *platform) issuedLongAgo(tenant, component string, at time.Time, life time.Duration) client.Credential {
	p.t.Helper()
	return p.issuedAs(certs.TypeSync, tenant, component, at, life)
}

func (p *platform) issuedAs(kind certs.Type, tenant, component string, at time.Time, life time.Duration) client.Credential {
	p.t.Helper()
	found, err := p.core.Tenant(p.t.Context(), tenant)
	must(p.t, err)
	described, err := p.core.Enrolment().TenantByID(p.t.Context(), found.ID)
	must(p.t, err)
	keys, err := p.core.Enrolment().Keys(p.t.Context(), described)
	must(p.t, err)
	der, err := x509.MarshalPKCS8PrivateKey(keys.Signer)
	must(p.t, err)
	authority, err := issue.Load(keys.Issuer.Raw, der)
	must(p.t, err)
	key, csr := request(p.t, &x509.CertificateRequest{})
	leaf, err := authority.SignLeaf(csr, issue.Leaf{Type: kind, Tenant: tenant, Partition: "default", Component: component, Life: life}, at)
	must(p.t, err)
	store, err := p.store.Tenant(p.t.Context(), found.ID)
	must(p.t, err)
	must(p.t, store.Update(p.t.Context(), func(tx core.TenantTx) error {
		return tx.AddCertificate(p.t.Context(), core.Certificate{
			Serial: leaf.SerialNumber.String(), Type: kind, Component: component, IssuedAt: at, NotAfter: leaf.NotAfter,
		})
	}))
	return client.Credential{Key: key, Chain: []*x509.Certificate{leaf, keys.Issuer}, Roots: []*x509.Certificate{p.root()}, CAURL: p.caURL()}
}

func (p *platform) lastEvent(tenant, kind string) core.TenantEvent {
	p.t.Helper()
	events, err := p.core.Events(p.t.Context(), core.EventQuery{Tenant: tenant, TypePrefix: kind})
	must(p.t, err)
	if len(events) == 0 {
		p.t.Fatalf("tenant %q has no event %q", tenant, kind)
	}
	return events[len(events)-1]
}

func wantStatus(t testing.TB, what string, got int, answer string, want int) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got status %d (%s), want %d", what, got, answer, want)
	}
}

// serveCA is another listener of the platform's CA, and its address.
func (p *platform) serveCA(t *testing.T, options ca.Options) string {
	t.Helper()
	options.Platform, options.Addr, options.Certificate, options.Now = p.core.Enrolment(), p.caAddr, p.caCertificate.Load, p.clock.now
	server, err := ca.New(options)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// revocationList is the tenant's, as anybody can read it.
func (p *platform) revocationList(serverName string) *x509.RevocationList {
	p.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(p.root())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: serverName}, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.caURL()+"/1.0/crl", nil)
	must(p.t, err)
	response, err := transport.RoundTrip(request)
	must(p.t, err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	must(p.t, err)
	list, err := x509.ParseRevocationList(data)
	must(p.t, err)
	return list
}

// helloRequest is what an edge says first.
func (e *edge) helloRequest() *monitoring.AgentHelloRequest {
	return &monitoring.AgentHelloRequest{AgentId: e.component, Version: "1.2.3", Capabilities: []string{"sync"}}
}
