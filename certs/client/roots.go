package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"edgesync/certs"
)

// maxRoots is more than any number of rotations leaves at once.
const maxRoots = 16

// Roots asks the CA for the roots there are now, over a connection that only the
// platform's own can answer.
func (c Client) Roots(ctx context.Context, credential Credential) ([]*x509.Certificate, error) {
	return c.roots(ctx, credential)
}

// roots asks the CA, which the credential's roots show to be the platform's, for
// the roots there are now. While a root is being replaced there are two, and who
// renews in that time learns of the new one here.
func (c Client) roots(ctx context.Context, credential Credential) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	transport, address, err := c.trusted(credential, nil)
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/1.0/roots", nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Certificates []string `json:"crts"`
	}
	if err := exchange(transport, request, &answer); err != nil {
		return nil, err
	}
	if len(answer.Certificates) == 0 || len(answer.Certificates) > maxRoots {
		return nil, fmt.Errorf("read roots: there are %d", len(answer.Certificates))
	}
	var found []*x509.Certificate
	for _, one := range answer.Certificates {
		decoded, err := certs.DecodePEM([]byte(one))
		if err != nil {
			return nil, fmt.Errorf("read roots: %w", err)
		}
		if err := succeeds(decoded[0], credential.Roots); err != nil {
			return nil, fmt.Errorf("read roots: %w", err)
		}
		found = append(found, decoded[0])
	}
	return found, nil
}

// succeeds wants a root to be one that is known, or one of the same trust domain.
func succeeds(root *x509.Certificate, known []*x509.Certificate) error {
	if slices.ContainsFunc(known, root.Equal) {
		return nil
	}
	named, err := certs.ReadAuthority(root)
	if err != nil {
		return err
	}
	if named.Kind != certs.KindRoot || root.CheckSignatureFrom(root) != nil {
		return errors.New("one is no root")
	}
	for _, one := range known {
		if authority, err := certs.ReadAuthority(one); err == nil && authority.TrustDomain == named.TrustDomain {
			return nil
		}
	}
	return fmt.Errorf("one is of trust domain %q", named.TrustDomain)
}
