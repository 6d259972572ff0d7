package core

import (
	"context"
	"fmt"
	"time"
)

const (
	// pruneBatch is how many events one transaction deletes, and prunePause how long
	// the tenant's other writers have before the next.
	pruneBatch = 1_000
	prunePause = 20 * time.Millisecond
	// keepEvery is how often what is too old is looked for.
	keepEvery = time.Hour
)

// PruneEvents deletes the events of every tenant that were recorded before a
// time, but for each tenant's latest, and returns how many. It does so in many
// short transactions, so that nobody waits for it for long.
func (c *Core) PruneEvents(ctx context.Context, before time.Time) (int, error) {
	pruned := 0
	err := c.scopes(ctx, "", func(s scope) error {
		for {
			n := 0
			err := s.store.Update(ctx, func(tx TenantTx) (err error) {
				n, err = tx.PruneEvents(ctx, before, pruneBatch)
				return err
			})
			if err != nil {
				return fmt.Errorf("prune events of tenant %s: %w", s.tenant.Slug, err)
			}
			pruned += n
			c.metrics.pruned.Add(float64(n))
			if n < pruneBatch {
				return nil
			}
			if err := pause(ctx, prunePause); err != nil {
				return err
			}
		}
	})
	return pruned, err
}

// KeepEvents deletes events once they are older than age, until ctx ends. Any
// number of processes may do so on one store.
func (c *Core) KeepEvents(ctx context.Context, age time.Duration) {
	failing := false
	for {
		n, err := c.PruneEvents(ctx, c.now().Add(-age))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			failing = true
			c.log.Error("prune events", "error", err)
		case err == nil:
			failing = false
		}
		if n > 0 {
			c.log.Info("events pruned", "events", n, "kept_for", age.String())
		}
		if pause(ctx, keepEvery) != nil {
			return
		}
	}
}
