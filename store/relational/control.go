package relational

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

func (t Tenant) ConfigApplied(ctx context.Context, service uuid.UUID, version string, at time.Time) error {
	n, err := t.s.Exec(ctx, `UPDATE service SET config_version = ?, config_applied_at = ? WHERE id = ?`, version, micros(at), id(service))
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("record configuration of service %s: %w", service, err)
	}
	return nil
}
