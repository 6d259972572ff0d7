package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"edgesync/core"
	"edgesync/store/relational"
)

// view runs fn on one snapshot.
func (s *Store) view(ctx context.Context, target *schema, fn func(*session) error) error {
	return s.again(ctx, func() error {
		return s.transaction(ctx, target, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`, ``, func(tx pgx.Tx) error {
			w := &session{tx: tx}
			defer w.abandon()
			return fn(w)
		})
	})
}

// update runs fn in one transaction. Whoever writes to a schema holds its lock
// from the first statement to the commit, in whatever process: what fn reads is
// still so when it is committed, rows are never locked in different orders, and
// a tenant's batches are stored one after the other.
func (s *Store) update(ctx context.Context, target *schema, fn func(*session) error) error {
	select {
	case target.turn <- struct{}{}:
		defer func() { <-target.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return s.again(ctx, func() error {
		err := s.try(ctx, target, fn, false)
		if errors.Is(err, relational.ErrHomeTaken) {
			err = s.try(ctx, target, fn, true)
		}
		return err
	})
}

// writing begins a transaction whose statements follow indexes, whatever the size
// of a table seems to be: so one plan is good for every size, and is kept unless begin
// says otherwise. Rows are told apart by sorting them, since a table for hashing is
// made for as many as there might be. This holds whatever the URL says.
const writing = `BEGIN ISOLATION LEVEL READ COMMITTED;
	SET LOCAL enable_seqscan = off; SET LOCAL enable_hashagg = off`

// try runs fn in one transaction, and finds out what became of it.
func (s *Store) try(ctx context.Context, target *schema, fn func(*session) error, careful bool) error {
	token := uuid.New()
	err := s.transaction(ctx, target, writing, mark(target, token), func(tx pgx.Tx) error {
		if err := target.sweep(ctx, tx); err != nil {
			return err
		}
		w := &session{tx: tx}
		w.state.Careful = careful
		defer w.abandon()
		if err := fn(w); err != nil {
			return err
		}
		if err := w.settle(); err != nil {
			return err
		}
		return s.tell(ctx, tx, target, w)
	})
	var unknown *unknownOutcome
	if errors.As(err, &unknown) {
		return s.resolve(ctx, target, token, unknown)
	}
	return err
}

// mark takes the writer's lock and leaves a mark by which a commit whose answer
// was lost can be told from one that did not happen.
func mark(target *schema, token uuid.UUID) string {
	return fmt.Sprintf(`
		INSERT INTO committed (token, at) SELECT '%s', %d FROM (SELECT pg_advisory_xact_lock(%d), set_config('plan_cache_mode',
			CASE WHEN EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('assertion') AND reltuples >= 0 AND reltuples < %d)
				THEN 'force_custom_plan' ELSE 'force_generic_plan' END, true)) l`,
		token, time.Now().UnixMicro(), target.lock, fewRows)
}

// sweep clears old marks away, now and then.
func (target *schema) sweep(ctx context.Context, tx pgx.Tx) error {
	now := time.Now()
	if now.Sub(target.swept) <= markLife {
		return nil
	}
	target.swept = now
	if _, err := tx.Exec(ctx, `DELETE FROM committed WHERE at < $1`, now.Add(-markLife).UnixMicro()); err != nil {
		return fmt.Errorf("clear marks: %w", err)
	}
	return nil
}

// fewRows is what a table that was counted has to have for plans to be kept. Of one
// with fewer the planner thinks that reading it whole is as good as looking rows
// up, and a plan from then would stay while it grows. One that was never counted it
// takes for larger.
const fewRows = 10_000

// markLife is far longer than anybody asks for an outcome, and how often old marks
// are cleared away.
const markLife = time.Hour

// transaction runs fn in a transaction under a schema's role, which begins with a
// statement of its own, if that is not empty.
func (s *Store) transaction(ctx context.Context, target *schema, beginning, first string, fn func(pgx.Tx) error) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		// One round trip. The schemas of pg_catalog are searched in any case.
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{
			BeginQuery: beginning + `; SET LOCAL ROLE ` + quote(target.role) + `; SET LOCAL search_path = ` + quote(target.name) + `; ` + first,
		})
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		committed := false
		defer func() {
			if !committed {
				// fn's error is what counts; one that cannot be rolled back is closed.
				rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockDeadline)
				defer cancel()
				_ = tx.Rollback(rollback)
			}
		}()
		if err := fn(tx); err != nil {
			if readOnly(err) {
				// The next one begins a session: by then it may take writes.
				_ = conn.Conn().Close(ctx)
			}
			return err
		}
		err = tx.Commit(ctx)
		committed = err == nil
		if err != nil && lost(err) {
			return &unknownOutcome{err}
		}
		if err != nil {
			return fmt.Errorf("commit: %w", classify(err))
		}
		return nil
	})
}

// unknownOutcome is a commit that nobody answered.
type unknownOutcome struct{ cause error }

func (u *unknownOutcome) Error() string { return "commit: its outcome is unknown: " + u.cause.Error() }
func (u *unknownOutcome) Unwrap() error { return u.cause }

// resolve finds out what became of a commit that was not answered: nil if it
// happened, an error to try again on if it did not. The writer's lock is taken
// first, so that a server process that still commits is waited for.
func (s *Store) resolve(ctx context.Context, target *schema, token uuid.UUID, unknown *unknownOutcome) error {
	happened := false
	err := s.again(ctx, func() error {
		return s.transaction(ctx, target, `BEGIN ISOLATION LEVEL READ COMMITTED`, ``, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, target.lock); err != nil {
				return err
			}
			return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM committed WHERE token = $1)`, token).Scan(&happened)
		})
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s: ask for it: %w", unknown.Error(), err)
	case happened:
		return nil
	}
	return &notCommitted{unknown.cause}
}

