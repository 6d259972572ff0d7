package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

func (t tenantTx) ConfigApplied(ctx context.Context, service uuid.UUID, version string, at time.Time) error {
	n, err := t.s.exec(ctx, `UPDATE service SET config_version = $1, config_applied_at = $2 WHERE id = $3`, version, micros(at), id(service))
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("record configuration of service %s: %w", service, err)
	}
	return nil
}
