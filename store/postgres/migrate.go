package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"edgesync/store/migration"
	"edgesync/store/relational"
)

//go:embed migrations
var migrations embed.FS

var migrating = migration.Dialect{
	Goose: goose.DialectPostgres,
	Begun: `SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'goose_db_version')`,
}

// migrationsOf are those of a kind of schema.
func migrationsOf(kind string) (migration.Set, error) {
	return migration.Of(migrating, migrations, path.Join("migrations", kind))
}

func kindOf(platform bool) string {
	if platform {
		return "platform"
	}
	return "tenant"
}

// migrate brings a schema up to date, one process at a time. It refuses one that
// a newer program wrote.
func (s *Store) migrate(ctx context.Context, target *schema) error {
	set, err := migrationsOf(target.kind)
	if err != nil {
		return err
	}
	current, err := s.version(ctx, target)
	if err != nil {
		return err
	}
	switch latest := set.Latest(); {
	case current == latest:
		return nil
	case current > latest:
		return fmt.Errorf("read schema %s: it has version %d and this program knows %d: run the newer program that wrote it", target.name, current, latest)
	}
	return s.migrateTo(ctx, target, set.Latest())
}

// Latest is the version that this program knows of the platform's schema, or of a
// tenant's.
func Latest(platform bool) (int64, error) {
	set, err := migrationsOf(kindOf(platform))
	if err != nil {
		return 0, err
	}
	return set.Latest(), nil
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

// migrateTo brings a schema up to a version, on a connection of its own that holds
// the writer's lock all the while, and the schema's role and search path, so that
// goose keeps its books in the schema, too.
func (s *Store) migrateTo(ctx context.Context, target *schema, version int64) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate schema %s: %w", target.name, err)
		}
	}()
	set, err := migrationsOf(target.kind)
	if err != nil {
		return err
	}
	config := s.config.Copy()
	if err := s.opts.ask(config); err != nil {
		return err
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
			SELECT pg_advisory_lock(`+strconv.FormatInt(target.lock, 10)+`);
			SET ROLE `+quote(target.role)+`; SET search_path = `+quote(target.name))
		return err
	}))
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return set.UpTo(ctx, db, version)
}
