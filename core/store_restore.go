package core

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Restoration is that the platform was set back to what it was when a backup was
// taken. What happened between the two times nobody here knows.
type Restoration struct {
	// ID is never that of another; the latest is what services know the platform
	// by.
	ID         uuid.UUID
	BackupAt   time.Time
	RestoredAt time.Time
	// SettledAt is zero until an operator said that what was revoked in between is
	// revoked again; SettledBy is who.
	SettledAt time.Time
	SettledBy string
}

// RestorePlatformTx is the part of PlatformTx about having been set back.
type RestorePlatformTx interface {
	// Restorations are ordered by RestoredAt.
	Restorations(ctx context.Context) ([]Restoration, error)
	PutRestoration(ctx context.Context, restoration Restoration) error
}
