package core

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// HistoryTx is the part of TenantTx that looks back.
type HistoryTx interface {
	// CertificateHistory is every certificate that is kept, revoked and ended ones
	// too, by component, the oldest first.
	CertificateHistory(ctx context.Context) ([]Certificate, error)
}

// Revocation is a certificate that handshakes refuse until it ends by itself.
type Revocation struct {
	TenantID uuid.UUID `json:"tenant_id"`
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
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
