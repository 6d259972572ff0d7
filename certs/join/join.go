// Package join is the join token: a step-compatible one-time token that says
// which component it is for, where the enrolment CA is, which root to trust and
// which gateway to dial. It makes and reads the text; whether a token was used
// or cancelled is for whoever keeps them. It knows no store and no network.
package join

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.step.sm/crypto/jose"

	"edgesync/certs"
)

// How long a token may be good for.
const (
	MinLife     = 5 * time.Minute
	DefaultLife = 24 * time.Hour
	MaxLife     = 7 * 24 * time.Hour
)

// MaxText bounds a token's text; a real one has about 900 bytes.
const MaxText = 4 << 10

const (
	maxID = 128
	// leeway is how far the clocks of who minted a token and who reads it may be
	// apart, as in step's own check.
	leeway   = time.Minute
	signPath = "/1.0/sign"

	thumbprintHash = crypto.SHA256
)

// Token is what a join token says.
type Token struct {
	// ID is unique (jti).
	ID string
	// KeyID names the tenant's token key, see KeyID.
	KeyID string
	// Issuer is the tenant's provisioner: its slug.
	Issuer string
	// CAURL is https://host:port of the enrolment CA.
	CAURL string
	// RootFingerprint is the SHA-256 of the root certificate, lower-case hex.
	RootFingerprint string

	TrustDomain string
	Tenant      string
	Partition   string
	Component   string

	GatewayAddr       string
	GatewayServerName string

	IssuedAt  time.Time
	ExpiresAt time.Time
}

// CommonName is the name the certificate will have.
func (t Token) CommonName() (string, error) {
	return certs.CommonName(t.Component, t.Partition, t.Tenant, t.TrustDomain)
}

// SPIFFE is the URI the certificate will have.
func (t Token) SPIFFE() string {
	return certs.Identity{
		TrustDomain: t.TrustDomain, Type: certs.TypeSync, Tenant: t.Tenant, Partition: t.Partition, Component: t.Component,
	}.SPIFFE()
}

// claims are the token's as step and this program read them.
type claims struct {
	jose.Claims
	SHA               string   `json:"sha"`
	SANs              []string `json:"sans"`
	Tenant            string   `json:"tenant"`
	Partition         string   `json:"partition"`
	ComponentID       string   `json:"component_id"`
	GatewayAddr       string   `json:"gateway_addr"`
	GatewayServerName string   `json:"gateway_server_name"`
}

