// Package ca is the enrolment CA: an HTTPS server that speaks step's protocol,
// with one embedded step authority for each tenant, made when it is first asked
// for. It decides who may have a certificate signed and what that says; what is
// kept of tokens and certificates it reads and writes through Platform. It
// knows no store, no gateway and no command.
package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/join"
)

// ErrNotFound is returned by a Platform for a tenant or a certificate that is
// not there, or that is not to be served.
var ErrNotFound = errors.New("not found")

// ErrRefused is returned by a Platform for a token that cannot be redeemed and
// a certificate that cannot be issued: unknown, used, cancelled, ended, revoked.
// Who asked is not told which.
var ErrRefused = errors.New("refused")

// ErrUnavailable is in the errors of a Platform that cannot read or write what it
// keeps for now: the same request may succeed later.
var ErrUnavailable = errors.New("unavailable")

// RenewalGrace is how long after its end a certificate can still be renewed by
// proof of its key. After that it takes a new join token.
const RenewalGrace = 7 * 24 * time.Hour

// RedeemAgain is how long the key that redeemed a token may redeem it again: the
// answer may have been lost.
const RedeemAgain = 10 * time.Minute

// Tenant is whose certificates are asked for.
type Tenant struct {
	ID   uuid.UUID
	Slug string
	// Platform is true for the platform's own.
	Platform    bool
	TrustDomain string
	// IssuerKeyID is certs.KeyID of the intermediate that issues now.
	IssuerKeyID string
	// TokenKeyID names the key of the tenant's join tokens.
	TokenKeyID string
	// Life is how long its certificates live.
	Life time.Duration
}

// Keys are what a tenant's authority is made of.
type Keys struct {
	Issuer *x509.Certificate
	Signer crypto.Signer
	// Token is the public key of the tenant's join tokens.
	Token *ecdsa.PublicKey
}

// Redemption is a join token and the key it is redeemed for.
type Redemption struct {
	Token join.Token
	// Key is KeyHash of the public key the certificate is asked for.
	Key string
	// Addr is who asked, host:port.
	Addr string
}

// Record is what is kept of an issued certificate.
type Record struct {
	Serial  string
	Revoked bool
}

// Revocation is a revoked certificate that has not ended yet.
type Revocation struct {
	Serial    string
	RevokedAt time.Time
}

// Attempt is a request that was refused.
type Attempt struct {
	// Tenant is zero when it is not known who is meant.
	Tenant uuid.UUID
	// Subject is the component that asked or was asked for, as far as proved.
	Subject   string
	Addr      string
	Operation string
	Reason    string
}

// Platform is what the CA asks of the platform it belongs to. Everything that
// takes a tenant is bound to it. Errors other than ErrNotFound and ErrRefused
// are failures, whose words are never told to who asked.
type Platform interface {
	// Issuers say who a certificate is.
	Issuers() *certs.Issuers
	// Roots are the root certificates, the one in use first.
	Roots(ctx context.Context) ([]*x509.Certificate, error)
	// Own is the platform's own tenant.
	Own(ctx context.Context) (Tenant, error)
	// TenantBySlug, TenantByTokenKey and TenantByID return ErrNotFound unless the
	// tenant is active.
	TenantBySlug(ctx context.Context, slug string) (Tenant, error)
	TenantByTokenKey(ctx context.Context, keyID string) (Tenant, error)
	TenantByID(ctx context.Context, id uuid.UUID) (Tenant, error)
	Keys(ctx context.Context, tenant Tenant) (Keys, error)

	// Redeem marks a token used, in one step that only one key can win. The same
	// key may do it again for RedeemAgain. Everything else is ErrRefused.
	Redeem(ctx context.Context, tenant uuid.UUID, r Redemption) error
	// UseOnce says whether an id is used for the first time before until.
	UseOnce(ctx context.Context, tenant uuid.UUID, id string, until time.Time) (bool, error)
	// Issue records a certificate before it is handed out. replaced is the one it
	// renews, or nil when its key has redeemed a token. ErrRefused stops it.
	Issue(ctx context.Context, tenant uuid.UUID, leaf, replaced *x509.Certificate) error
	// Recognise is told of a certificate that is to be renewed, before anything
	// else is asked of it: the platform may have forgotten it.
	Recognise(ctx context.Context, tenant uuid.UUID, identity certs.Identity) error
	// Certificate returns ErrNotFound for a serial the tenant never issued.
	Certificate(ctx context.Context, tenant uuid.UUID, serial string) (Record, error)
	// Revoke ends a certificate whose owner gives it up.
	Revoke(ctx context.Context, tenant uuid.UUID, serial, reason string) error
	Revoked(ctx context.Context, tenant uuid.UUID) ([]Revocation, error)

	// Refused records an attempt; it limits itself how often.
	Refused(ctx context.Context, attempt Attempt)
}
