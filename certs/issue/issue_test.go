package issue_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"edgesync/certs"
	"edgesync/certs/issue"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

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

func request(t testing.TB, template *x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	return must(x509.CreateCertificateRequest(rand.Reader, template, key))(t)
}

type authorities struct{ root, platform, acme *issue.Authority }

func newAuthorities(t testing.TB) authorities {
	t.Helper()
	root := must(issue.NewRoot("edgesync.local", now))(t)
	return authorities{root, must(root.NewPlatformIntermediate("platform", now))(t), must(root.NewTenantIntermediate("acme", now))(t)}
}

func acmeSync() issue.Leaf {
	return issue.Leaf{Type: certs.TypeSync, Tenant: "acme", Partition: "default", Component: "hq-sync"}
}

// TestAuthoritiesAreAsWritten holds the shapes the PKI promises.
func TestAuthoritiesAreAsWritten(t *testing.T) {
	a := newAuthorities(t)
	for _, test := range []struct {
		authority *issue.Authority
		kind      certs.Kind
		life      time.Duration
		pathLen   int
		dns       []string
	}{
		{a.root, certs.KindRoot, issue.RootLife, 1, nil},
		{a.platform, certs.KindPlatform, issue.IntermediateLife, 0, nil},
		{a.acme, certs.KindTenant, issue.IntermediateLife, 0, []string{"acme.edgesync.local"}},
	} {
		c := test.authority.Certificate
		named, err := certs.ReadAuthority(c)
		if err != nil || named.Kind != test.kind || named.TrustDomain != "edgesync.local" {
			t.Errorf("%s: %+v, %v", test.kind, named, err)
		}
		key, ok := c.PublicKey.(*ecdsa.PublicKey)
		if !ok || key.Curve != elliptic.P256() {
			t.Errorf("%s: key %T", test.kind, c.PublicKey)
		}
		if !c.NotAfter.Equal(now.Add(test.life)) || !c.NotBefore.Equal(now.Add(-issue.Backdate)) || c.MaxPathLen != test.pathLen || !slices.Equal(c.PermittedDNSDomains, test.dns) {
			t.Errorf("%s: from %s to %s, path length %d, DNS %q", test.kind, c.NotBefore, c.NotAfter, c.MaxPathLen, c.PermittedDNSDomains)
		}
		if test.kind != certs.KindRoot && (!c.PermittedDNSDomainsCritical || !slices.Equal(c.PermittedURIDomains, []string{"edgesync.local"})) {
			t.Errorf("%s: constraints critical %v, URI %q", test.kind, c.PermittedDNSDomainsCritical, c.PermittedURIDomains)
		}
	}
}

// TestRequestHasNoSay asks for another name, more names, an authority and
// another usage.
func TestRequestHasNoSay(t *testing.T) {
	a := newAuthorities(t)
	key := newKey(t)
	isCA := pkix.Extension{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}
	csr := request(t, &x509.CertificateRequest{
		Subject:         pkix.Name{CommonName: "core.default.platform.edgesync.local", Organization: []string{"Evil"}, OrganizationalUnit: []string{"platform"}},
		DNSNames:        []string{"agent-gateway.edgesync.local"},
		URIs:            []*url.URL{{Scheme: "spiffe", Host: "edgesync.local", Path: "/sync/platform/default/core"}},
		IPAddresses:     []net.IP{net.IPv4(10, 0, 0, 1)},
		EmailAddresses:  []string{"root@example.com"},
		ExtraExtensions: []pkix.Extension{isCA},
	}, key)
	c := must(a.acme.SignLeaf(csr, acmeSync(), now))(t)
	const name = "hq-sync.default.acme.edgesync.local"
	if c.Subject.CommonName != name || !slices.Equal(c.DNSNames, []string{name}) || len(c.Subject.OrganizationalUnit) != 0 {
		t.Errorf("subject %s, DNS %q", c.Subject, c.DNSNames)
	}
	if len(c.URIs) != 1 || c.URIs[0].String() != "spiffe://edgesync.local/sync/acme/default/hq-sync" || len(c.IPAddresses)+len(c.EmailAddresses) != 0 {
		t.Errorf("URIs %v, addresses %v, mail %v", c.URIs, c.IPAddresses, c.EmailAddresses)
	}
	if c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
		t.Errorf("authority %v, usage %v %v", c.IsCA, c.KeyUsage, c.ExtKeyUsage)
	}
	if !key.PublicKey.Equal(c.PublicKey) || c.SerialNumber.BitLen() < 64 {
		t.Errorf("key or serial %s are not right", c.SerialNumber)
	}
	if _, err := certs.ReadLeaf(c); err != nil {
		t.Error(err)
	}
}

