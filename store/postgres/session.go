package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"edgesync/core"
	"edgesync/store/relational"
)

// session is one transaction.
type session struct {
	tx pgx.Tx
	// under is the COPY under way, if any.
	under *copying
	state relational.State
	// cursors is how many listings were begun.
	cursors int
	// notices are what the commit tells the other processes.
	notices []core.Signal
}

var _ relational.Session = (*session)(nil)

// State is what the transaction has found out.
func (s *session) State() *relational.State { return &s.state }

// Dialect is PostgreSQL's.
func (s *session) Dialect() *relational.Dialect { return &dialect }

// Note has the commit tell the other processes. A tenant's own transaction need
// not name the tenant.
func (s *session) Note(notice core.Signal) {
	if !slices.Contains(s.notices, notice) {
		s.notices = append(s.notices, notice)
	}
}

// Exec carries out a statement of relational's.
func (s *session) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	query, args = bind(query, args)
	return s.exec(ctx, query, args...)
}

// Each calls fn for every row of a query of relational's.
func (s *session) Each(ctx context.Context, query string, args []any, fn func(scanner) error) error {
	query, args = bind(query, args)
	return s.each(ctx, query, args, fn)
}

// exec returns how many rows it changed.
func (s *session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := s.settle(); err != nil {
		return 0, err
	}
	tag, err := s.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), classify(err)
}

// scanner is a row that can be read once.
type scanner = relational.Row

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

// page is how many rows of a stream are read at once.
const page = 500

// Stream calls fn for each row of a query of relational's. It reads through a
// cursor, so that fn may use the transaction, and that a listing of any length
// holds few rows at a time. The cursor is named after the query: a connection
// remembers of a FETCH what columns it had.
func (s *session) Stream(ctx context.Context, query string, args []any, fn func(scanner) error) error {
	query, args = bind(query, args)
	s.cursors++
	cursor := fmt.Sprintf("stream_%d_%x", s.cursors, sha256.Sum256([]byte(query)))[:40]
	if _, err := s.exec(ctx, `DECLARE `+cursor+` NO SCROLL CURSOR FOR `+query, args...); err != nil {
		return err
	}
	for {
		rows, err := s.fetch(ctx, cursor)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := fn(row); err != nil {
				return err
			}
		}
		if len(rows) < page {
			_, err := s.exec(ctx, `CLOSE `+cursor)
			return err
		}
	}
}

func (s *session) fetch(ctx context.Context, cursor string) ([]fetched, error) {
	rows, err := s.tx.Query(ctx, `FETCH `+strconv.Itoa(page)+` FROM `+cursor)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var found []fetched
	for rows.Next() {
		row := fetched{types: s.tx.Conn().TypeMap(), fields: rows.FieldDescriptions(), values: make([][]byte, len(rows.RawValues()))}
		for i, value := range rows.RawValues() {
			row.values[i] = bytes.Clone(value)
		}
		found = append(found, row)
	}
	return found, classify(rows.Err())
}

// fetched is a row that outlives its query.
type fetched struct {
	types  *pgtype.Map
	fields []pgconn.FieldDescription
	values [][]byte
}

func (f fetched) Scan(into ...any) error {
	if len(into) != len(f.values) {
		return fmt.Errorf("read row: it has %d columns, not %d", len(f.values), len(into))
	}
	for i := range into {
		if err := f.types.Scan(f.fields[i].DataTypeOID, f.fields[i].Format, f.values[i], into[i]); err != nil {
			return fmt.Errorf("read column %s: %w", f.fields[i].Name, err)
		}
	}
	return nil
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
	if errors.As(err, &e) && e.Code == "23505" && e.ConstraintName == "assertion_home" {
		return fmt.Errorf("%w: %w", relational.ErrHomeTaken, err)
	}
	if e != nil && e.Code == "23505" {
		return fmt.Errorf("%w: %w", core.ErrConflict, err)
	}
	return err
}
