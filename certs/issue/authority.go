// Package issue makes certificates: the root, the platform's and the tenants'
// intermediates, and leaves. It decides what is in them; a request contributes
// its public key and nothing else. It keeps nothing and knows no store.
package issue

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"time"

	"edgesync/certs"
)

// Lives of authorities, and how far certificates reach back for clocks that lag.
const (
	RootLife         = 10 * 365 * 24 * time.Hour
	IntermediateLife = 5 * 365 * 24 * time.Hour
	Backdate         = 5 * time.Minute
)

const organization = "edgesync"

// Authority is a certificate that signs others, and its key.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer

	names certs.Authority
}

// NewRoot makes the self-signed root of a trust domain.
func NewRoot(trustDomain string, now time.Time) (*Authority, error) {
	if err := certs.ValidTrustDomain(trustDomain); err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	names := certs.Authority{Kind: certs.KindRoot, TrustDomain: trustDomain}
	template := authorityTemplate(names, "edgesync root", now, now.Add(RootLife))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	return sign(template, template, key, key, names)
}

// NewPlatformIntermediate makes the authority of the platform tenant: it issues
// gateways, the platform's sync services and operators.
func (a *Authority) NewPlatformIntermediate(slug string, now time.Time) (*Authority, error) {
	return a.newIntermediate(certs.KindPlatform, slug, now)
}

// NewTenantIntermediate makes the authority of a tenant, constrained to names
// below the tenant's own.
func (a *Authority) NewTenantIntermediate(slug string, now time.Time) (*Authority, error) {
	return a.newIntermediate(certs.KindTenant, slug, now)
}

func (a *Authority) newIntermediate(kind certs.Kind, slug string, now time.Time) (*Authority, error) {
	if a.names.Kind != certs.KindRoot {
		return nil, fmt.Errorf("make authority of %q: only the root may, this is of kind %q", slug, a.names.Kind)
	}
	// The shortest name below it must fit, or no leaf ever will.
	if _, err := certs.CommonName("c", "p", slug, a.names.TrustDomain); err != nil {
		return nil, fmt.Errorf("make authority of %q: %w", slug, err)
	}
	if !now.Before(a.Certificate.NotAfter) {
		return nil, fmt.Errorf("make authority of %q: the root ended on %s", slug, a.Certificate.NotAfter.Format(time.DateOnly))
	}
	names := certs.Authority{Kind: kind, Tenant: slug, TrustDomain: a.names.TrustDomain}
	template := authorityTemplate(names, slug+"."+a.names.TrustDomain, now, earlier(now.Add(IntermediateLife), a.Certificate.NotAfter))
	names.Constrain(template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority of %q: %w", slug, err)
	}
	return sign(template, a.Certificate, key, a.Key, names)
}

// Certify signs the name and the key of an intermediate, which another root has
// signed before, once more: its leaves are then good under either root. The
// certificate ends at notAfter, or with the root.
func (a *Authority) Certify(intermediate *x509.Certificate, now, notAfter time.Time) (*x509.Certificate, error) {
	names, err := certs.ReadAuthority(intermediate)
	if err != nil {
		return nil, fmt.Errorf("certify authority: %w", err)
	}
	if a.names.Kind != certs.KindRoot || names.Kind == certs.KindRoot || names.TrustDomain != a.names.TrustDomain {
		return nil, fmt.Errorf("certify authority of %q: only a root of trust domain %q may, and only intermediates", names.Tenant, names.TrustDomain)
	}
	notAfter = earlier(notAfter, a.Certificate.NotAfter)
	if !now.Before(notAfter) {
		return nil, fmt.Errorf("certify authority of %q: it would have ended on %s", names.Tenant, notAfter.Format(time.DateOnly))
	}
	template := authorityTemplate(names, intermediate.Subject.CommonName, now, notAfter)
	names.Constrain(template)
	template.SubjectKeyId = intermediate.SubjectKeyId
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, intermediate.PublicKey, a.Key)
	if err != nil {
		return nil, fmt.Errorf("certify authority of %q: %w", names.Tenant, err)
	}
	return x509.ParseCertificate(der)
}

func authorityTemplate(names certs.Authority, commonName string, now, notAfter time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organization}, OrganizationalUnit: []string{string(names.Kind)}, CommonName: commonName},
		NotBefore:             now.Add(-Backdate),
		NotAfter:              notAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            1,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: names.TrustDomain}},
	}
}

func sign(template, parent *x509.Certificate, key, parentKey crypto.Signer, names certs.Authority) (*Authority, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, fmt.Errorf("sign authority %q: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign authority %q: %w", template.Subject.CommonName, err)
	}
	return &Authority{Certificate: cert, Key: key, names: names}, nil
}

// MarshalKey is the private key as PKCS #8, for sealing.
func (a *Authority) MarshalKey() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.Key)
	if err != nil {
		return nil, fmt.Errorf("marshal key of authority %q: %w", a.Certificate.Subject.CommonName, err)
	}
	return der, nil
}

// Load puts an authority together again from what was kept of it, and refuses a
// key that is another's.
func Load(certDER, pkcs8 []byte) (*Authority, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	names, err := certs.ReadAuthority(cert)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("load key of authority %q: %w", cert.Subject.CommonName, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("load key of authority %q: it cannot sign", cert.Subject.CommonName)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, errors.New("load authority: the key is not that of certificate " + cert.Subject.CommonName)
	}
	return &Authority{Certificate: cert, Key: key, names: names}, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
