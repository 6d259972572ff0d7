package certs

import (
	"crypto/x509"
	"errors"
	"time"
)

// Identify says who a client's certificate is, or why it is nobody: a *Refusal.
// Only chain[0], the leaf, is used; whatever else the client sent is ignored.
// The issuer is found by the leaf's authority key id and the leaf is verified
// with that one intermediate, so that its name constraints hold.
func (i *Issuers) Identify(chain []*x509.Certificate, now time.Time) (Identity, error) {
	if len(chain) == 0 {
		return Identity{}, refuse(ReasonNoCertificate, "none was sent")
	}
	leaf := chain[0]
	issuer := i.find(leaf.AuthorityKeyId)
	if issuer == nil {
		return Identity{}, refuse(ReasonUnknownIssuer, "no live tenant has the issuing key %x", leaf.AuthorityKeyId)
	}
	if refusal := i.verify(leaf, issuer, now); refusal != nil {
		signed := leaf.CheckSignatureFrom(issuer.Certificate) == nil
		return Identity{}, refusal.by(&issuer.Issuer, leaf, signed)
	}
	n, refusal := leafNames(leaf)
	if refusal == nil {
		refusal = i.agree(n, &issuer.Issuer)
	}
	if refusal == nil {
		refusal = i.standing(&issuer.Issuer, n, leaf.SerialNumber.String())
	}
	if refusal != nil {
		return Identity{}, refusal.by(&issuer.Issuer, leaf, true)
	}
	identity := n.identity(leaf)
	identity.Class, identity.TenantID = ClassTenant, issuer.TenantID
	if issuer.Platform {
		identity.Class = ClassPlatform
	}
	return identity, nil
}

// verify checks signature, time, usage and constraints: leaf, issuer, root and
// no other way.
func (i *Issuers) verify(leaf *x509.Certificate, issuer *accepted, now time.Time) *Refusal {
	if !issuer.Until.IsZero() && !now.Before(issuer.Until) {
		return refuse(ReasonIssuerRetired, "the issuing key %x was replaced and not accepted after %s", leaf.AuthorityKeyId, issuer.Until.Format(time.RFC3339))
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: i.rootPool(), Intermediates: issuer.pool, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return refuse(verifyReason(err, leaf, now), "%v", err)
	}
	if leaf.IsCA {
		return refuse(ReasonCertificateCA, "%q is an authority, not a leaf", leaf.Subject.CommonName)
	}
	for _, chain := range chains {
		if len(chain) == 3 && chain[1].Equal(issuer.Certificate) {
			return nil
		}
	}
	return refuse(ReasonBadChain, "the chain does not go through the issuing key %x", leaf.AuthorityKeyId)
}

// agree compares what the leaf says with whose key says it.
func (i *Issuers) agree(n names, issuer *Issuer) *Refusal {
	switch {
	case n.trustDomain != i.trustDomain:
		return refuse(ReasonTrustDomain, "%s is not of trust domain %s", n.spiffe(), i.trustDomain)
	case n.tenant != issuer.Tenant:
		return refuse(ReasonTenantMismatch, "%s was issued by the key of tenant %s", n.spiffe(), issuer.Tenant)
	case !issuer.Platform && (n.kind == TypeGateway || n.kind == TypeOperator):
		return refuse(ReasonPlatformOnly, "%s is of a type only the platform issues", n.spiffe())
	}
	return nil
}

func verifyReason(err error, leaf *x509.Certificate, now time.Time) string {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		return ReasonBadChain
	}
	switch invalid.Reason {
	case x509.Expired:
		if now.Before(leaf.NotBefore) {
			return ReasonNotYetValid
		}
		return ReasonExpired
	case x509.IncompatibleUsage:
		return ReasonKeyUsage
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName, x509.TooManyConstraints, x509.CANotAuthorizedForExtKeyUsage:
		return ReasonNameConstraint
	default:
		return ReasonBadChain
	}
}
