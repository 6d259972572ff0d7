package certs_test

import (
	"crypto/x509"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"edgesync/certs"
)

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// FuzzNames has a name be refused or be what it should be, in every part of an
// identity.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"HQ Sync", "acme", "p1atform", "p-1atf0rm", "а", "xn--a", "a.b", "../x", "São Paulo №5", "ﬁ", strings.Repeat("a", 64), "a\u202eb", "\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if (certs.ValidLabel(name) == nil) != label.MatchString(name) {
			t.Errorf("label %q: %v", name, certs.ValidLabel(name))
		}
		if component, err := certs.ComponentID(name); err == nil {
			again, err := certs.ComponentID(component)
			if !label.MatchString(component) || again != component || err != nil {
				t.Errorf("%q makes the component id %q, and that %q, %v", name, component, again, err)
			}
		}
		if certs.ValidTenantSlug(name) == nil {
			if !label.MatchString(name) || strings.HasPrefix(name, "xn--") || certs.ReservedSlug(strings.ToUpper(name)) {
				t.Errorf("%q is let through as a tenant's", name)
			}
			if cn, err := certs.CommonName("c", "p", name, trustDomain); err == nil && cn != "c.p."+name+"."+trustDomain {
				t.Errorf("%q makes the name %q", name, cn)
			}
		}
		if certs.ValidHost(name) == nil && strings.ContainsAny(name, "/\\:@ \n\x00*_") {
			t.Errorf("%q is let through as a host", name)
		}
	})
}

// FuzzAuthority reads authorities, and takes none that the root has not signed.
func FuzzAuthority(f *testing.F) {
	p := newPKI(f)
	for _, c := range []*x509.Certificate{p.root.Certificate, p.acme.Certificate, p.platform.Certificate, newPKI(f).acme.Certificate} {
		f.Add(c.Raw)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		named, err := certs.ReadAuthority(c)
		if err != nil {
			return
		}
		if !c.IsCA || named.TrustDomain == "" || (named.Tenant == "") != (named.Kind == certs.KindRoot) {
			t.Errorf("read as %+v", named)
		}
		issuers, err := certs.NewIssuers(p.root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		err = issuers.Add(certs.Issuer{TenantID: uuid.New(), Tenant: named.Tenant, Platform: named.Kind == certs.KindPlatform, Certificate: c})
		if err == nil && c.CheckSignatureFrom(p.root.Certificate) != nil {
			t.Error("an authority was accepted that the root did not sign")
		}
	})
}

// FuzzIdentify identifies leaves, and knows none that no accepted key has signed.
func FuzzIdentify(f *testing.F) {
	p := newPKI(f)
	f.Add(leaf(f, p.acme, syncLeaf("acme")).Leaf.Raw)
	f.Add(gatewayLeaf(f, p).Leaf.Raw)
	f.Add(p.acme.Certificate.Raw)
	f.Add(leaf(f, newPKI(f).acme, syncLeaf("acme")).Leaf.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if identity, err := p.issuers.Identify([]*x509.Certificate{c}, now); err == nil && c.CheckSignatureFrom(p.acme.Certificate) != nil &&
			c.CheckSignatureFrom(p.beta.Certificate) != nil && c.CheckSignatureFrom(p.platform.Certificate) != nil {
			t.Errorf("identified as %s", identity.SPIFFE())
		}
	})
}
