package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"edgesync/core"
)

// database is one open file: a single connection that writes, so that writers
// queue here instead of colliding in SQLite, and a few that read beside it.
type database struct {
	write, read *sql.DB
	// gate is what who writes passes; nil for files that nobody else has.
	gate *gate
}

const (
	readers = 4
	// A reader beyond these two is closed after its transaction; thousands of
	// tenants are open at once, and each connection holds two descriptors.
	idleReaders = 2
	// attempts bounds how often a transaction is tried on a busy file, each try
	// waiting for the busy timeout.
	attempts = 3
)

// openDatabase opens an existing file and brings its schema up to date.
func openDatabase(ctx context.Context, path string, schema schema, opts Options) (*database, error) {
	write, err := connect(path, opts, false)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := schema.migrate(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %s: %w", path, err), write.Close())
	}
	read, err := connect(path, opts, true)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(idleReaders)
	read.SetConnMaxIdleTime(time.Minute)
	return &database{write: write, read: read, gate: opts.gate}, nil
}

func (d *database) close() error {
	// The writer goes last: the last connection to close folds the log into the
	// file, which a reader may not do.
	return errors.Join(d.read.Close(), d.write.Close())
}

func connect(path string, opts Options, readOnly bool) (*sql.DB, error) {
	connector, err := driver.NewConnector(dsn(path, opts, readOnly))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return sql.OpenDB(batchConnector{Connector: connector, readOnly: readOnly, wrap: opts.wrap}), nil
}

// dsn names a file that must exist. Synchronous FULL is what makes a commit an
// acknowledgement: the log is on the disk when it returns.
func dsn(path string, opts Options, readOnly bool) string {
	q := url.Values{
		"mode":          {"rw"},
		"_busy_timeout": {strconv.FormatInt(opts.BusyTimeout.Milliseconds(), 10)},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
		"_txlock":       {"immediate"},
		"_pragma": {
			"cache_size(-" + strconv.Itoa(cmp.Or(opts.cacheKiB, 16384)) + ")",
			"wal_autocheckpoint(4096)",
			"journal_size_limit(67108864)",
		},
	}
	if readOnly {
		q.Set("_txlock", "deferred")
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}

// view runs fn on one snapshot.
func (d *database) view(ctx context.Context, fn func(session) error) error {
	return retry(ctx, func() error {
		tx, err := d.read.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("begin read: %w", err)
		}
		// Nothing was written: there is nothing to lose in a failed rollback.
		defer func() { _ = tx.Rollback() }()
		return fn(newSession(tx))
	})
}

// update runs fn in one transaction that holds the write lock from its start.
func (d *database) update(ctx context.Context, fn func(session) error) error {
	return retry(ctx, func() error {
		// The turn comes first: who waits for it must not keep the gate from closing.
		conn, err := d.write.Conn(ctx)
		if err != nil {
			return fmt.Errorf("begin write: %w", err)
		}
		defer conn.Close()
		leave, err := d.gate.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("begin write: %w", err)
		}
		// After a commit this does nothing; before it, fn's error is what counts.
		defer func() { _ = tx.Rollback() }()
		if err := fn(newSession(tx)); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	})
}

// retry runs a transaction again while another process holds the file.
func retry(ctx context.Context, run func() error) error {
	for attempt := 1; ; attempt++ {
		err := run()
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); ctx.Err() != nil {
			if errors.Is(err, ctx.Err()) {
				return err
			}
			return fmt.Errorf("%w: %w", cause, err)
		}
		if !isBusy(err) || attempt == attempts {
			return told(err)
		}
	}
}

// told is err as core tells it to who asked, where it is of the file and not of
// what was asked.
func told(err error) error {
	var already *core.Error
	switch {
	case errors.As(err, &already):
		return err
	case isBusy(err):
		return core.Unavailable(err)
	case isFull(err):
		return core.Full(err)
	}
	return err
}

// session is one transaction.
type session struct {
	tx *sql.Tx
	// prepared are the statements that once has prepared.
	prepared map[string]*sql.Stmt
}

func newSession(tx *sql.Tx) session { return session{tx, map[string]*sql.Stmt{}} }

// once prepares a statement once for the transaction, which closes it: a long
// one costs more to prepare than to run for a few rows.
func (s session) once(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement, ok := s.prepared[query]; ok {
		return statement, nil
	}
	statement, err := s.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, classify(err)
	}
	s.prepared[query] = statement
	return statement, nil
}

// exec returns how many rows it changed.
func (s session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, classify(err)
	}
	return result.RowsAffected()
}

// one scans the single row of a query, or returns core.ErrNotFound.
func (s session) one(ctx context.Context, query string, args []any, into ...any) error {
	return classify(s.tx.QueryRowContext(ctx, query, args...).Scan(into...))
}

// scanner is a row that can be read once.
type scanner interface{ Scan(into ...any) error }

// each calls fn for every row of a query.
func (s session) each(ctx context.Context, query string, args []any, fn func(scanner) error) error {
	rows, err := s.tx.QueryContext(ctx, query, args...)
	return eachRow(rows, err, fn)
}

// eachOnce is each for a statement to prepare once.
func (s session) eachOnce(ctx context.Context, query string, args []any, fn func(scanner) error) error {
	statement, err := s.once(ctx, query)
	if err != nil {
		return err
	}
	rows, err := statement.QueryContext(ctx, args...)
	return eachRow(rows, err, fn)
}

func eachRow(rows *sql.Rows, err error, fn func(scanner) error) error {
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return classify(rows.Err())
}

// all collects every row of a query.
func all[T any](ctx context.Context, s session, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var found []T
	err := s.each(ctx, query, args, func(row scanner) error {
		one, err := scan(row)
		if err != nil {
			return err
		}
		found = append(found, one)
		return nil
	})
	return found, err
}

// first is the single row of a query, or core.ErrNotFound.
func first[T any](ctx context.Context, s session, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	one, err := scan(s.tx.QueryRowContext(ctx, query, args...))
	return one, classify(err)
}

// classify gives core's name to the two outcomes that have one. Everything else
// stays an error of its own: a full disk is not "not found".
func classify(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return core.ErrNotFound
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", core.ErrConflict, err)
	}
	return err
}

// isFull tells a disk without room; the shared memory of the log has a code of its
// own for that.
func isFull(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

func isBusy(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	primary := e.Code() & 0xff
	return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
}
