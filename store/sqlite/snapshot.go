package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/store/dump"
	"edgesync/store/relational"
)

const (
	// standStill bounds how long writers are kept out, and waited for, at once.
	standStill = 5 * time.Second
	// standStillTries is how often that is tried before it is given up.
	standStillTries = 3
	// snapshotCache is small: each table is read once, from its beginning.
	snapshotCache = 2048
)

// Snapshot is every file of a directory as of one moment, while another process
// may have the directory open and go on writing. It migrates nothing and changes
// nothing. Until it is closed the files' logs are kept, so that they grow with
// what is written meanwhile.
type Snapshot struct {
	dir      string
	opts     Options
	platform dump.Platform
	parts    []dump.Part
	files    map[uuid.UUID]*pinned
}

// pinned is one file; tx, once there, is the moment.
type pinned struct {
	db *sql.DB
	tx *sql.Tx
}

func (p *pinned) close() error {
	var err error
	if p.tx != nil {
		err = p.tx.Rollback()
	}
	return errors.Join(err, p.db.Close())
}

// OpenSnapshot takes a snapshot of the platform in dir. core.ErrNotFound says that
// there is none.
func OpenSnapshot(ctx context.Context, dir string, opts Options) (*Snapshot, error) {
	opts.BusyTimeout, opts.cacheKiB = cmp.Or(opts.BusyTimeout, defaultBusyTimeout), snapshotCache
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("take snapshot of %s: %w", dir, err)
	}
	s := &Snapshot{dir: dir, opts: opts, files: map[uuid.UUID]*pinned{}}
	if err := s.take(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("take snapshot of %s: %w", dir, err), s.Close())
	}
	return s, nil
}

func (s *Snapshot) take(ctx context.Context) error {
	if err := s.openFile(uuid.Nil); err != nil {
		return err
	}
	// What takes long is done before anybody has to stand still.
	tenants, err := s.listTenants(ctx, s.files[uuid.Nil].db)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if err := s.openFile(tenant.Tenant); err != nil && !errors.Is(err, core.ErrNotFound) {
			return err
		}
	}
	gate := newGate(s.dir)
	defer gate.close()
	for try := 1; ; try++ {
		err := s.pinAll(ctx, gate)
		if err == nil {
			break
		}
		if try == standStillTries || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	for i := range s.parts {
		if s.parts[i].Version, err = s.version(ctx, s.parts[i].Tenant); err != nil {
			return err
		}
	}
	return nil
}

// pinAll begins a read of every file while nobody writes to any.
func (s *Snapshot) pinAll(ctx context.Context, gate *gate) error {
	still, cancel := context.WithTimeoutCause(ctx, standStill, fmt.Errorf("writers did not stand still within %s: %w", standStill, context.DeadlineExceeded))
	defer cancel()
	open, err := gate.shut(still)
	if err != nil {
		return err
	}
	defer open()
	// The transactions outlive the time in which they are begun.
	if err := s.pin(ctx, s.files[uuid.Nil]); err != nil {
		return err
	}
	tenants, err := s.listTenants(ctx, s.files[uuid.Nil].tx)
	if err != nil {
		return err
	}
	s.parts = []dump.Part{{Slug: s.platform.Slug}}
	for _, tenant := range tenants {
		if still.Err() != nil {
			return context.Cause(still)
		}
		if s.files[tenant.Tenant] == nil {
			if err := s.openFile(tenant.Tenant); err != nil {
				return fmt.Errorf("open tenant %s: %w", tenant.Slug, err)
			}
		}
		if err := s.pin(ctx, s.files[tenant.Tenant]); err != nil {
			return err
		}
		s.parts = append(s.parts, tenant)
	}
	return nil
}

func (s *Snapshot) pin(ctx context.Context, p *pinned) error {
	if p.tx != nil { // Of a try before.
		if err := p.tx.Rollback(); err != nil {
			return err
		}
		p.tx = nil
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin read: %w", err)
	}
	// A transaction sees the moment of its first read.
	var tables int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return errors.Join(fmt.Errorf("begin read: %w", err), tx.Rollback())
	}
	p.tx = tx
	return nil
}

func (s *Snapshot) openFile(tenant uuid.UUID) error {
	path := filepath.Join(s.dir, "platform.db")
	if tenant != uuid.Nil {
		path = filepath.Join(s.dir, "tenants", tenant.String()+".db")
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return core.ErrNotFound
	} else if err != nil {
		return err
	}
	db, err := connect(path, s.opts, true)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	s.files[tenant] = &pinned{db: db}
	return db.Ping()
}

// querier is a file, or a moment of it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// listTenants reads whose platform it is and which tenants it has. It asks only
// for what a file of any version has.
func (s *Snapshot) listTenants(ctx context.Context, q querier) (tenants []dump.Part, err error) {
	err = q.QueryRowContext(ctx, `SELECT tenant_id, slug, trust_domain FROM platform`).Scan(
		relational.ScanID(&s.platform.TenantID), &s.platform.Slug, &s.platform.TrustDomain)
	if err != nil {
		return nil, fmt.Errorf("read platform: %w", classify(err))
	}
	rows, err := q.QueryContext(ctx, `SELECT id, slug FROM tenant WHERE state <> ? ORDER BY slug`, string(core.TenantRemoving))
	err = eachRow(rows, err, func(row scanner) error {
		var tenant dump.Part
		err := row.Scan(relational.ScanID(&tenant.Tenant), &tenant.Slug)
		tenants = append(tenants, tenant)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return tenants, nil
}

func (s *Snapshot) version(ctx context.Context, tenant uuid.UUID) (v int64, err error) {
	err = relational.One(ctx, newSession(s.files[tenant].tx), `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`, nil, &v)
	return v, err
}

// Platform is whose snapshot it is.
func (s *Snapshot) Platform() dump.Platform { return s.platform }

// Parts are the platform's part, and those of the tenants that were not being
// removed.
func (s *Snapshot) Parts() []dump.Part { return s.parts }

// Dump hands out every table of a part. visit must read each before it returns.
func (s *Snapshot) Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error {
	file := s.files[tenant]
	if file == nil || file.tx == nil {
		return fmt.Errorf("dump tenant %s: %w", tenant, core.ErrNotFound)
	}
	session := newSession(file.tx)
	err := session.dumpAll(ctx, visit)
	// Files stay open to the end, and there may be thousands.
	_, freed := session.Exec(ctx, `PRAGMA shrink_memory`)
	return errors.Join(err, freed)
}

// Close lets the files go.
func (s *Snapshot) Close() error {
	var err error
	for tenant, file := range s.files {
		err = errors.Join(err, file.close())
		delete(s.files, tenant)
	}
	return err
}
