package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"edgesync/core"
	"edgesync/store/dump"
	"edgesync/store/relational"
)

// dropLock is shared by snapshots under way, and taken whole by who drops a
// tenant's schema: what a snapshot is yet to read must not go.
const dropLock = 0x6564676564726f70

// Snapshot is every schema of a database as of one moment, while processes go on
// serving it: one transaction that reads one schema after the other, under the
// role of each. It migrates nothing and changes nothing.
type Snapshot struct {
	store    *Store
	conn     *pgxpool.Conn
	tx       pgx.Tx
	platform dump.Platform
	parts    []dump.Part
}

// OpenSnapshot takes a snapshot of the platform in the database of a URL.
// core.ErrNotFound says that there is none.
func OpenSnapshot(ctx context.Context, url string, opts Options) (*Snapshot, error) {
	store, err := connect(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{store: store}
	if err := s.take(ctx); err != nil {
		return nil, errors.Join(store.notOpened(err), s.Close())
	}
	return s, nil
}

func (s *Snapshot) take(ctx context.Context) (err error) {
	if found, err := s.store.find(ctx, s.store.platform); err != nil || !found {
		return errors.Join(err, core.ErrNotFound)
	}
	if s.conn, err = s.store.pool.Acquire(ctx); err != nil {
		return err
	}
	// A lock that is waited for belongs before the snapshot, which the first
	// statement takes that reads.
	if _, err := s.conn.Exec(ctx, `SELECT pg_advisory_lock_shared($1)`, int64(dropLock)); err != nil {
		return err
	}
	s.tx, err = s.conn.BeginTx(ctx, pgx.TxOptions{
		BeginQuery: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = 0; ` + takeTime,
	})
	if err != nil {
		return err
	}
	if err := s.enter(ctx, s.store.platform); err != nil {
		return err
	}
	if err := s.list(ctx); err != nil {
		return err
	}
	for i := range s.parts {
		target, err := s.schema(ctx, s.parts[i].Tenant)
		if err == nil {
			err = s.enter(ctx, target)
		}
		if err == nil {
			s.parts[i].Version, err = version(ctx, s.session())
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", s.parts[i].Name(), err)
		}
	}
	return nil
}

func (s *Snapshot) session() *session { return &session{tx: s.tx} }

// enter has what follows work in a schema under the role that owns it.
func (s *Snapshot) enter(ctx context.Context, target *schema) error {
	_, err := s.tx.Exec(ctx, `SET LOCAL ROLE `+quote(target.role)+`; SET LOCAL search_path = `+quote(target.name))
	return err
}

func (s *Snapshot) schema(ctx context.Context, tenant uuid.UUID) (*schema, error) {
	if tenant == uuid.Nil {
		return s.store.platform, nil
	}
	target := s.store.tenantSchema(tenant)
	found, err := s.store.find(ctx, target)
	if err == nil && !found {
		err = core.ErrNotFound
	}
	return target, err
}

// list reads whose platform it is and which tenants it has. It asks only for what
// a schema of any version has.
func (s *Snapshot) list(ctx context.Context) error {
	err := relational.One(ctx, s.session(), `SELECT tenant_id, slug, trust_domain FROM platform`, nil,
		relational.ScanID(&s.platform.TenantID), &s.platform.Slug, &s.platform.TrustDomain)
	if err != nil {
		return fmt.Errorf("read platform: %w", err)
	}
	tenants, err := relational.All(ctx, s.session(), func(row scanner) (tenant dump.Part, err error) {
		return tenant, row.Scan(relational.ScanID(&tenant.Tenant), &tenant.Slug)
	}, `SELECT id, slug FROM tenant WHERE state <> $1 ORDER BY slug`, string(core.TenantRemoving))
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	s.parts = append([]dump.Part{{Slug: s.platform.Slug}}, tenants...)
	return nil
}

// Platform is whose snapshot it is.
func (s *Snapshot) Platform() dump.Platform { return s.platform }

// Parts are the platform's part, and those of the tenants that were not being
// removed.
func (s *Snapshot) Parts() []dump.Part { return s.parts }

// Dump hands out every table of a part. visit must read each before it returns.
func (s *Snapshot) Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error {
	target, err := s.schema(ctx, tenant)
	if err != nil {
		return fmt.Errorf("dump tenant %s: %w", tenant, err)
	}
	if err := s.enter(ctx, target); err != nil {
		return fmt.Errorf("dump schema %s: %w", target.name, err)
	}
	w := s.session()
	before, err := version(ctx, w)
	if err == nil {
		err = w.dumpAll(ctx, visit)
	}
	if err != nil {
		return err
	}
	// Rows are of the snapshot's moment, but the shape of tables is of now.
	if now, err := s.store.version(ctx, target); err != nil || now != before {
		return errors.Join(err, fmt.Errorf("dump schema %s: it was migrated from version %d to %d meanwhile: begin anew", target.name, before, now))
	}
	return nil
}

// Close lets the database go.
func (s *Snapshot) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), unlockDeadline)
	defer cancel()
	var err error
	if s.tx != nil {
		err = s.tx.Rollback(ctx)
		if errors.Is(err, pgx.ErrTxClosed) {
			err = nil
		}
	}
	if s.conn != nil {
		// The lock goes with the connection.
		err = errors.Join(err, s.conn.Conn().Close(ctx))
		s.conn.Release()
	}
	return errors.Join(err, s.store.Close())
}
