package sqlite

import (
	"context"

	"edgesync/core"
	"edgesync/store/relational"
)

type platformStore struct{ db *database }

func (p platformStore) View(ctx context.Context, fn func(core.PlatformTx) error) error {
	return p.db.view(ctx, func(s session) error { return fn(relational.NewPlatform(s)) })
}

func (p platformStore) Update(ctx context.Context, fn func(core.PlatformTx) error) error {
	return p.db.update(ctx, func(s session) error { return fn(relational.NewPlatform(s)) })
}
