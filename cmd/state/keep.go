package state

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"edgesync/cmd/cmdutil"
	"edgesync/core"
	"edgesync/store/dump"
	"edgesync/store/postgres"
	"edgesync/store/sqlite"
)

// keeper is a store of any kind as its own upkeep needs it. The zero id is the
// platform's.
type keeper interface {
	core.Store
	Version(ctx context.Context, tenant uuid.UUID) (int64, error)
	Check(ctx context.Context, tenant uuid.UUID) ([]string, error)
	Strays(ctx context.Context, known []uuid.UUID) ([]string, error)
	Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error
}

var (
	_ keeper = (*sqlite.Store)(nil)
	_ keeper = (*postgres.Store)(nil)
)

// Part is a part of a store: the platform's, or one tenant's.
type Part struct {
	// Tenant is empty for the platform's.
	Tenant string
	ID     uuid.UUID
	// Version is that of its schema.
	Version int64
	// Problems are what a check found.
	Problems []string
	// Rows and Hash are what was copied, over all tables.
	Rows int64
	Hash string
}

// Upkeep is the store of a state directory while no platform runs on it here.
type Upkeep struct {
	// Observe, if it is set, is told how far the work has come.
	Observe func(Step)

	state *State
	opts  Options
	store keeper
}

// Step is how far the upkeep has come.
type Step struct {
	// Part is what is worked on, the Nth of Parts, from 1.
	Part     Part
	N, Parts int
	// Phase is what is done to it, and Rows are how many of Total were. Total is 0
	// while it is not known.
	Phase       string
	Rows, Total int64
}

// OpenStore takes a state directory and opens its store, which brings the
// platform's schema up to date. A serve that runs there is not disturbed: it is
// refused.
func OpenStore(ctx context.Context, opts Options) (*Upkeep, error) {
	s, err := Open(ctx, opts)
	if err != nil {
		return nil, err
	}
	store, ok := s.store.(keeper)
	if !ok {
		return nil, errors.Join(fmt.Errorf("keep store: a %T cannot be", s.store), s.Close())
	}
	return &Upkeep{state: s, opts: opts, store: store}, nil
}

// Close gives the directory back.
func (u *Upkeep) Close() error { return u.state.Close() }

// parts are the platform's part and every tenant's.
func parts(ctx context.Context, store core.Store) ([]Part, error) {
	found := []Part{{}}
	err := store.Platform().View(ctx, func(tx core.PlatformTx) error {
		found = found[:1]
		tenants, err := tx.Tenants(ctx)
		for _, tenant := range tenants {
			if tenant.State != core.TenantRemoving {
				found = append(found, Part{Tenant: tenant.Slug, ID: tenant.ID})
			}
		}
		return err
	})
	return found, err
}

