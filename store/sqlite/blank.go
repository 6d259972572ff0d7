package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/store/dump"
	"edgesync/store/relational"
)

// StagingDir is where a store is filled, in the directory it will be in. While it is
// there, nothing beside it counts.
const StagingDir = "restoring"

// Blank is a store that is being filled, beside the directory's own place for
// one. Nothing of it counts before Commit; what a process that was killed left of
// one is cleared away by the next.
type Blank struct {
	dir, staging string
	opts         Options
	store        *Store
}

// NewBlank begins a store in dir, which the caller has for itself. A directory
// that holds a store already is refused with core.ErrConflict.
func NewBlank(_ context.Context, dir string, opts Options) (*Blank, error) {
	opts.BusyTimeout = cmp.Or(opts.BusyTimeout, defaultBusyTimeout)
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("fill store %s: %w", dir, err)
	}
	b := &Blank{dir: dir, staging: filepath.Join(dir, StagingDir), opts: opts}
	if err := b.begin(); err != nil {
		return nil, fmt.Errorf("fill store %s: %w", dir, err)
	}
	return b, nil
}

func (b *Blank) begin() error {
	if _, err := os.Lstat(filepath.Join(b.dir, "platform.db")); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(core.ErrConflict, err)
	}
	if CutShort(b.dir) {
		if err := b.Discard(); err != nil {
			return err
		}
	}
	if left, err := os.ReadDir(filepath.Join(b.dir, "tenants")); len(left) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(core.ErrConflict, err)
	}
	if err := os.MkdirAll(filepath.Join(b.staging, "tenants"), 0o700); err != nil {
		return err
	}
	return syncDir(b.dir)
}

// CutShort tells whether the filling of a store in dir was cut short: what is there
// belongs to it.
func CutShort(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, StagingDir))
	return err == nil
}

// Load makes a part as it was in a version of its schema, fills its tables,
// brings it up to date, and returns the sums of what arrived.
func (b *Blank) Load(ctx context.Context, part dump.Part, from dump.Source) (arrived dump.Sums, err error) {
	path, kind := filepath.Join(b.staging, "platform.db"), platformSchema
	if part.Tenant != uuid.Nil {
		path, kind = filepath.Join(b.staging, "tenants", part.Tenant.String()+".db"), tenantSchema
	}
	if err := createEmpty(path); err != nil {
		return nil, err
	}
	write, err := connect(path, b.opts, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, write.Close()) }()
	write.SetMaxOpenConns(1)
	if err := kind.migrateTo(ctx, write, part.Version); err != nil {
		return nil, err
	}
	if err := fill(ctx, write, from); err != nil {
		return nil, err
	}
	arrived, err = dump.SumsOf(func(visit func(dump.Table) error) error {
		tx, err := write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		return newSession(tx).dumpAll(ctx, visit)
	})
	if err != nil {
		return nil, err
	}
	return arrived, kind.migrate(ctx, write)
}

// Rows are written in groups, and groups committed together: what is written
// counts only when all of it is there, but a log of it all would double it.
const (
	fillRows    = 1000
	fillCommits = 50
)

// filling is the transaction that fills tables.
type filling struct {
	db     *sql.DB
	tx     *sql.Tx
	groups int
}