// notCommitted is a transaction that was lost for certain.
type notCommitted struct{ cause error }

func (n *notCommitted) Error() string { return "commit: the server ended it: " + n.cause.Error() }
func (n *notCommitted) Unwrap() error { return n.cause }

// The pace at which a transaction is tried again.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// again runs a transaction until it gets through to its end, for as long as it
// fails for what passes: a restart of the server, or another transaction.
func (s *Store) again(ctx context.Context, run func() error) error {
	deadline := time.Now().Add(s.opts.Patience)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := run()
		if err == nil || !passes(err) || time.Now().After(deadline) {
			return caused(ctx, unavailable(err))
		}
		select {
		case <-ctx.Done():
			return caused(ctx, err)
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

// caused adds to an error why the caller gave up, if that is what it came from.
func caused(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// unavailable is err as core tells it to who asked, if it is of the connection.
func unavailable(err error) error {
	var told *core.Error
	var unknown *unknownOutcome
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "53100" && !errors.As(err, &told) {
		return core.Full(err)
	}
	if readOnly(err) && !errors.As(err, &told) {
		return core.ReadOnly(err)
	}
	if err == nil || errors.As(err, &told) || !lost(err) && !errors.As(err, &unknown) {
		return err
	}
	return core.Unavailable(err)
}

// readOnly tells whether the database takes no writes. A session may be told so by
// a setting it began with: it is of no use after that, whatever the database does.
func readOnly(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "25006"
}

// passes tells whether what failed may succeed when it is done again from its
// beginning. A commit whose outcome is not known is none of these.
func passes(err error) bool {
	var never *notCommitted
	if errors.As(err, &never) {
		return true
	}
	var unknown *unknownOutcome
	if errors.As(err, &unknown) {
		return false
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case "40001", "40P01": // serialization failure, deadlock
			return true
		case "XX000": // of a role that two processes grant at once
			return e.Message == "tuple concurrently updated"
		}
	}
	return lost(err)
}

// lost tells whether an error is of the connection, not of what was asked.
func lost(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) {
		return true // refused too: all connections are taken, or the password is being changed
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code[:2] {
		case "08":
			return true
		case "57":
			return e.Code == "57P01" || e.Code == "57P02" || e.Code == "57P03"
		}
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
