package client

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.step.sm/crypto/jose"

	"edgesync/certs"
)

// Grace is how long after its end a certificate can still be renewed, by proof
// of its key.
const Grace = 7 * 24 * time.Hour

// ErrEnded is in the error for a certificate that ended too long ago.
var ErrEnded = errors.New("the certificate ended too long ago to be renewed")

// afresh is how who cannot renew its certificate gets another.
func afresh(named certs.Identity) string {
	if named.Type == certs.TypeOperator {
		return "have the platform's administrator add the operator again (`edgesync operator add`)"
	}
	return "ask the platform's operator for a new join token (`edgesync onboard --mode token`) or a new edge package"
}

// advised adds the way out of what waiting does not mend.
func advised(err error, named certs.Identity) error {
	var refused *RefusedError
	switch {
	case errors.As(err, &refused) && refused.Status == 0:
		return fmt.Errorf("%w: it was revoked, or its authority replaced: %s", err, afresh(named))
	case errors.Is(err, ErrUntrusted):
		return fmt.Errorf("%w: see that nothing between ends TLS; if the platform's root was replaced, %s", err, afresh(named))
	}
	return err
}

const renewTokenLife = 5 * time.Minute

// Renew returns a credential with a new certificate in place of one that is still
// good, with a new key that is made here, or of one that ended within Grace, with
// its old key. The one before stays good until the new one is renewed in turn: it
// is to be written down before that.
func (c Client) Renew(ctx context.Context, old Credential) (Credential, error) {
	if len(old.Chain) < 2 {
		return Credential{}, errors.New("renew certificate: its intermediate is missing")
	}
	named, err := certs.ReadLeaf(old.Chain[0])
	if err != nil {
		return Credential{}, fmt.Errorf("renew certificate: %w", err)
	}
	if old.CAURL == "" {
		return Credential{}, fmt.Errorf("renew certificate of %s: the identity names no enrolment CA: %s", named.Component, afresh(named))
	}
	late := c.now().Sub(old.Chain[0].NotAfter)
	if late < Grace {
		if old.Roots, err = c.roots(ctx, old); err != nil {
			return Credential{}, fmt.Errorf("renew certificate of %s with %s: %w", named.Component, old.CAURL, advised(err, named))
		}
	}
	switch {
	case late < 0:
		renewed, err := c.rekey(ctx, old, named)
		if err != nil {
			return Credential{}, fmt.Errorf("renew certificate of %s with %s: %w", named.Component, old.CAURL, advised(err, named))
		}
		return renewed, nil
	case late >= Grace:
		return Credential{}, fmt.Errorf("renew certificate of %s: %w: %s", named.Component, ErrEnded, afresh(named))
	}
	revived, err := c.revive(ctx, old, named)
	if err != nil {
		return Credential{}, fmt.Errorf("renew ended certificate of %s with %s: %w", named.Component, old.CAURL, advised(err, named))
	}
	return revived, nil
}

// rekey asks over a connection made with the old certificate.
func (c Client) rekey(ctx context.Context, old Credential, named certs.Identity) (Credential, error) {
	key, err := makeKey()
	if err != nil {
		return Credential{}, err
	}
	csr, err := signingRequest(key, old.Chain[0].Subject.CommonName, named.SPIFFE())
	if err != nil {
		return Credential{}, err
	}
	renewed := Credential{Key: key, Roots: old.Roots, CAURL: old.CAURL}
	renewed.Chain, err = c.post(ctx, renewed, old.TLS(), "/1.0/rekey", "", map[string]string{"csr": csr})
	if err != nil {
		return Credential{}, err
	}
	return renewed, renewed.check(named.SPIFFE(), c.now())
}

// revive renews a certificate that no handshake takes any more.
func (c Client) revive(ctx context.Context, old Credential, named certs.Identity) (Credential, error) {
	token, err := c.renewToken(old)
	if err != nil {
		return Credential{}, err
	}
	revived := Credential{Key: old.Key, Roots: old.Roots, CAURL: old.CAURL}
	if revived.Chain, err = c.post(ctx, revived, nil, "/1.0/renew", token, struct{}{}); err != nil {
		return Credential{}, err
	}
	return revived, revived.check(named.SPIFFE(), c.now())
}

// renewToken is step's token for renewal: signed with the certificate's key and
// carrying the certificate.
func (c Client) renewToken(old Credential) (string, error) {
	key, ok := old.Key.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("prove key: a %T cannot sign the token for it", old.Key)
	}
	var chain []string
	for _, one := range old.Chain {
		chain = append(chain, base64.StdEncoding.EncodeToString(one.Raw))
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: key},
		new(jose.SignerOptions).WithType("JWT").WithHeader(jose.HeaderKey(jose.X5cInsecureKey), chain),
	)
	if err != nil {
		return "", fmt.Errorf("prove key: %w", err)
	}
	now := c.now()
	text, err := jose.Signed(signer).Claims(jose.Claims{
		ID: uuid.NewString(), Issuer: "step-ca-client/1.0", Subject: old.Chain[0].Subject.CommonName,
		Audience: jose.Audience{old.CAURL + "/1.0/renew"},
		IssuedAt: jose.NewNumericDate(now), NotBefore: jose.NewNumericDate(now), Expiry: jose.NewNumericDate(now.Add(renewTokenLife)),
	}).CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("prove key: %w", err)
	}
	return text, nil
}
