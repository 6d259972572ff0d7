// Package sqlite keeps a platform in SQLite files: platform.db, and one file
// for each tenant under tenants/. It implements core's Store and carries dire's
// plans out; it decides nothing about devices, tenants or identities.
//
// A tenant's rows are reached only through the file its id names, so no query
// here has a tenant in it. One process owns the directory: its caller holds a
// lock on it.
package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/store/relational"
)

// Options tune a Store. The zero value means the defaults.
type Options struct {
	// OpenTenants is how many tenants' files stay open while nobody uses them,
	// 128 unless set. One in use is never closed for this.
	OpenTenants int
	// BusyTimeout is how long one attempt waits for another process that holds
	// a file's lock, 5 s unless set.
	BusyTimeout time.Duration

	// wrap may put itself between a connection and its user.
	wrap func(driver.Conn) driver.Conn
	// gate is the directory's.
	gate *gate
	// cacheKiB is how much of a file a connection keeps in memory, 16 MiB unless
	// set.
	cacheKiB int
}

const (
	defaultOpenTenants = 128
	defaultBusyTimeout = 5 * time.Second
)

// Store is a core.Store in a directory.
type Store struct {
	dir      string
	opts     Options
	platform *database
	tenants  *pool
	locks    locks
}

var _ core.Store = (*Store)(nil)

// Open opens the store in dir and brings platform.db up to date, making both if
// they are missing. Tenants' files are brought up to date as they are opened.
func Open(ctx context.Context, dir string, opts Options) (*Store, error) {
	opts.OpenTenants = cmp.Or(opts.OpenTenants, defaultOpenTenants)
	opts.BusyTimeout = cmp.Or(opts.BusyTimeout, defaultBusyTimeout)
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tenants"), 0o700); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if err := clearUnfinished(dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	path := filepath.Join(dir, "platform.db")
	if err := createFile(path, platformSchema); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	opts.gate = newGate(dir)
	platform, err := openDatabase(ctx, path, platformSchema, opts)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := &Store{dir: dir, opts: opts, platform: platform}
	s.tenants = newPool(opts.OpenTenants, s.openTenant)
	return s, nil
}

// Platform returns the handle of platform.db.
func (s *Store) Platform() core.PlatformStore { return platformStore{s.platform} }

// Tenant returns the handle of a tenant's file, or core.ErrNotFound.
func (s *Store) Tenant(ctx context.Context, id uuid.UUID) (core.TenantStore, error) {
	release, _, err := s.tenants.acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	release()
	return tenantStore{pool: s.tenants, id: id}, nil
}

// CreateTenant makes a tenant's file unless it is there, and returns its handle.
func (s *Store) CreateTenant(ctx context.Context, id uuid.UUID) (core.TenantStore, error) {
	if err := createFile(s.tenantPath(id), tenantSchema); err != nil {
		return nil, fmt.Errorf("create tenant %s: %w", id, told(err))
	}
	return s.Tenant(ctx, id)
}

// DropTenant waits until nobody uses a tenant's file and deletes it.
func (s *Store) DropTenant(ctx context.Context, id uuid.UUID) error {
	err := s.tenants.drop(ctx, id, func() error { return removeFiles(s.tenantPath(id)) })
	if err != nil {
		return fmt.Errorf("drop tenant %s: %w", id, err)
	}
	return nil
}

// Close waits until nobody uses a file and closes all of them.
func (s *Store) Close() error {
	return errors.Join(s.tenants.close(), s.platform.close(), s.opts.gate.close())
}

func (s *Store) tenantPath(id uuid.UUID) string {
	return filepath.Join(s.dir, "tenants", id.String()+".db")
}

// openTenant is how the pool opens a file that it does not hold yet.
func (s *Store) openTenant(ctx context.Context, id uuid.UUID) (*database, error) {
	path := s.tenantPath(id)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open tenant %s: %w", id, core.ErrNotFound)
	} else if err != nil {
		return nil, fmt.Errorf("open tenant %s: %w", id, err)
	}
	db, err := openDatabase(ctx, path, tenantSchema, s.opts)
	if err != nil {
		return nil, fmt.Errorf("open tenant %s: %w", id, err)
	}
	return db, nil
}

// tenantStore is a handle on a tenant's file. The file itself is open only as
// long as the pool keeps it.
type tenantStore struct {
	pool *pool
	id   uuid.UUID
}

func (t tenantStore) View(ctx context.Context, fn func(core.TenantTx) error) error {
	return t.with(ctx, func(db *database) error {
		return db.view(ctx, func(s session) error { return fn(relational.NewTenant(s)) })
	})
}

func (t tenantStore) Update(ctx context.Context, fn func(core.TenantTx) error) error {
	return t.with(ctx, func(db *database) error {
		return db.update(ctx, func(s session) error { return fn(relational.NewTenant(s)) })
	})
}

func (t tenantStore) with(ctx context.Context, fn func(*database) error) error {
	release, db, err := t.pool.acquire(ctx, t.id)
	if err != nil {
		return err
	}
	defer release()
	return fn(db)
}