func fill(ctx context.Context, db *sql.DB, from dump.Source) (err error) {
	// A row may come before the one it refers to; which do not meet is looked for
	// afterwards.
	if _, err := db.ExecContext(ctx, `PRAGMA foreign_keys = 0`); err != nil {
		return err
	}
	f := &filling{db: db}
	defer func() {
		if f.tx != nil {
			_ = f.tx.Rollback()
		}
	}()
	if err := f.begin(ctx); err != nil {
		return err
	}
	known, err := newSession(f.tx).tables(ctx)
	if err != nil {
		return err
	}
	err = from(func(table dump.Table) error {
		if !slices.Contains(known, table.Name) {
			return fmt.Errorf("load table %s: there is none in this version", table.Name)
		}
		return f.load(ctx, table)
	})
	if err != nil {
		return err
	}
	var astray string
	err = f.tx.QueryRowContext(ctx, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`).Scan(&astray)
	if !errors.Is(err, sql.ErrNoRows) {
		return cmp.Or(err, fmt.Errorf("load table %s: a row refers to one that is not there", astray))
	}
	err = f.tx.Commit()
	f.tx = nil
	return err
}

func (f *filling) begin(ctx context.Context) (err error) {
	f.tx, err = f.db.BeginTx(ctx, nil)
	return err
}

func (f *filling) load(ctx context.Context, table dump.Table) error {
	columns, err := relational.All(ctx, newSession(f.tx), scanText, `SELECT name FROM pragma_table_info(?) ORDER BY name`, table.Name)
	if err != nil {
		return err
	}
	if !slices.Equal(columns, table.Columns) {
		return fmt.Errorf("load table %s: its columns are not those of this version", table.Name)
	}
	cells := make([]string, len(columns))
	for i := range cells {
		cells[i] = fmt.Sprintf("c%d", i)
	}
	insert := `INSERT INTO "` + table.Name + `" ("` + strings.Join(columns, `", "`) + `") SELECT ` + strings.Join(cells, ", ") + ` FROM batch(?)`
	group := make(kept, 0, fillRows)
	for {
		row, err := table.Next()
		if err != nil {
			return err
		}
		if row != nil {
			group = append(group, copyRow(row))
		}
		if len(group) == fillRows || row == nil && len(group) > 0 {
			if err := f.insert(ctx, insert, group); err != nil {
				return fmt.Errorf("load table %s: %w", table.Name, classify(err))
			}
			group = group[:0]
		}
		if row == nil {
			return nil
		}
	}
}

// copyRow keeps a row beyond the next; its cells may be read into again.
func copyRow(row []any) []driver.Value {
	kept := make([]driver.Value, len(row))
	for i, cell := range row {
		if blob, ok := cell.([]byte); ok {
			cell = append([]byte{}, blob...)
		}
		kept[i] = cell
	}
	return kept
}

func (f *filling) insert(ctx context.Context, statement string, rows kept) error {
	err := withBatch(rows, func(handle int64) error {
		_, err := f.tx.ExecContext(ctx, statement, handle)
		return err
	})
	if err != nil {
		return err
	}
	if f.groups++; f.groups < fillCommits {
		return nil
	}
	f.groups = 0
	if err := f.tx.Commit(); err != nil {
		return err
	}
	return f.begin(ctx)
}

// Open opens what was filled, for what is still to be changed in it.
func (b *Blank) Open(ctx context.Context) (core.Store, error) {
	if b.store != nil {
		return b.store, nil
	}
	store, err := Open(ctx, b.staging, b.opts)
	if err != nil {
		return nil, err
	}
	b.store = store
	return store, nil
}

// Commit puts the store into its place; platform.db, which is last, is what
// makes it one.
func (b *Blank) Commit(context.Context) error {
	if err := b.closeStore(); err != nil {
		return err
	}
	for _, logs := range []string{"platform.db-wal", filepath.Join("tenants", "*-wal")} {
		if left, err := filepath.Glob(filepath.Join(b.staging, logs)); err != nil || len(left) > 0 {
			return fmt.Errorf("commit store %s: the log of a file was not folded into it", b.dir)
		}
	}
	if err := os.Remove(filepath.Join(b.dir, "tenants")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("commit store %s: %w", b.dir, err)
	}
	for _, dir := range []string{filepath.Join(b.staging, "tenants"), b.staging} {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("commit store %s: %w", b.dir, err)
		}
	}
	for _, name := range []string{"tenants", "platform.db"} {
		if err := os.Rename(filepath.Join(b.staging, name), filepath.Join(b.dir, name)); err != nil {
			return fmt.Errorf("commit store %s: %w", b.dir, err)
		}
		if err := syncDir(b.dir); err != nil {
			return fmt.Errorf("commit store %s: %w", b.dir, err)
		}
	}
	return os.RemoveAll(b.staging)
}

func (b *Blank) closeStore() error {
	if b.store == nil {
		return nil
	}
	err := b.store.Close()
	b.store = nil
	return err
}

// Discard leaves the directory without a store. After Commit it does nothing.
func (b *Blank) Discard() error {
	err := b.closeStore()
	if !CutShort(b.dir) {
		return err
	}
	if _, found := os.Lstat(filepath.Join(b.dir, "platform.db")); errors.Is(found, fs.ErrNotExist) {
		err = errors.Join(err, os.RemoveAll(filepath.Join(b.dir, "tenants")))
	}
	return errors.Join(err, os.RemoveAll(b.staging))
}
