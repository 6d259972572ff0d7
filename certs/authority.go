package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Kind is what an authority's certificate is for. The certificate says it in
// its organizational unit, under its issuer's signature.
type Kind string

// The kinds of authority there are.
const (
	KindRoot     Kind = "root"
	KindPlatform Kind = "platform"
	KindTenant   Kind = "tenant"
)

// Authority is what an authority's certificate says of itself.
type Authority struct {
	Kind Kind
	// Tenant is the slug of the tenant it issues for; empty for the root.
	Tenant      string
	TrustDomain string
}

// ReadAuthority reads an authority's certificate: its kind from the
// organizational unit, its trust domain from the URI (a SPIFFE id without a path,
// as X509-SVID section 4.2 wants it of signing certificates) and its tenant from
// the common name, <tenant>.<trust domain>. It checks no signature.
func ReadAuthority(cert *x509.Certificate) (Authority, error) {
	if !cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return Authority{}, errors.New("read authority: the certificate may not sign others")
	}
	if len(cert.URIs) != 1 || len(cert.Subject.OrganizationalUnit) != 1 {
		return Authority{}, errors.New("read authority: want one URI and one organizational unit")
	}
	uri := cert.URIs[0]
	a := Authority{Kind: Kind(cert.Subject.OrganizationalUnit[0]), TrustDomain: uri.Host}
	if err := ValidTrustDomain(a.TrustDomain); err != nil {
		return Authority{}, fmt.Errorf("read authority: %w", err)
	}
	if uri.String() != "spiffe://"+a.TrustDomain {
		return Authority{}, fmt.Errorf("read authority: URI %q is not a trust domain's", uri)
	}
	switch a.Kind {
	case KindRoot:
		return a, nil
	case KindPlatform, KindTenant:
	default:
		return Authority{}, fmt.Errorf("read authority: no such kind %q", a.Kind)
	}
	var found bool
	if a.Tenant, found = strings.CutSuffix(cert.Subject.CommonName, "."+a.TrustDomain); !found || ValidLabel(a.Tenant) != nil {
		return Authority{}, fmt.Errorf("read authority: common name %q is not a tenant's", cert.Subject.CommonName)
	}
	return a, nil
}

// Constrain puts the name constraints of the authority on its certificate: a
// tenant's intermediate can vouch for names below its own slug only. That wall
// stands by itself in every TLS library, whatever we check besides.
func (a Authority) Constrain(cert *x509.Certificate) {
	cert.MaxPathLen, cert.MaxPathLenZero = 0, true
	cert.PermittedDNSDomainsCritical = true
	cert.PermittedURIDomains = []string{a.TrustDomain}
	if a.Kind != KindTenant {
		return
	}
	cert.PermittedDNSDomains = []string{a.Tenant + "." + a.TrustDomain}
	cert.ExcludedIPRanges = everyAddress()
	// Permitting one host that cannot exist (RFC 2606) excludes all mail.
	cert.PermittedEmailAddresses = []string{"invalid"}
}

// constrained says whether the certificate has the constraints Constrain gives.
func (a Authority) constrained(cert *x509.Certificate) bool {
	var want x509.Certificate
	a.Constrain(&want)
	return cert.MaxPathLen == 0 && cert.MaxPathLenZero &&
		cert.PermittedDNSDomainsCritical &&
		slices.Equal(cert.PermittedDNSDomains, want.PermittedDNSDomains) &&
		slices.Equal(cert.PermittedURIDomains, want.PermittedURIDomains) &&
		slices.Equal(cert.PermittedEmailAddresses, want.PermittedEmailAddresses) &&
		slices.EqualFunc(cert.ExcludedIPRanges, want.ExcludedIPRanges, func(a, b *net.IPNet) bool { return a.String() == b.String() })
}

func everyAddress() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 8*net.IPv4len)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 8*net.IPv6len)},
	}
}
