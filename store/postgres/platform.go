package postgres

import (
	"context"

	"edgesync/core"
	"edgesync/store/relational"
)

type platformStore struct{ store *Store }

func (p platformStore) View(ctx context.Context, fn func(core.PlatformTx) error) error {
	return p.store.view(ctx, p.store.platform, func(s *session) error { return fn(relational.NewPlatform(s)) })
}

func (p platformStore) Update(ctx context.Context, fn func(core.PlatformTx) error) error {
	return p.store.update(ctx, p.store.platform, func(s *session) error { return fn(relational.NewPlatform(s)) })
}
