package relational

import "edgesync/core"

// Tenant is core.TenantTx on a transaction of one tenant's tables.
type Tenant struct{ s Session }

var _ core.TenantTx = Tenant{}

// NewTenant works in a session.
func NewTenant(s Session) Tenant { return Tenant{s} }

// Platform is core.PlatformTx on a transaction of the platform's tables.
type Platform struct{ s Session }

var _ core.PlatformTx = Platform{}

// NewPlatform works in a session.
func NewPlatform(s Session) Platform { return Platform{s} }