// KeyID names a token key: the RFC 7638 thumbprint that step calls a
// provisioner's key by.
func KeyID(key *ecdsa.PublicKey) (string, error) {
	jwk := jose.JSONWebKey{Key: key}
	sum, err := jwk.Thumbprint(thumbprintHash)
	if err != nil {
		return "", fmt.Errorf("name token key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// Sign makes the token's text.
func (t Token) Sign(key *ecdsa.PrivateKey) (string, error) {
	name, err := t.CommonName()
	if err != nil {
		return "", fmt.Errorf("sign join token: %w", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: t.KeyID}},
		new(jose.SignerOptions).WithType("JWT"),
	)
	if err != nil {
		return "", fmt.Errorf("sign join token: %w", err)
	}
	text, err := jose.Signed(signer).Claims(claims{
		Claims: jose.Claims{
			ID: t.ID, Issuer: t.Issuer, Subject: name, Audience: jose.Audience{t.CAURL + signPath},
			IssuedAt: jose.NewNumericDate(t.IssuedAt), NotBefore: jose.NewNumericDate(t.IssuedAt), Expiry: jose.NewNumericDate(t.ExpiresAt),
		},
		SHA: t.RootFingerprint, SANs: []string{name, t.SPIFFE()},
		Tenant: t.Tenant, Partition: t.Partition, ComponentID: t.Component,
		GatewayAddr: t.GatewayAddr, GatewayServerName: t.GatewayServerName,
	}).CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("sign join token: %w", err)
	}
	return text, nil
}

// Parse reads a token without checking its signature: the edge has no key for
// it, and the CA needs the key id first. What it says is consistent, not true.
func Parse(text string) (Token, error) {
	_, token, err := parse(text)
	return token, err
}

// Verify reads a token that key has signed and that is good at now.
func Verify(text string, key *ecdsa.PublicKey, now time.Time) (Token, error) {
	jwt, token, err := parse(text)
	if err != nil {
		return Token{}, err
	}
	var signed claims
	if err := jwt.Claims(key, &signed); err != nil {
		return Token{}, errors.New("check join token: its signature is not that of the tenant's key")
	}
	if now.After(token.ExpiresAt) {
		return Token{}, fmt.Errorf("check join token: it ended at %s", token.ExpiresAt.Format(time.RFC3339))
	}
	if now.Add(leeway).Before(token.IssuedAt) {
		return Token{}, fmt.Errorf("check join token: it begins at %s", token.IssuedAt.Format(time.RFC3339))
	}
	return token, nil
}

func parse(text string) (*jose.JSONWebToken, Token, error) {
	fail := func(format string, args ...any) (*jose.JSONWebToken, Token, error) {
		return nil, Token{}, fmt.Errorf("read join token: "+format, args...)
	}
	if len(text) > MaxText {
		return fail("it has more than %d bytes", MaxText)
	}
	if strings.Count(text, ".") != 2 {
		return fail("it is not one: want three parts with dots between")
	}
	jwt, err := jose.ParseSigned(text)
	if err != nil || len(jwt.Headers) != 1 {
		// The parser's error quotes the text, and that is a secret.
		return fail("it is damaged: copy it again")
	}
	if header := jwt.Headers[0]; header.Algorithm != jose.ES256 || header.KeyID == "" || len(header.KeyID) > maxID {
		return fail("it is not signed the way join tokens are")
	}
	var c claims
	if err := jwt.UnsafeClaimsWithoutVerification(&c); err != nil {
		return fail("it is damaged: copy it again")
	}
	token, err := c.token(jwt.Headers[0].KeyID)
	if err != nil {
		return fail("%w", err)
	}
	return jwt, token, nil
}

// token wants every claim there and all of them to agree.
func (c claims) token(keyID string) (Token, error) {
	t := Token{
		ID: c.ID, KeyID: keyID, Issuer: c.Issuer, RootFingerprint: c.SHA,
		Tenant: c.Tenant, Partition: c.Partition, Component: c.ComponentID,
		GatewayAddr: c.GatewayAddr, GatewayServerName: c.GatewayServerName,
	}
	if t.ID == "" || len(t.ID) > maxID || t.Issuer == "" || t.GatewayAddr == "" || t.GatewayServerName == "" {
		return Token{}, errors.New("a claim is missing: it is not a join token of this program")
	}
	if c.Expiry == nil || c.IssuedAt == nil {
		return Token{}, errors.New("it does not say how long it is good for")
	}
	t.IssuedAt, t.ExpiresAt = c.IssuedAt.Time().UTC(), c.Expiry.Time().UTC()
	if sum, err := hex.DecodeString(t.RootFingerprint); err != nil || len(sum) != thumbprintHash.Size() || strings.ToLower(t.RootFingerprint) != t.RootFingerprint {
		return Token{}, errors.New("it pins no root certificate")
	}
	var found bool
	if t.TrustDomain, found = strings.CutPrefix(c.Subject, t.Component+"."+t.Partition+"."+t.Tenant+"."); !found {
		return Token{}, errors.New("its subject is not the component it names")
	}
	name, err := t.CommonName()
	if err != nil {
		return Token{}, err
	}
	if !slices.Equal(c.SANs, []string{name, t.SPIFFE()}) {
		return Token{}, errors.New("its names disagree")
	}
	t.CAURL, err = caURL(c.Audience)
	return t, err
}

// caURL is the address of the CA in the token's audience: https and nothing else.
func caURL(audience jose.Audience) (string, error) {
	if len(audience) != 1 {
		return "", errors.New("it names no single enrolment CA")
	}
	u, err := url.Parse(audience[0])
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" || u.Path != signPath || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("its enrolment CA has no https address")
	}
	return "https://" + u.Host, nil
}
