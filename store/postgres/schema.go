package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// schema is where a transaction works: a schema and the role that owns it.
type schema struct {
	// kind is "platform" or "tenant".
	kind string
	name string
	// role is what owns the schema. Its name has the number of the database in it,
	// because roles belong to all databases of a server.
	role string
	// lock is the advisory lock of whoever writes to the schema.
	lock int64
	// turn holds one token: who has it in this process may wait for the lock, so
	// that the others do not each hold a connection while they wait.
	turn chan struct{}
	// swept is when this process last cleared old marks of commits away; whoever
	// has the turn may use it.
	swept time.Time
	// tenant is zero for the platform.
	tenant uuid.UUID
}

// platformLock and the numbers of tenants are advisory locks of one database.
const platformLock = 0x6564676573796e63

func (s *Store) schema(kind, name string, lock int64) *schema {
	return &schema{
		kind: kind, name: name, role: fmt.Sprintf("edgesync_%d_%s", s.database, name),
		lock: lock, turn: make(chan struct{}, 1),
	}
}

func (s *Store) tenantSchema(id uuid.UUID) *schema {
	target := s.schema("tenant", "tenant_"+strings.ReplaceAll(id.String(), "-", ""), int64(binary.BigEndian.Uint64(id[:8])))
	target.tenant = id
	return target
}

// find tells whether a schema is there, and learns who owns it: a database that
// was restored elsewhere keeps the names of its roles.
func (s *Store) find(ctx context.Context, target *schema) (bool, error) {
	var owner string
	err := s.again(ctx, func() error {
		return s.pool.QueryRow(ctx, `SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = $1`, target.name).Scan(&owner)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find schema %s: %w", target.name, err)
	}
	target.role = owner
	return true, nil
}

// create makes a role and its schema unless they are there.
func (s *Store) create(ctx context.Context, target *schema) error {
	return s.again(ctx, func() error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, target.lock); err != nil {
				return err
			}
			var schemas, roles int
			err := tx.QueryRow(ctx, `
				SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1), (SELECT count(*) FROM pg_roles WHERE rolname = $2)`,
				target.name, target.role).Scan(&schemas, &roles)
			if err != nil || schemas > 0 {
				return err
			}
			if roles == 0 {
				if _, err := tx.Exec(ctx, `CREATE ROLE `+quote(target.role)+` NOLOGIN NOINHERIT`); err != nil {
					return explain(err, "make a role", "CREATEROLE")
				}
			}
			if _, err := tx.Exec(ctx, `GRANT `+quote(target.role)+` TO CURRENT_USER`); err != nil {
				return explain(err, "join a role", "CREATEROLE")
			}
			if _, err := tx.Exec(ctx, `CREATE SCHEMA `+quote(target.name)+` AUTHORIZATION `+quote(target.role)); err != nil {
				return explain(err, "make a schema", "CREATE on the database")
			}
			return nil
		})
	})
}

// explain says which right is missing.
func explain(err error, what, right string) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42501" {
		return fmt.Errorf("%s: the database user may not: give it %s: %w", what, right, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// drop drops a schema and its role. It waits for who writes, like any writer,
// and for as long as snapshots are under way.
func (s *Store) drop(ctx context.Context, target *schema) error {
	found, err := s.find(ctx, target)
	if err != nil {
		return err
	}
	return s.again(ctx, func() error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0`); err != nil {
				return err
			}
			for _, lock := range []int64{dropLock, target.lock} {
				if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, lock); err != nil {
					return err
				}
			}
			if found {
				if _, err := tx.Exec(ctx, `DROP SCHEMA IF EXISTS `+quote(target.name)+` CASCADE`); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, `DROP ROLE IF EXISTS `+quote(target.role))
			return err
		})
	})
}

// Lock waits until no other process, and nobody in this one, holds the lock of a
// name, and takes it. It is free again after unlock, or when this process ends.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, unavailable(err))
	}
	const key = `hashtextextended($1, 7309453562)`
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(`+key+`)`, name); err != nil {
		conn.Release()
		return nil, fmt.Errorf("lock %s: %w", name, caused(ctx, err))
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockDeadline)
		defer cancel()
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock(`+key+`)`, name); err != nil {
			// The lock goes with its connection.
			_ = conn.Conn().Close(ctx)
		}
		conn.Release()
	}, nil
}

const (
	unlockDeadline = 5 * time.Second
	// discardDeadline bounds the clearing away of what was not finished.
	discardDeadline = time.Minute
)

// isGone tells that a schema or its role is not there any more.
func isGone(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "42704", // undefined_object: the role
		"3F000", // invalid_schema_name
		"42P01": // undefined_table
		return true
	}
	// SET ROLE to one that is not there.
	return e.Code == "22023" && strings.HasPrefix(e.Message, "role ")
}
