package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"edgesync/core"
	"edgesync/seal/ownfile"
	"edgesync/store/relational"
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
func openDatabase(ctx context.Context, path string, schema schema, opts Options) (_ *database, err error) {
	defer func() { err = told(withCause(err, path)) }()
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
	return sql.OpenDB(batchConnector{connector, readOnly, opts.wrap}), nil
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
	err := d.try(ctx, fn, false)
	if errors.Is(err, relational.ErrHomeTaken) {
		err = d.try(ctx, fn, true)
	}
	return err
}

func (d *database) try(ctx context.Context, fn func(session) error, careful bool) error {
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
		s := newSession(tx)
		s.state.Careful = careful
		if err := fn(s); err != nil {
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
	if e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE && strings.Contains(e.Error(), "assertion.home") {
		return fmt.Errorf("%w: %w", relational.ErrHomeTaken, err)
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", core.ErrConflict, err)
	}
	return err
}

// withCause adds why SQLite could not make the files that it keeps beside the one at
// path, which it does not say: to make another fails alike on a disk without room
// for any.
func withCause(err error, path string) error {
	var e *driver.Error
	if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_CANTOPEN {
		return err
	}
	another, cause := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if cause != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	_ = another.Close()
	_ = os.Remove(another.Name())
	return err
}

// isFull tells a disk without room; the shared memory of the log has a code of its
// own for that, and a file that is made has the system's.
func isFull(err error) bool {
	var e *driver.Error
	return ownfile.NoSpace(err) || errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

func isBusy(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	primary := e.Code() & 0xff
	return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
}