func TestRequestThatProvesNothingIsRefused(t *testing.T) {
	a := newAuthorities(t)
	good := request(t, &x509.CertificateRequest{}, newKey(t))
	flipped := slices.Clone(good)
	flipped[len(flipped)-1] ^= 1
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	for name, csr := range map[string][]byte{
		"nothing":           nil,
		"not a request":     []byte("request"),
		"cut short":         good[:len(good)/2],
		"a wrong signature": flipped,
		"a weak key":        request(t, &x509.CertificateRequest{}, weak(t)),
	} {
		if c, err := a.acme.SignLeaf(csr, acmeSync(), now); err == nil {
			t.Errorf("%s: signed %s", name, c.Subject)
		}
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.acme.SignLeaf(request(t, &x509.CertificateRequest{}, edwards), acmeSync(), now); err != nil {
		t.Errorf("an Ed25519 key: %v", err)
	}
}

// TestLeafThatMayNotBeIsRefused has names, types and lives no authority signs.
func TestLeafThatMayNotBeIsRefused(t *testing.T) {
	a := newAuthorities(t)
	csr := request(t, &x509.CertificateRequest{}, newKey(t))
	gateway := issue.Leaf{Type: certs.TypeGateway, Tenant: "platform", Partition: "default", Component: "gateway"}
	for name, test := range map[string]struct {
		by    *issue.Authority
		base  issue.Leaf
		spoil func(*issue.Leaf)
		at    time.Time
	}{
		"by the root":                {a.root, acmeSync(), func(*issue.Leaf) {}, now},
		"another tenant":             {a.acme, acmeSync(), func(l *issue.Leaf) { l.Tenant = "beta" }, now},
		"the platform":               {a.acme, acmeSync(), func(l *issue.Leaf) { l.Tenant = "platform" }, now},
		"a tenant's by the platform": {a.platform, acmeSync(), func(*issue.Leaf) {}, now},
		"a tenant's gateway":         {a.acme, acmeSync(), func(l *issue.Leaf) { l.Type, l.ServerNames = certs.TypeGateway, []string{"x.acme.edgesync.local"} }, now},
		"a tenant's operator":        {a.acme, acmeSync(), func(l *issue.Leaf) { l.Type = certs.TypeOperator }, now},
		"an unknown type":            {a.acme, acmeSync(), func(l *issue.Leaf) { l.Type = "root" }, now},
		"no type":                    {a.acme, acmeSync(), func(l *issue.Leaf) { l.Type = "" }, now},
		"component with a dot":       {a.acme, acmeSync(), func(l *issue.Leaf) { l.Component = "a.b" }, now},
		"component with a slash":     {a.acme, acmeSync(), func(l *issue.Leaf) { l.Component = "../a" }, now},
		"no partition":               {a.acme, acmeSync(), func(l *issue.Leaf) { l.Partition = "" }, now},
		"a name of 65 bytes":         {a.acme, acmeSync(), func(l *issue.Leaf) { l.Component = strings.Repeat("c", 65-len(".default.acme.edgesync.local")) }, now},
		"server names for a client":  {a.acme, acmeSync(), func(l *issue.Leaf) { l.ServerNames = []string{"agent-gateway.edgesync.local"} }, now},
		"a gateway without names":    {a.platform, gateway, func(*issue.Leaf) {}, now},
		"a wildcard":                 {a.platform, gateway, func(l *issue.Leaf) { l.ServerNames = []string{"*.example.com"} }, now},
		"a name with a port":         {a.platform, gateway, func(l *issue.Leaf) { l.ServerNames = []string{"example.com:443"} }, now},
		"a life too short":           {a.acme, acmeSync(), func(l *issue.Leaf) { l.Life = issue.MinLife - time.Second }, now},
		"a life too long":            {a.acme, acmeSync(), func(l *issue.Leaf) { l.Life = issue.MaxLife + time.Second }, now},
		"a negative life":            {a.acme, acmeSync(), func(l *issue.Leaf) { l.Life = -time.Hour }, now},
		"an authority that ended":    {a.acme, acmeSync(), func(*issue.Leaf) {}, now.Add(issue.IntermediateLife)},
	} {
		t.Run(name, func(t *testing.T) {
			l := test.base
			test.spoil(&l)
			if c, err := test.by.SignLeaf(csr, l, test.at); err == nil {
				t.Fatalf("signed %s", c.Subject)
			}
		})
	}
}

func TestLifeOfALeaf(t *testing.T) {
	a := newAuthorities(t)
	csr := request(t, &x509.CertificateRequest{}, newKey(t))
	late := now.Add(issue.IntermediateLife - time.Hour)
	for name, test := range map[string]struct {
		life time.Duration
		at   time.Time
		want time.Time
	}{
		"default":               {0, now, now.Add(30 * 24 * time.Hour)},
		"shortest":              {issue.MinLife, now, now.Add(5 * time.Minute)},
		"longest":               {issue.MaxLife, now, now.Add(90 * 24 * time.Hour)},
		"never past its issuer": {issue.MaxLife, late, now.Add(issue.IntermediateLife)},
	} {
		l := acmeSync()
		l.Life = test.life
		if c := must(a.acme.SignLeaf(csr, l, test.at))(t); !c.NotAfter.Equal(test.want) {
			t.Errorf("%s: ends %s, want %s", name, c.NotAfter, test.want)
		}
	}
}

func TestGatewayAnswersToItsNames(t *testing.T) {
	a := newAuthorities(t)
	c := must(a.platform.SignLeaf(request(t, &x509.CertificateRequest{}, newKey(t)), issue.Leaf{
		Type: certs.TypeGateway, Tenant: "platform", Partition: "default", Component: "gateway",
		ServerNames: []string{"agent-gateway.edgesync.local", "Gateway.Example.com", "localhost", "192.0.2.7", "2001:db8::1"},
	}, now))(t)
	for _, name := range []string{"agent-gateway.edgesync.local", "gateway.example.com", "localhost", "192.0.2.7", "2001:db8::1"} {
		if err := c.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("usage %v", c.ExtKeyUsage)
	}
}

func TestAuthorityIsKeptAndLoaded(t *testing.T) {
	a := newAuthorities(t)
	pkcs8 := must(a.acme.MarshalKey())(t)
	loaded := must(issue.Load(a.acme.Certificate.Raw, pkcs8))(t)
	if _, err := loaded.SignLeaf(request(t, &x509.CertificateRequest{}, newKey(t)), acmeSync(), now); err != nil {
		t.Error(err)
	}
	leaf := must(a.acme.SignLeaf(request(t, &x509.CertificateRequest{}, newKey(t)), acmeSync(), now))(t)
	for name, kept := range map[string][2][]byte{
		"another's key":  {a.platform.Certificate.Raw, pkcs8},
		"no key":         {a.acme.Certificate.Raw, nil},
		"no certificate": {nil, pkcs8},
		"a leaf":         {leaf.Raw, pkcs8},
	} {
		if _, err := issue.Load(kept[0], kept[1]); err == nil {
			t.Errorf("%s was loaded", name)
		}
	}
}

func TestAuthorityThatMayNotBeIsRefused(t *testing.T) {
	a := newAuthorities(t)
	for name, make := range map[string]func() (*issue.Authority, error){
		"below a tenant's":        func() (*issue.Authority, error) { return a.acme.NewTenantIntermediate("beta", now) },
		"below the platform's":    func() (*issue.Authority, error) { return a.platform.NewTenantIntermediate("beta", now) },
		"slug with a dot":         func() (*issue.Authority, error) { return a.root.NewTenantIntermediate("a.b", now) },
		"slug no leaf can carry":  func() (*issue.Authority, error) { return a.root.NewTenantIntermediate(strings.Repeat("a", 50), now) },
		"after the root's end":    func() (*issue.Authority, error) { return a.root.NewTenantIntermediate("beta", now.Add(issue.RootLife)) },
		"trust domain upper case": func() (*issue.Authority, error) { return issue.NewRoot("EdgeSync.local", now) },
		"no trust domain":         func() (*issue.Authority, error) { return issue.NewRoot("", now) },
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// FuzzSignLeaf signs whatever request proves its key, for what the leaf is to
// say and nothing else.
func FuzzSignLeaf(f *testing.F) {
	a := newAuthorities(f)
	f.Add(request(f, &x509.CertificateRequest{}, newKey(f)))
	f.Add(request(f, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "evil"}, DNSNames: []string{"evil"}}, newKey(f)))
	f.Fuzz(func(t *testing.T, csr []byte) {
		signed, err := a.acme.SignLeaf(csr, acmeSync(), now)
		if err != nil {
			return
		}
		named, err := certs.ReadLeaf(signed)
		if err != nil || named.Component != acmeSync().Component || signed.IsCA || len(signed.DNSNames) != 1 || len(signed.ExtKeyUsage) != 1 {
			t.Errorf("signed %+v, %v", named, err)
		}
	})
}
