package core

import (
	"context"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
)

// Certificate is a leaf that a tenant's authority has signed. The register of
// them is the history of a tenant's identities: rows are never deleted.
type Certificate struct {
	// Serial is decimal.
	Serial string
	// Issuer is the key id of the authority that signed it.
	Issuer    string
	Type      certs.Type
	Partition string
	Component string
	IssuedAt  time.Time
	NotAfter  time.Time
	// RevokedAt is zero for one that was not revoked; Reason is empty then.
	RevokedAt time.Time
	Reason    string
}

// CertificateFilter narrows Certificates. Zero values do not.
type CertificateFilter struct {
	Type      certs.Type
	Component string
	Issuer    string
	// EndsAfter leaves out what has ended by then.
	EndsAfter time.Time
}

// CertificateTx is a tenant's register of certificates.
type CertificateTx interface {
	// Certificates are ordered by type, component and the time of issue.
	Certificates(ctx context.Context, filter CertificateFilter) ([]Certificate, error)
	// Certificate returns ErrNotFound for a serial that was never issued.
	Certificate(ctx context.Context, serial string) (Certificate, error)
	PutCertificate(ctx context.Context, certificate Certificate) error
}

// Revocation is a certificate that handshakes refuse until it ends by itself.
type Revocation struct {
	TenantID uuid.UUID
	Serial   string
	NotAfter time.Time
}

// Operator is a person or a program that administers the platform, or one
// tenant of it, with an identity of its own.
type Operator struct {
	// Name is the component of its certificate, and never another's.
	Name string
	Role Role
	// TenantID is zero for an operator of the whole platform.
	TenantID      uuid.UUID
	State         OperatorState
	CertSerial    string
	CertExpiresAt time.Time
	CreatedAt     time.Time
}

// Role is what an operator may do.
type Role string

// The roles, each with all that those after it may do.
const (
	RoleAdmin    Role = "admin"
	RoleOperator Role = "operator"
	RoleViewer   Role = "viewer"
)

// OperatorState is whether an operator's identity is admitted.
type OperatorState string

// The states of an operator. A revoked one keeps its row.
const (
	OperatorActive  OperatorState = "active"
	OperatorRevoked OperatorState = "revoked"
)

// TrustTx is what the platform keeps of who is trusted.
type TrustTx interface {
	// Revocations are those of certificates that end after a time.
	Revocations(ctx context.Context, after time.Time) ([]Revocation, error)
	PutRevocation(ctx context.Context, revocation Revocation) error

	// Operators are ordered by name and include revoked ones.
	Operators(ctx context.Context) ([]Operator, error)
	// Operator returns ErrNotFound for a name nobody has.
	Operator(ctx context.Context, name string) (Operator, error)
	PutOperator(ctx context.Context, operator Operator) error
}
