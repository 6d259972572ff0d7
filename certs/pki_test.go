package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
)

const trustDomain = "edgesync.local"

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// pki is a root, the platform and two tenants, all accepted.
type pki struct {
	root, platform, acme, beta *issue.Authority
	platformID, acmeID, betaID uuid.UUID
	issuers                    *certs.Issuers
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	p := &pki{platformID: uuid.New(), acmeID: uuid.New(), betaID: uuid.New()}
	p.root = must(issue.NewRoot(trustDomain, now))(t)
	p.platform = must(p.root.NewPlatformIntermediate("platform", now))(t)
	p.acme = must(p.root.NewTenantIntermediate("acme", now))(t)
	p.beta = must(p.root.NewTenantIntermediate("beta", now))(t)
	p.issuers = must(certs.NewIssuers(p.root.Certificate))(t)
	p.issuers.Now = func() time.Time { return now }
	for _, i := range []certs.Issuer{
		{TenantID: p.platformID, Tenant: "platform", Platform: true, Certificate: p.platform.Certificate},
		{TenantID: p.acmeID, Tenant: "acme", Certificate: p.acme.Certificate},
		{TenantID: p.betaID, Tenant: "beta", Certificate: p.beta.Certificate},
	} {
		if err := p.issuers.Add(i); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}

func newCSR(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	return must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(t)
}

// leaf issues an ordinary leaf, as the platform does.
func leaf(t testing.TB, a *issue.Authority, l issue.Leaf) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	cert := must(a.SignLeaf(newCSR(t, key), l, now))(t)
	return chainOf(key, cert, a.Certificate)
}

func chainOf(key crypto.Signer, chain ...*x509.Certificate) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

func syncLeaf(tenant string) issue.Leaf {
	return issue.Leaf{Type: certs.TypeSync, Tenant: tenant, Partition: "default", Component: "hq-sync"}
}

func gatewayLeaf(t testing.TB, p *pki) *tls.Certificate {
	t.Helper()
	return leaf(t, p.platform, issue.Leaf{
		Type: certs.TypeGateway, Tenant: "platform", Partition: "default", Component: "gateway",
		ServerNames: []string{gatewayName, "127.0.0.1"},
	})
}

const gatewayName = "agent-gateway." + trustDomain

// template is a proper leaf of tenant acme, for a test to spoil.
func template() *x509.Certificate {
	const name = "hq-sync.default.acme." + trustDomain
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		NotBefore:   now.Add(-time.Minute),
		NotAfter:    now.Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name},
		URIs:        []*url.URL{spiffeURL("/sync/acme/default/hq-sync")},
	}
}

func spiffeURL(path string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: path}
}

// forge signs a template as whoever holds an authority's key could.
func forge(t testing.TB, a *issue.Authority, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	der := must(x509.CreateCertificate(rand.Reader, template, a.Certificate, key.Public(), a.Key))(t)
	return chainOf(key, must(x509.ParseCertificate(der))(t), a.Certificate)
}
