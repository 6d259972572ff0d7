package relational

import (
	"context"

	"edgesync/core"
)

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

// touchDevices moves the last seen of devices, by their numbers.
func touchDevices(ctx context.Context, s Session, latest map[int64]int64) error {
	if len(latest) == 0 {
		return nil
	}
	devices, at := NewInts("device", len(latest)), NewInts("at", len(latest))
	for device, micros := range latest {
		devices.Add(device)
		at.Add(micros)
	}
	_, err := s.Exec(ctx, `
		UPDATE assertion SET device_last_seen = b.at FROM rows(?) b
		WHERE assertion.id = b.device AND coalesce(assertion.device_last_seen < b.at, true)`, NewRows(devices, at))
	return err
}
