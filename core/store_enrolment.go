package core

import (
	"context"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
)

// TokenKey is what a tenant's join tokens are signed with.
type TokenKey struct {
	TenantID uuid.UUID
	// KeyID is the key's RFC 7638 thumbprint.
	KeyID string
	// SealedKey is the private key, PKCS #8, sealed with tenant and KeyID as
	// associated data.
	SealedKey []byte
	CreatedAt time.Time
}

// JoinToken is what is kept of a join token; never its text.
type JoinToken struct {
	// ID is the token's jti.
	ID        string
	ServiceID uuid.UUID
	Component string
	Partition string
	// CreatedBy is the name of the actor.
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time
	// UsedAt and CancelledAt are zero until it was.
	UsedAt      time.Time
	CancelledAt time.Time
	// UsedKey is the hash of the public key it was redeemed for.
	UsedKey string
}

// Certificate is what is kept of an issued certificate.
type Certificate struct {
	// Serial is decimal.
	Serial string
	// Issuer is the key id of the authority that signed it; empty where that was
	// not recorded.
	Issuer    string
	Type      certs.Type
	Partition string
	Component string
	IssuedAt  time.Time
	NotAfter  time.Time
	// RevokedAt is zero while it is good; Reason says why it is not.
	RevokedAt time.Time
	Reason    string
}

// EnrolmentPlatformTx is the part of PlatformTx about enrolment.
type EnrolmentPlatformTx interface {
	TokenKey(ctx context.Context, tenant uuid.UUID) (TokenKey, error)
	TokenKeyByID(ctx context.Context, keyID string) (TokenKey, error)
	// AddTokenKey returns ErrConflict when the tenant has one. DeleteTenant
	// deletes it.
	AddTokenKey(ctx context.Context, key TokenKey) error

	// TenantAuthorities are those of one tenant, or with the zero id the roots, by
	// creation.
	TenantAuthorities(ctx context.Context, tenant uuid.UUID) ([]Authority, error)
}

// EnrolmentTx is the part of TenantTx about enrolment.
type EnrolmentTx interface {
	// ServicesCalled are the services with the name or the component id, by name
	// and id; removed ones too.
	ServicesCalled(ctx context.Context, name, component string) ([]SyncService, error)

	AddJoinToken(ctx context.Context, token JoinToken) error
	JoinToken(ctx context.Context, id string) (JoinToken, error)
	// JoinTokens are ordered by creation, the newest first.
	JoinTokens(ctx context.Context) ([]JoinToken, error)
	// UseJoinToken marks a token used that is neither used nor cancelled nor ended
	// at that time, and says whether it did.
	UseJoinToken(ctx context.Context, id, key string, at time.Time) (bool, error)
	// RedeemedJoinToken is the token of a component that was last used for a key.
	RedeemedJoinToken(ctx context.Context, component, key string) (JoinToken, error)
	// CancelJoinTokens cancels every token of a component, used or not, and
	// returns how many were still good.
	CancelJoinTokens(ctx context.Context, component string, at time.Time) (int, error)

	// UseOnce remembers an id until a time and says whether it was new.
	UseOnce(ctx context.Context, id string, until time.Time) (bool, error)

	// AddCertificate returns ErrConflict for a serial that is there.
	AddCertificate(ctx context.Context, certificate Certificate) error
	Certificate(ctx context.Context, serial string) (Certificate, error)
	// Certificates of a component, or with an empty one of all, that are not
	// revoked and end after a time, the newest first.
	Certificates(ctx context.Context, component string, endAfter time.Time) ([]Certificate, error)
	// CountCertificates counts those issued for a component since a time, revoked
	// ones too.
	CountCertificates(ctx context.Context, component string, issuedSince time.Time) (int, error)
	RevokedCertificates(ctx context.Context, endAfter time.Time) ([]Certificate, error)
	// RevokeCertificate leaves one alone that is revoked already.
	RevokeCertificate(ctx context.Context, serial, reason string, at time.Time) error

	// PruneEnrolment forgets tokens and certificates that ended before a time, and
	// ids whose time is over.
	PruneEnrolment(ctx context.Context, endedBefore time.Time) error
}
