package core

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// RunQuery says which runs are asked for: those of one source, of all sources
// of one service, or with neither all of a tenant.
type RunQuery struct {
	Tenant string
	// Source and Service are ids or names.
	Source, Service string
	// Limit 0 means DefaultRunLimit.
	Limit int
}

// The limits of a RunQuery. The runs of a service that has more sources than
// maxRunSources are those of the ones that ran last.
const (
	DefaultRunLimit = 50
	MaxRunLimit     = 1000
	maxRunSources   = 200
)

// RunView is a run with its source as operators call it.
type RunView struct {
	Run
	Tenant     Tenant
	SourceName string
}

// Runs are the latest, newest first. One that is under way has no result yet.
func (c *Core) Runs(ctx context.Context, query RunQuery) ([]RunView, error) {
	if query.Limit < 0 || query.Limit > MaxRunLimit {
		return nil, invalid("list runs: the limit %d is not between 1 and %d", query.Limit, MaxRunLimit)
	}
	if query.Limit == 0 {
		query.Limit = DefaultRunLimit
	}
	sources, err := c.ranBy(ctx, query)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sources, func(a, b SourceView) int { return lastMoved(b).Compare(lastMoved(a)) })
	var found []RunView
	for _, source := range sources[:min(len(sources), maxRunSources)] {
		s, err := c.scopeOf(ctx, source.Tenant)
		if err != nil {
			return nil, err
		}
		var runs []Run
		err = s.store.View(ctx, func(tx TenantTx) (err error) {
			runs, err = tx.Runs(ctx, source.ID, query.Limit)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list runs of tenant %s: %w", source.Tenant.Slug, err)
		}
		for _, run := range runs {
			found = append(found, RunView{Run: run, Tenant: source.Tenant, SourceName: source.Name})
		}
	}
	slices.SortStableFunc(found, func(a, b RunView) int { return b.Started.Compare(a.Started) })
	return found[:min(len(found), query.Limit)], nil
}

// ranBy are the sources whose runs are asked for.
func (c *Core) ranBy(ctx context.Context, query RunQuery) ([]SourceView, error) {
	switch {
	case query.Source != "":
		source, err := c.Source(ctx, query.Tenant, query.Source)
		return []SourceView{source}, err
	case query.Service != "":
		service, err := c.Service(ctx, query.Tenant, query.Service)
		if err != nil {
			return nil, err
		}
		slug := service.Tenant.Slug
		if service.IsPlatformSync {
			slug = "" // It runs sources of any tenant.
		}
		return c.Sources(ctx, slug, service.ID.String())
	}
	return c.Sources(ctx, query.Tenant, "")
}

// lastMoved is when a source last ran, or was made, from when on it may run.
func lastMoved(s SourceView) time.Time {
	if s.Stats.LastSyncAt.After(s.UpdatedAt) {
		return s.Stats.LastSyncAt
	}
	return s.UpdatedAt
}
