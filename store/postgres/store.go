// Package postgres keeps a platform in a PostgreSQL database: a schema platform,
// and one schema for each tenant, each owned by a role of its own. It implements
// core's Store and carries dire's plans out; it decides nothing about devices,
// tenants or identities.
//
// A transaction works under the role and the search path of one schema, so no
// query here names a schema or has a tenant in it, and PostgreSQL itself refuses
// what reaches for another. Any number of processes may share the database.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/store/relational"
)

// Options tune a Store. The zero value means the defaults.
type Options struct {
	// Connections bounds how many connections are open at once, 24 unless set
	// here or by pool_max_conns in the URL.
	Connections int32
	// Patience bounds how long a transaction is tried again while the server
	// restarts, 20 s unless set.
	Patience time.Duration
	// MustExist refuses a database that holds no platform's schema, with
	// core.ErrNotFound, instead of making one.
	MustExist bool
	// StatementTimeout bounds one statement, a minute unless set.
	StatementTimeout time.Duration
	// Password, if set, is asked for at each connection, so that one that is
	// changed outside is taken without a restart. The URL must hold none.
	Password func() (string, error)

	// tracer may watch what is sent.
	tracer pgx.QueryTracer
	// platform is the name of the platform's schema, "platform" unless set.
	platform string
}

const (
	defaultConnections      = 24
	defaultPatience         = 20 * time.Second
	defaultStatementTimeout = time.Minute
)

// Store is a core.Store in a database.
type Store struct {
	opts   Options
	config *pgx.ConnConfig
	pool   *pgxpool.Pool
	// database is the number of the database on its server.
	database uint32
	// self tells this process's notices from others'.
	self     string
	platform *schema

	mu sync.Mutex
	// tenants are the schemas found to be there and up to date.
	tenants map[uuid.UUID]*schema
	closed  bool
}

var _ core.Store = (*Store)(nil)

// Open opens the store in the database of a URL and brings its platform schema
// up to date, making it if it is missing. Tenants' schemas are brought up to
// date as they are opened.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	s, err := connect(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	if err := s.ensurePlatform(ctx); err != nil {
		s.pool.Close()
		return nil, s.notOpened(err)
	}
	return s, nil
}

// connect reaches a database and looks at nothing in it.
func connect(ctx context.Context, url string, opts Options) (*Store, error) {
	opts.Patience = cmp.Or(opts.Patience, defaultPatience)
	opts.StatementTimeout = cmp.Or(opts.StatementTimeout, defaultStatementTimeout)
	opts.platform = cmp.Or(opts.platform, "platform")
	config, err := configure(url, opts)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, config: config.ConnConfig, self: uuid.NewString(), tenants: map[uuid.UUID]*schema{}}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := s.identify(ctx); err != nil {
		s.pool.Close()
		return nil, s.notOpened(err)
	}
	return s, nil
}

// identify learns which database it is.
func (s *Store) identify(ctx context.Context) error {
	if err := s.pool.QueryRow(ctx, `SELECT oid FROM pg_database WHERE datname = current_database()`).Scan(&s.database); err != nil {
		return err
	}
	s.platform = s.schema("platform", s.opts.platform, platformLock)
	return nil
}

// notOpened says what is wrong with a database, to who may mend it.
func (s *Store) notOpened(err error) error {
	if lost(err) {
		return &core.Error{Code: codes.Unavailable, Message: fmt.Sprintf(
			"open database %s: it cannot be reached: %s", s.Name(), strings.Join(strings.Fields(err.Error()), " "))}
	}
	if readOnly(err) {
		return &core.Error{Code: codes.Unavailable, Message: fmt.Sprintf("open database %s: it takes no writes: %s", s.Name(), core.ReadOnlyAdvice)}
	}
	return fmt.Errorf("open database %s: %w", s.Name(), err)
}

// Name is the host and the name of the database, for people.
func (s *Store) Name() string { return name(s.config) }

func (s *Store) ensurePlatform(ctx context.Context) error {
	found, err := s.find(ctx, s.platform)
	switch {
	case err != nil:
		return err
	case !found && s.opts.MustExist:
		return core.ErrNotFound
	case !found:
		if err := s.create(ctx, s.platform); err != nil {
			return err
		}
	}
	return s.migrate(ctx, s.platform)
}

// Platform returns the handle of the platform's schema.
func (s *Store) Platform() core.PlatformStore { return platformStore{s} }

// Tenant returns the handle of a tenant's schema, or core.ErrNotFound.
func (s *Store) Tenant(ctx context.Context, id uuid.UUID) (core.TenantStore, error) {
	if _, err := s.tenant(ctx, id); err != nil {
		return nil, fmt.Errorf("open tenant %s: %w", id, err)
	}
	return tenantStore{s, id}, nil
}

// tenant is a tenant's schema, looked for unless it was found before.
func (s *Store) tenant(ctx context.Context, id uuid.UUID) (*schema, error) {
	s.mu.Lock()
	known, closed := s.tenants[id], s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case known != nil:
		return known, nil
	}
	target := s.tenantSchema(id)
	found, err := s.find(ctx, target)
	if err == nil && !found {
		err = core.ErrNotFound
	}
	if err == nil {
		err = s.migrate(ctx, target)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.tenants[id]; known != nil {
		return known, nil
	}
	s.tenants[id] = target
	return target, nil
}

var errClosed = errors.New("store is closed")

// forget has the next use of a tenant look for its schema again.
func (s *Store) forget(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tenants, id)
}

// CreateTenant makes a tenant's role and schema unless they are there, and
// returns its handle.
func (s *Store) CreateTenant(ctx context.Context, id uuid.UUID) (core.TenantStore, error) {
	if err := s.create(ctx, s.tenantSchema(id)); err != nil {
		return nil, fmt.Errorf("create tenant %s: %w", id, unavailable(err))
	}
	return s.Tenant(ctx, id)
}

// DropTenant waits for what writes to a tenant's schema and drops it with its
// role.
func (s *Store) DropTenant(ctx context.Context, id uuid.UUID) error {
	s.forget(id)
	if err := s.drop(ctx, s.tenantSchema(id)); err != nil {
		return fmt.Errorf("drop tenant %s: %w", id, unavailable(err))
	}
	return nil
}

// Close waits for the transactions under way and closes every connection.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.pool.Close()
	return nil
}

// tenantStore is a handle on a tenant's schema.
type tenantStore struct {
	store *Store
	id    uuid.UUID
}

func (t tenantStore) View(ctx context.Context, fn func(core.TenantTx) error) error {
	return t.with(ctx, func(target *schema) error {
		return t.store.view(ctx, target, func(s *session) error { return fn(relational.NewTenant(s)) })
	})
}

func (t tenantStore) Update(ctx context.Context, fn func(core.TenantTx) error) error {
	return t.with(ctx, func(target *schema) error {
		return t.store.update(ctx, target, func(s *session) error { return fn(relational.NewTenant(s)) })
	})
}

// with gives fn the tenant's schema. One that another process has dropped since
// it was found is core.ErrNotFound.
func (t tenantStore) with(ctx context.Context, fn func(*schema) error) error {
	target, err := t.store.tenant(ctx, t.id)
	if err == nil {
		if err = fn(target); isGone(err) {
			t.store.forget(t.id)
			err = fmt.Errorf("%w: %w", core.ErrNotFound, err)
		}
	}
	if err != nil && errors.Is(err, core.ErrNotFound) {
		return fmt.Errorf("open tenant %s: %w", t.id, err)
	}
	return err
}
