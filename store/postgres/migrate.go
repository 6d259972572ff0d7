package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"edgesync/store/dump"
	"edgesync/store/relational"
)

//go:embed migrations
var migrations embed.FS

// latest is the version that this program knows of a kind of schema.
func latest(kind string) (int64, error) {
	known, err := dump.Versions(migrations, path.Join("migrations", kind))
	if err != nil {
		return 0, err
	}
	return known[len(known)-1], nil
}

// migrate brings a schema up to date, one process at a time. It refuses one that
// a newer program wrote. Each migration is a transaction, so a crash in between
// is made good by the next opening.
func (s *Store) migrate(ctx context.Context, target *schema) error {
	known, err := latest(target.kind)
	if err != nil {
		return err
	}
	current, err := s.version(ctx, target)
	if err != nil || current == known {
		return err
	}
	if current > known {
		return fmt.Errorf("read schema %s: it has version %d and this program knows %d: run the newer program that wrote it", target.name, current, known)
	}
	return s.migrateTo(ctx, target, known)
}

// migrateTo brings a schema up to a version. One beyond the latest of this kind of
// store is the latest: another kind may have had a step of its own.
func (s *Store) migrateTo(ctx context.Context, target *schema, version int64) error {
	known, err := latest(target.kind)
	if err != nil {
		return err
	}
	if err := s.up(ctx, target, min(version, known)); err != nil {
		return fmt.Errorf("migrate schema %s: %w", target.name, err)
	}
	return nil
}

// Latest is the version that this program knows of the platform's schema, or of a
// tenant's.
func Latest(platform bool) (int64, error) {
	if platform {
		return latest("platform")
	}
	return latest("tenant")
}

// version is the version of a schema, 0 for a new one.
func (s *Store) version(ctx context.Context, target *schema) (int64, error) {
	var v int64
	err := s.view(ctx, target, func(w *session) (err error) {
		v, err = version(ctx, w)
		return err
	})
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42P01" { // undefined_table
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read version of schema %s: %w", target.name, err)
	}
	return v, nil
}

func version(ctx context.Context, w *session) (v int64, err error) {
	err = relational.One(ctx, w, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`, nil, &v)
	return v, err
}

// up runs the migrations on a connection of its own that holds the writer's lock
// all the while, and the schema's role and search path, so that goose keeps its
// books in the schema, too.
func (s *Store) up(ctx context.Context, target *schema, version int64) (err error) {
	dir, err := fs.Sub(migrations, path.Join("migrations", target.kind))
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*s.config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
			SELECT pg_advisory_lock(`+strconv.FormatInt(target.lock, 10)+`);
			SET ROLE `+quote(target.role)+`; SET search_path = `+quote(target.name))
		return err
	}))
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return migrateWith(ctx, db, dir, version)
}

func migrateWith(ctx context.Context, db *sql.DB, dir fs.FS, version int64) error {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}
