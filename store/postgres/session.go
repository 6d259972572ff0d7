package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"edgesync/core"
)

// session is one transaction.
type session struct {
	tx pgx.Tx
	// under is the COPY under way, if any.
	under *copying
	// probed is what the last Neighbourhood found out of the tenant's assertions,
	// until something is written.
	probed *probed
	// numbers are the tenant's names, once read.
	numbers *names
	// cursors is how many listings were begun.
	cursors int
	// notices are what the commit tells the other processes.
	notices []core.Signal
}

// note has the commit tell the other processes. A tenant's own transaction need
// not name the tenant.
func (s *session) note(notice core.Signal) {
	if !slices.Contains(s.notices, notice) {
		s.notices = append(s.notices, notice)
	}
}

// exec returns how many rows it changed.
func (s *session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := s.settle(); err != nil {
		return 0, err
	}
	tag, err := s.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), classify(err)
}

// one scans the single row of a query, or returns core.ErrNotFound.
func (s *session) one(ctx context.Context, query string, args []any, into ...any) error {
	if err := s.settle(); err != nil {
		return err
	}
	return classify(s.tx.QueryRow(ctx, query, args...).Scan(into...))
}

// scanner is a row that can be read once.
type scanner interface{ Scan(into ...any) error }

// each calls fn for every row of a query.
func (s *session) each(ctx context.Context, query string, args []any, fn func(scanner) error) error {
	if err := s.settle(); err != nil {
		return err
	}
	rows, err := s.tx.Query(ctx, query, args...)
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
func all[T any](ctx context.Context, s *session, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
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

// page is how many rows of a stream are read at once.
const page = 500

// stream calls yield for each row of a query. It reads through a cursor, so that
// yield may use the transaction, and that a listing of any length holds few rows
// at a time.
func stream[T any](ctx context.Context, s *session, scan func(scanner) (T, error), yield func(T) error, query string, args ...any) error {
	s.cursors++
	cursor := "stream_" + strconv.Itoa(s.cursors)
	if _, err := s.exec(ctx, `DECLARE `+cursor+` NO SCROLL CURSOR FOR `+query, args...); err != nil {
		return err
	}
	for {
		found, err := all(ctx, s, scan, `FETCH `+strconv.Itoa(page)+` FROM `+cursor)
		if err != nil {
			return err
		}
		for _, one := range found {
			if err := yield(one); err != nil {
				return err
			}
		}
		if len(found) < page {
			_, err := s.exec(ctx, `CLOSE `+cursor)
			return err
		}
	}
}

// first is the single row of a query, or core.ErrNotFound.
func first[T any](ctx context.Context, s *session, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	if err := s.settle(); err != nil {
		var none T
		return none, err
	}
	one, err := scan(s.tx.QueryRow(ctx, query, args...))
	return one, classify(err)
}

// classify gives core's name to the two outcomes that have one. Everything else
// stays an error of its own: a lost connection is not "not found".
func classify(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return core.ErrNotFound
	}
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "23505" {
		return fmt.Errorf("%w: %w", core.ErrConflict, err)
	}
	return err
}
