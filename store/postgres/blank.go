package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/core"
	"edgesync/store/dump"
	"edgesync/store/relational"
)

// stagingSchema is the platform's schema while a store is being filled.
const stagingSchema = "platform_restoring"

// Blank is a store that is being filled, in a database that holds none. The
// platform's schema has another name until Commit, and nothing counts without it;
// what a process that was killed left of one is cleared away by the next.
type Blank struct {
	url   string
	opts  Options
	store *Store
	// filled is store as one that can be used, once all is there.
	filled *Store
	done   bool
}

// NewBlank begins a store in the database of a URL. One that holds a store already
// is refused with core.ErrConflict.
func NewBlank(ctx context.Context, url string, opts Options) (*Blank, error) {
	opts.platform = stagingSchema
	store, err := connect(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	b := &Blank{url: url, opts: opts, store: store}
	if err := b.begin(ctx); err != nil {
		return nil, errors.Join(store.notOpened(err), store.Close())
	}
	return b, nil
}

func (b *Blank) begin(ctx context.Context) error {
	if filled, err := b.isFilled(ctx); err != nil || filled {
		return errors.Join(err, core.ErrConflict)
	}
	begun, err := b.store.find(ctx, b.store.platform)
	if err != nil {
		return err
	}
	left, err := b.store.tenantsThere(ctx)
	if err != nil {
		return err
	}
	if !begun && len(left) > 0 {
		return fmt.Errorf("it holds schemas of tenants: %w", core.ErrConflict)
	}
	for _, tenant := range left {
		if err := b.store.DropTenant(ctx, tenant); err != nil {
			return err
		}
	}
	if begun {
		if err := b.store.drop(ctx, b.store.platform); err != nil {
			return err
		}
	}
	// From here on tenants' schemas are known to be of this.
	b.store.platform = b.store.schema("platform", stagingSchema, platformLock)
	return b.store.create(ctx, b.store.platform)
}

// isFilled tells whether there is a platform. A schema that nobody has
// bootstrapped is none.
func (b *Blank) isFilled(ctx context.Context) (bool, error) {
	home := b.store.schema("platform", "platform", platformLock)
	found, err := b.store.find(ctx, home)
	if err != nil || !found {
		return false, err
	}
	if at, err := b.store.version(ctx, home); err != nil || at == 0 {
		return false, err
	}
	filled := false
	err = b.store.view(ctx, home, func(w *session) error {
		return relational.One(ctx, w, `SELECT EXISTS (SELECT 1 FROM platform) OR EXISTS (SELECT 1 FROM tenant)`, nil, &filled)
	})
	return filled, err
}

// Load makes a part as it was in a version of its schema, fills its tables,
// brings it up to date, and returns the sums of what arrived.
func (b *Blank) Load(ctx context.Context, part dump.Part, from dump.Source) (arrived dump.Sums, err error) {
	target := b.store.platform
	if part.Tenant != uuid.Nil {
		target = b.store.tenantSchema(part.Tenant)
		if err := b.store.create(ctx, target); err != nil {
			return nil, err
		}
	}
	if err := b.store.migrateTo(ctx, target, part.Version); err != nil {
		return nil, err
	}
	read := false
	err = b.store.update(ctx, target, func(w *session) error {
		if read { // What it is read from is read once.
			return errors.New("the connection was lost on the way")
		}
		read = true
		if err := w.loadAll(ctx, from); err != nil {
			return err
		}
		arrived, err = dump.SumsOf(func(visit func(dump.Table) error) error { return w.dumpAll(ctx, visit) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return arrived, b.store.migrate(ctx, target)
}

// Open opens what was filled, for what is still to be changed in it.
func (b *Blank) Open(ctx context.Context) (core.Store, error) {
	if b.filled != nil {
		return b.filled, nil
	}
	opts := b.opts
	opts.MustExist = true
	filled, err := Open(ctx, b.url, opts)
	if err != nil {
		return nil, err
	}
	b.filled = filled
	return filled, nil
}

// Commit gives the platform's schema its name, which is what makes the store one.
func (b *Blank) Commit(ctx context.Context) error {
	filled, err := b.isFilled(ctx)
	if err == nil && filled {
		err = core.ErrConflict
	}
	home := b.store.schema("platform", "platform", platformLock)
	if err == nil {
		// Whoever only looked may have made an empty one meanwhile.
		err = b.store.drop(ctx, home)
	}
	if err == nil {
		err = pgx.BeginFunc(ctx, b.store.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `ALTER ROLE `+quote(b.store.platform.role)+` RENAME TO `+quote(home.role)+`;
				ALTER SCHEMA `+quote(b.store.platform.name)+` RENAME TO `+quote(home.name))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("commit store in database %s: %w", b.store.Name(), unavailable(err))
	}
	b.done = true
	return b.close()
}

func (b *Blank) close() error {
	var err error
	for _, store := range []*Store{b.filled, b.store} {
		if store != nil {
			err = errors.Join(err, store.Close())
		}
	}
	b.filled, b.store = nil, nil
	return err
}

// Discard leaves the database without a store. After Commit it does nothing.
func (b *Blank) Discard() error {
	if b.store == nil {
		return nil
	}
	if b.done {
		return b.close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), discardDeadline)
	defer cancel()
	left, err := b.store.tenantsThere(ctx)
	for _, tenant := range left {
		if err == nil {
			err = b.store.DropTenant(ctx, tenant)
		}
	}
	if err == nil {
		err = b.store.drop(ctx, b.store.platform)
	}
	return errors.Join(err, b.close())
}
