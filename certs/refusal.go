package certs

import (
	"crypto/x509"
	"fmt"

	"github.com/google/uuid"
)

// Why a certificate is refused: short constants, for counting.
const (
	ReasonNoCertificate  = "no_certificate"
	ReasonTLSVersion     = "tls_version"
	ReasonUnknownIssuer  = "unknown_issuer"
	ReasonBadChain       = "bad_chain"
	ReasonExpired        = "expired"
	ReasonNotYetValid    = "not_yet_valid"
	ReasonKeyUsage       = "key_usage"
	ReasonNameConstraint = "name_constraint"
	ReasonCertificateCA  = "certificate_is_ca"
	ReasonBadName        = "bad_name"
	ReasonNameMismatch   = "name_mismatch"
	ReasonTrustDomain    = "trust_domain"
	ReasonTenantMismatch = "tenant_mismatch"
	ReasonPlatformOnly   = "platform_only_type"
	ReasonRevoked        = "revoked"
	ReasonSuspended      = "tenant_suspended"
	ReasonIssuerRetired  = "issuer_retired"
)

// Refusal is the error for a certificate that proves nothing here.
type Refusal struct {
	// Reason is one of the Reason constants.
	Reason string
	// Detail is one line for a log. It quotes what the other side sent.
	Detail string
	// TenantID and Tenant are whose key the certificate says issued it; zero
	// while that is unknown. They hold for a log, not for a decision: the
	// signature may be the very thing that is wrong, and TLS 1.3 asks for the
	// proof of the leaf's key only after its certificate was accepted.
	TenantID uuid.UUID
	Tenant   string
	// Signed is true where that key did sign the certificate.
	Signed bool
	// Claim is who the certificate says it is: its URI where there is one, else
	// its common name. Whoever made the certificate chose the text.
	Claim string
}

// Error names the reason and the detail.
func (r *Refusal) Error() string {
	return "refuse certificate: " + r.Reason + ": " + r.Detail
}

func refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// by says whose key issued what was refused, and what that claimed.
func (r *Refusal) by(issuer *Issuer, leaf *x509.Certificate, signed bool) *Refusal {
	r.TenantID, r.Tenant, r.Signed = issuer.TenantID, issuer.Tenant, signed
	r.Claim = leaf.Subject.CommonName
	if _, uris, _, err := subjectNames(leaf); err == nil && len(uris) > 0 {
		r.Claim = uris[0]
	}
	return r
}
