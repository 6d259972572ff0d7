package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"

	"edgesync/certs/issue"
)

func newTestGuard(t *testing.T) *guard {
	t.Helper()
	now := time.Now()
	root, err := issue.NewRoot("edgesync.local", now)
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := root.NewTenantIntermediate("acme", now)
	if err != nil {
		t.Fatal(err)
	}
	return newGuard(
		Tenant{Slug: "acme", TrustDomain: "edgesync.local", Life: time.Hour},
		Keys{Issuer: tenant.Certificate, Signer: tenant.Key}, time.Now,
	)
}

func newPublicKey(t *testing.T, curve elliptic.Curve) crypto.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

func plainLeaf(t *testing.T) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "edge.default.acme.edgesync.local"},
		DNSNames:  []string{"edge.default.acme.edgesync.local"},
		URIs:      []*url.URL{{Scheme: "spiffe", Host: "edgesync.local", Path: "/sync/acme/default/edge"}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, PublicKey: newPublicKey(t, elliptic.P256()),
	}
}

func TestGuardSignsOnlyPlainLeavesOfItsTenant(t *testing.T) {
	g := newTestGuard(t)
	ca, err := asn1.Marshal(struct{ CA bool }{true})
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("make a weak key: %v", err)
	}
	for what, edit := range map[string]func(*x509.Certificate){
		"nothing":               func(*x509.Certificate) {},
		"an authority":          func(c *x509.Certificate) { c.IsCA = true },
		"an authority by field": func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign },
		"an authority by extension": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: ca}}
		},
		"another common name":    func(c *x509.Certificate) { c.Subject.CommonName = "other.default.acme.edgesync.local" },
		"another tenant":         func(c *x509.Certificate) { c.URIs[0].Path = "/sync/bolt/default/edge" },
		"another trust domain":   func(c *x509.Certificate) { c.URIs[0].Host = "evil.local" },
		"a gateway":              func(c *x509.Certificate) { c.URIs[0].Path = "/gateway/acme/default/edge" },
		"an operator":            func(c *x509.Certificate) { c.URIs[0].Path = "/operator/acme/default/edge" },
		"two DNS names":          func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "agent-gateway.edgesync.local") },
		"no DNS name":            func(c *x509.Certificate) { c.DNSNames = nil },
		"two URIs":               func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) },
		"an address":             func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} },
		"mail":                   func(c *x509.Certificate) { c.EmailAddresses = []string{"a@acme.example"} },
		"use as a server":        func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) },
		"any use":                func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} },
		"no use":                 func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"a weak RSA key":         func(c *x509.Certificate) { c.PublicKey = weak.Public() },
		"a weak curve":           func(c *x509.Certificate) { c.PublicKey = newPublicKey(t, elliptic.P224()) },
		"an unknown kind of key": func(c *x509.Certificate) { c.PublicKey = "key" },
		"an unknown critical extension": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		},
	} {
		for how, sign := range map[string]func(*x509.Certificate) (*x509.Certificate, error){
			"create": func(c *x509.Certificate) (*x509.Certificate, error) {
				answer, err := g.CreateCertificate(&apiv1.CreateCertificateRequest{Template: c, Lifetime: time.Hour})
				if err != nil {
					return nil, err
				}
				return answer.Certificate, nil
			},
			"renew": func(c *x509.Certificate) (*x509.Certificate, error) {
				answer, err := g.RenewCertificate(&apiv1.RenewCertificateRequest{Template: c, Lifetime: 90 * 24 * time.Hour})
				if err != nil {
					return nil, err
				}
				return answer.Certificate, nil
			},
		} {
			template := plainLeaf(t)
			edit(template)
			signed, err := sign(template)
			if good := what == "nothing"; good != (err == nil) {
				t.Errorf("%s a template with %s: %v", how, what, err)
			}
			if err == nil && time.Until(signed.NotAfter) > time.Hour+time.Minute {
				t.Errorf("%s: the certificate lives until %s", how, signed.NotAfter)
			}
		}
	}
}

func TestGuardOutlivesNobody(t *testing.T) {
	g := newTestGuard(t)
	now := g.issuer.NotAfter.Add(-time.Minute)
	g.now = func() time.Time { return now }
	answer, err := g.CreateCertificate(&apiv1.CreateCertificateRequest{Template: plainLeaf(t), Lifetime: time.Hour})
	if err != nil || !answer.Certificate.NotAfter.Equal(g.issuer.NotAfter) || !answer.Certificate.NotBefore.Before(now) {
		t.Errorf("a minute before its issuer's end a certificate is signed as %+v, %v", answer, err)
	}
	now = g.issuer.NotAfter
	if _, err := g.CreateCertificate(&apiv1.CreateCertificateRequest{Template: plainLeaf(t), Lifetime: time.Hour}); err == nil {
		t.Error("an authority that has ended signs")
	}
	if _, err := g.RenewCertificate(&apiv1.RenewCertificateRequest{Template: plainLeaf(t), Lifetime: time.Hour}); err == nil {
		t.Error("an authority that has ended renews")
	}
}

// TestGuardGoesByThePlatformsClock, whatever step makes of the system's.
func TestGuardGoesByThePlatformsClock(t *testing.T) {
	g := newTestGuard(t)
	now := time.Now().Add(100 * 24 * time.Hour)
	g.now = func() time.Time { return now }
	template := plainLeaf(t)
	template.NotAfter = now.Add(1000 * time.Hour)
	answer, err := g.RenewCertificate(&apiv1.RenewCertificateRequest{Template: template, Lifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if life := answer.Certificate.NotAfter.Sub(now.Truncate(time.Second)); life != time.Hour {
		t.Errorf("it lives %s from the platform's now on, want an hour", life)
	}
}

func TestAddressesCountAsTheirNetworks(t *testing.T) {
	for a, b := range map[string]string{
		"192.0.2.1:1":             "192.0.2.1:2",
		"[2001:db8::1]:1":         "[2001:db8::ffff:2]:1",
		"[::ffff:192.0.2.1]:1":    "192.0.2.1:9",
		"[fe80::1%eth0]:1":        "[fe80::2%eth1]:1",
		"no address":              "none either",
		"[2001:db8:0:1::1]:50000": "[2001:db8:0:1:ffff::1]:50001",
	} {
		if network(a) != network(b) {
			t.Errorf("%s and %s count apart", a, b)
		}
	}
	for a, b := range map[string]string{"192.0.2.1:1": "192.0.2.2:1", "[2001:db8:0:1::1]:1": "[2001:db8:0:2::1]:1"} {
		if network(a) == network(b) {
			t.Errorf("%s and %s count as one", a, b)
		}
	}
}

func TestLimitsForgetWhoBehavesFirst(t *testing.T) {
	now := time.Now()
	l := newLimits(2, time.Second, func() time.Time { return now })
	for range 2 {
		l.failed("192.0.2.1:1")
	}
	if l.allow("192.0.2.1:5") || !l.allow("192.0.2.2:1") {
		t.Error("the limit is not the address's own")
	}
	now = now.Add(time.Second)
	if !l.allow("192.0.2.1:1") {
		t.Error("a second later it is not allowed one more")
	}
}
