package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"

	"edgesync/certs"
	"edgesync/certs/issue"
)

// guard stands around the tenant's signing key: whatever step, a template or a
// certificate to be renewed would have signed is read as it would be encoded,
// and the key is not touched unless it is a plain leaf of this tenant. How long it
// lives is decided here, by the platform's clock: step would go by the system's,
// and renew for as long as the old certificate did.
type guard struct {
	tenant Tenant
	issuer *x509.Certificate
	now    func() time.Time
	soft   *softcas.SoftCAS
}

func newGuard(tenant Tenant, keys Keys, now func() time.Time) *guard {
	return &guard{tenant: tenant, issuer: keys.Issuer, now: now, soft: &softcas.SoftCAS{
		CertificateChain: []*x509.Certificate{keys.Issuer}, Signer: keys.Signer,
	}}
}

// CreateCertificate implements apiv1.CertificateAuthorityService.
func (g *guard) CreateCertificate(req *apiv1.CreateCertificateRequest) (*apiv1.CreateCertificateResponse, error) {
	if err := g.settle(req.Template, certs.TypeSync, certs.TypeAgent); err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return g.soft.CreateCertificate(req)
}

// RenewCertificate implements apiv1.CertificateAuthorityService.
func (g *guard) RenewCertificate(req *apiv1.RenewCertificateRequest) (*apiv1.RenewCertificateResponse, error) {
	if err := g.settle(req.Template, g.renewed()...); err != nil {
		return nil, fmt.Errorf("renew certificate: %w", err)
	}
	made, err := g.soft.CreateCertificate(&apiv1.CreateCertificateRequest{Template: req.Template, CSR: req.CSR, Lifetime: g.tenant.Life})
	if err != nil {
		return nil, err
	}
	return &apiv1.RenewCertificateResponse{Certificate: made.Certificate, CertificateChain: made.CertificateChain}, nil
}

// settle sets how long a certificate lives and checks what it is to say.
func (g *guard) settle(template *x509.Certificate, types ...certs.Type) error {
	if template == nil {
		return errors.New("there is no template")
	}
	now := g.now()
	if !now.Before(g.issuer.NotAfter) {
		return fmt.Errorf("the authority of tenant %s has ended", g.tenant.Slug)
	}
	template.NotBefore = now.Add(-issue.Backdate)
	template.NotAfter = earlier(now.Add(g.tenant.Life), g.issuer.NotAfter)
	return g.check(template, types...)
}

// RevokeCertificate implements apiv1.CertificateAuthorityService; what is
// revoked is kept by Platform.
func (g *guard) RevokeCertificate(req *apiv1.RevokeCertificateRequest) (*apiv1.RevokeCertificateResponse, error) {
	return g.soft.RevokeCertificate(req)
}

// Type implements the interface by which step tells a CAS from another.
func (g *guard) Type() apiv1.Type { return apiv1.SoftCAS }

// renewed are the types of certificate that are renewed here. An operator is
// added, and not enrolled; what it was given then is renewed like any other.
func (g *guard) renewed() []certs.Type {
	if g.tenant.Platform {
		return []certs.Type{certs.TypeSync, certs.TypeAgent, certs.TypeOperator}
	}
	return []certs.Type{certs.TypeSync, certs.TypeAgent}
}

func (g *guard) check(template *x509.Certificate, types ...certs.Type) error {
	if err := goodKey(template.PublicKey); err != nil {
		return err
	}
	leaf, err := g.preview(template)
	if err != nil {
		return fmt.Errorf("read certificate to be signed: %w", err)
	}
	named, err := certs.ReadLeaf(leaf)
	if err != nil {
		return fmt.Errorf("check certificate to be signed: %w", err)
	}
	switch {
	case named.Tenant != g.tenant.Slug || named.TrustDomain != g.tenant.TrustDomain:
		return fmt.Errorf("check certificate to be signed: %s is not of tenant %s", named.SPIFFE(), g.tenant.Slug)
	case !slices.Contains(types, named.Type):
		return fmt.Errorf("check certificate to be signed: %s is of a type that is not signed here", named.SPIFFE())
	case leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature:
		return errors.New("check certificate to be signed: it is more than a leaf")
	case !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || len(leaf.UnknownExtKeyUsage) > 0:
		return errors.New("check certificate to be signed: it is for more than clients")
	case len(leaf.UnhandledCriticalExtensions) > 0:
		return errors.New("check certificate to be signed: it has critical extensions nobody knows")
	}
	return nil
}

// preview is the certificate the template makes, signed with a key that is
// forgotten: extensions override fields, so only the encoding tells.
func (g *guard) preview(template *x509.Certificate) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent := &x509.Certificate{RawSubject: g.issuer.RawSubject, SubjectKeyId: g.issuer.SubjectKeyId, PublicKey: key.Public()}
	copied := *template
	copied.SerialNumber, copied.SignatureAlgorithm = big.NewInt(1), x509.UnknownSignatureAlgorithm
	der, err := x509.CreateCertificate(rand.Reader, &copied, parent, template.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

const (
	minRSABits = 2048
	maxRSABits = 8192
)

// goodKey refuses keys that prove little: rekeying checks none of it.
func goodKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize >= 256 {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= minRSABits && bits <= maxRSABits {
			return nil
		}
	}
	return fmt.Errorf("check certificate request: a key of its kind or length (%T) is refused, use ECDSA P-256", key)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