// each visits every part and collects them. One that has no store is an error,
// unless that is what is looked for.
func (u *Upkeep) each(ctx context.Context, gaps bool, visit func(*Part) error) ([]Part, error) {
	all, err := parts(ctx, u.store)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	for i := range all {
		part := &all[i]
		u.tell(Step{Part: *part, N: i + 1, Parts: len(all)})
		if part.ID != uuid.Nil {
			// Opening a tenant brings its schema up to date.
			_, err := u.store.Tenant(ctx, part.ID)
			if gaps && errors.Is(err, core.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		if part.Version, err = u.store.Version(ctx, part.ID); err != nil {
			return nil, err
		}
		if err := visit(part); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (u *Upkeep) tell(s Step) {
	if u.Observe != nil {
		u.Observe(s)
	}
}

// Migrate brings every tenant's schema up to date.
func (u *Upkeep) Migrate(ctx context.Context) ([]Part, error) {
	return u.each(ctx, false, func(*Part) error { return nil })
}

// Check looks for what should never be in a store.
func (u *Upkeep) Check(ctx context.Context) ([]Part, error) {
	all, err := u.each(ctx, true, func(part *Part) (err error) {
		part.Problems, err = u.store.Check(ctx, part.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = core.Audit(ctx, u.store, u.state.keyset, func(tenant uuid.UUID, problems []string) error {
		if i := slices.IndexFunc(all, func(part Part) bool { return part.ID == tenant }); i >= 0 {
			all[i].Problems = append(all[i].Problems, problems...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var known []uuid.UUID
	for _, part := range all[1:] {
		known = append(known, part.ID)
	}
	strays, err := u.store.Strays(ctx, known)
	for _, stray := range strays {
		all[0].Problems = append(all[0].Problems, stray+" belongs to no tenant")
	}
	return all, err
}

// Copy copies the store into an empty database, compares what arrived with what
// was sent, and has the directory use the database from then on. The platform's
// part is last: a copy that was cut short is no platform, and is begun anew.
func (u *Upkeep) Copy(ctx context.Context, database string) ([]Part, error) {
	if kept, err := readSettings(u.opts.Dir); err != nil || kept.Database != "" {
		return nil, errors.Join(err, cmdutil.Errorf(cmdutil.ExitConflict, "copy store: the platform is in database %s already", kept.Database))
	}
	into, err := postgres.Open(ctx, database, postgres.Options{Password: u.opts.Password})
	if err != nil {
		return nil, err
	}
	defer into.Close()
	if err := refuseFilled(ctx, into); err != nil {
		return nil, err
	}
	var platform *Part
	all, err := u.each(ctx, false, func(part *Part) error {
		if part.ID == uuid.Nil {
			platform = part
			return nil
		}
		return u.copyPart(ctx, into, part)
	})
	if err == nil {
		err = u.copyPart(ctx, into, platform)
	}
	if err != nil {
		return nil, err
	}
	kept, err := readSettings(u.opts.Dir)
	if err == nil {
		kept.Database = postgres.Redact(database)
		err = writeSettings(u.opts.Dir, kept)
	}
	return all, err
}

// refuseFilled refuses a database that holds a platform.
func refuseFilled(ctx context.Context, into *postgres.Store) error {
	err := into.Platform().View(ctx, func(tx core.PlatformTx) error {
		_, err := tx.Platform(ctx)
		return err
	})
	switch {
	case errors.Is(err, core.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return cmdutil.Errorf(cmdutil.ExitConflict, "copy store: database %s holds a platform: name an empty one", into.Name())
}

// copyPart copies one part and compares.
func (u *Upkeep) copyPart(ctx context.Context, into *postgres.Store, part *Part) error {
	if part.ID != uuid.Nil {
		// What an attempt that was cut short left.
		if err := into.DropTenant(ctx, part.ID); err != nil {
			return err
		}
		if _, err := into.CreateTenant(ctx, part.ID); err != nil {
			return err
		}
	}
	sent, err := sums(ctx, u.store, part.ID, u.counting(*part, "reading", 0))
	if err != nil {
		return fmt.Errorf("sum %s: %w", part.name(), err)
	}
	rows := int64(0)
	for _, sum := range sent {
		rows += sum.Rows
	}
	copying := u.counting(*part, "copying", rows)
	err = into.Load(ctx, part.ID, func(visit func(dump.Table) error) error {
		return u.store.Dump(ctx, part.ID, func(table dump.Table) error { return visit(copying(table)) })
	})
	if err != nil {
		return fmt.Errorf("copy %s: %w", part.name(), err)
	}
	arrived, err := sums(ctx, into, part.ID, u.counting(*part, "comparing", rows))
	if err != nil {
		return fmt.Errorf("sum the copy of %s: %w", part.name(), err)
	}
	if err := sent.Compare(arrived); err != nil {
		return fmt.Errorf("copy %s: %w", part.name(), err)
	}
	total := sent.Total()
	part.Rows, part.Hash = total.Rows, total.Hash()
	return nil
}

func (p *Part) name() string {
	if p.ID == uuid.Nil {
		return "the platform's part"
	}
	return "tenant " + p.Tenant
}

// countedAtOnce is how many rows pass between two tellings of them.
const countedAtOnce = 1000

// counting tells of a part's rows as they are read.
func (u *Upkeep) counting(part Part, phase string, total int64) func(dump.Table) dump.Table {
	step := Step{Part: part, Phase: phase, Total: total}
	u.tell(step)
	return func(table dump.Table) dump.Table {
		next := table.Next
		table.Next = func() ([]any, error) {
			row, err := next()
			if row != nil {
				step.Rows++
			}
			if row == nil || step.Rows%countedAtOnce == 0 {
				u.tell(step)
			}
			return row, err
		}
		return table
	}
}

func sums(ctx context.Context, store keeper, tenant uuid.UUID, counting func(dump.Table) dump.Table) (dump.Sums, error) {
	return dump.SumsOf(func(visit func(dump.Table) error) error {
		return store.Dump(ctx, tenant, func(table dump.Table) error { return visit(counting(table)) })
	})
}
