package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"edgesync/store/dump"
)

//go:embed migrations
var migrations embed.FS

// schema is what a kind of file should look like: a directory of migrations.
type schema struct{ dir string }

var (
	platformSchema = schema{"migrations/platform"}
	tenantSchema   = schema{"migrations/tenant"}
)

// migrate brings a file up to date. It refuses one that a newer program wrote.
// Each migration is a transaction, so a crash in between is made good by the
// next opening.
func (s schema) migrate(ctx context.Context, db *sql.DB) (err error) {
	provider, latest, err := s.provider(db)
	if err != nil {
		return err
	}
	current, err := version(ctx, db)
	if err != nil {
		return err
	}
	if current == latest {
		return nil
	}
	if current > latest {
		return fmt.Errorf("read schema: it has version %d and this program knows %d: run the newer program that wrote it", current, latest)
	}
	_, err = provider.Up(ctx)
	return err
}

// migrateTo makes a new file as it was in a version. One beyond the latest of this
// kind of store is the latest: another kind may have had a step of its own.
func (s schema) migrateTo(ctx context.Context, db *sql.DB, version int64) error {
	provider, latest, err := s.provider(db)
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, min(version, latest))
	return err
}

// Latest is the version that this program knows of the platform's schema, or of a
// tenant's.
func Latest(platform bool) (int64, error) {
	known, err := versions(platform)
	if err != nil {
		return 0, err
	}
	return known[len(known)-1], nil
}

// versions are those that this program knows, in order.
func versions(platform bool) ([]int64, error) {
	kind := tenantSchema
	if platform {
		kind = platformSchema
	}
	return dump.Versions(migrations, kind.dir)
}

// provider is goose's for a file, and the latest version.
func (s schema) provider(db *sql.DB) (*goose.Provider, int64, error) {
	dir, err := fs.Sub(migrations, s.dir)
	if err != nil {
		return nil, 0, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, 0, err
	}
	sources := provider.ListSources()
	return provider, sources[len(sources)-1].Version, nil
}

// version is the schema version of a file, 0 for a new one. It spares a file
// that is up to date goose's own bookkeeping each time it is opened.
func version(ctx context.Context, db *sql.DB) (int64, error) {
	var tables int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'goose_db_version'`).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	var v int64
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&v)
	return v, errors.Join(err)
}
