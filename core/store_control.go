package core

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// ControlTx is the part of a TenantTx that ControlStreams need.
type ControlTx interface {
	// ConfigApplied sets only a service's ConfigVersion and ConfigAppliedAt.
	ConfigApplied(ctx context.Context, service uuid.UUID, version string, at time.Time) error
}
