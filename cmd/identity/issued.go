package identity

import (
	"crypto"
	"fmt"

	"edgesync/certs"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// New puts a key together with the certificate that was signed for it.
func New(key crypto.Signer, issued *adminv1.IssuedCertificate, caURL string) (onboarding.Identity, error) {
	chain, err := certs.DecodePEM([]byte(issued.GetCertificateChainPem()))
	if err != nil {
		return onboarding.Identity{}, fmt.Errorf("read issued certificate: %w", err)
	}
	cas, err := certs.DecodePEM([]byte(issued.GetCaChainPem()))
	if err != nil {
		return onboarding.Identity{}, fmt.Errorf("read issued CA chain: %w", err)
	}
	return onboarding.Identity{Key: key, Chain: chain, CAs: cas, CAURL: caURL}, nil
}
