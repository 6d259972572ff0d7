package identity

import (
	"crypto"

	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// New puts a key together with the certificate that was signed for it.
func New(key crypto.Signer, issued *adminv1.IssuedCertificate, caURL string) (onboarding.Identity, error) {
	return onboarding.IssuedIdentity(key, issued, caURL)
}
