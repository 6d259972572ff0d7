package core

import (
	"context"
	"fmt"
)

// MaxRunList is the most runs that are listed at once, DefaultRunList how many
// without a limit.
const (
	MaxRunList     = 1_000
	DefaultRunList = 20
)

// Runs are the latest runs of a source, the newest first.
func (c *Core) Runs(ctx context.Context, slug, ref string, limit int) ([]Run, error) {
	switch {
	case limit < 0 || limit > MaxRunList:
		return nil, invalid("list runs: the limit %d is not between 1 and %d", limit, MaxRunList)
	case limit == 0:
		limit = DefaultRunList
	}
	s, err := c.scope(ctx, slug)
	if err != nil {
		return nil, err
	}
	var runs []Run
	err = s.store.View(ctx, func(tx TenantTx) error {
		source, err := findSource(ctx, tx, s.tenant, ref)
		if err != nil {
			return err
		}
		if runs, err = tx.Runs(ctx, source.ID, limit); err != nil {
			return fmt.Errorf("list runs of source %s: %w", source.Name, err)
		}
		return nil
	})
	return runs, err
}
