package relational

import (
	"context"
	"fmt"
	"strings"

	"edgesync/core"
)

// ErrHomeTaken is what Insert fails with when another assertion has the home of
// one. The transaction is then run again, carefully (State).
var ErrHomeTaken = fmt.Errorf("home is taken: %w", core.ErrConflict)

// Session is one transaction of a kind of database. Its errors are core's where
// core has a name for them. A query's parameters are "?", and one that is *Rows
// stands in "rows(?) name", where name is required. STRAIGHT_JOIN is a join that
// is carried out from the left to the right. "LOOKUP table name ON a = b AND …"
// is one that looks up the rows of a table for each of those before it, however
// large the database takes the table to be. "x AMONG rows(?)" is that x is in the
// one column of these.
type Session interface {
	// Exec carries a statement out and returns how many rows it changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// Each calls fn for every row of a query. fn must not use the session.
	Each(ctx context.Context, query string, args []any, fn func(Row) error) error
	// Stream is Each for any number of rows, whose fn may use the session.
	Stream(ctx context.Context, query string, args []any, fn func(Row) error) error
	// Insert adds rows to the columns of a table, which none of them is in yet.
	// Its error may be told by what is done next.
	Insert(ctx context.Context, table string, rows *Rows) error
	// Note has the commit tell the other processes.
	Note(signal core.Signal)
	// Dialect is what the kind of database does in a way of its own.
	Dialect() *Dialect
	// State is what the transaction has found out.
	State() *State
}

// Row is a row that can be read once.
type Row interface{ Scan(into ...any) error }

// Dialect is SQL that kinds of database have no common words for.
type Dialect struct {
	// Walk follows the steps of dire.Neighbourhood and ends in the common table
	// near (device), the numbers of the devices found. Its parameters are the
	// source, the keys of it that change as rows (key), the home ids it is about
	// besides as rows (home), and of what the batch says the partition, the
	// hardware ids as rows (value, kind), the partition again, and the addresses as
	// rows like those.
	Walk string
	// Limit is a limit as the database takes it, 0 for none.
	Limit func(limit int64) any
	// Holds is a condition on a JSON list of texts: that it holds a parameter.
	Holds func(list string) string
	// Search is a table of the ids of the devices whose text holds a term, in the
	// order it finds them. It adds its parameters.
	Search func(term string) (table string, args []any)
	// InPlace orders a join by the column place of its first table x, where the
	// database does not keep to that by itself.
	InPlace string
	// Wide is said before a statement that reads whole tables, or is empty.
	Wide string
}

// State is what one transaction has found out, and its notes.
type State struct {
	// names are the tenant's, once read.
	names *names
	// probed is what the last Neighbourhood found out of the tenant's assertions,
	// until something is written.
	probed *probed
	// sightings are those that were read, as they stand.
	sightings sightings
	// Careful has new homes looked for before they are taken.
	Careful bool
}

// One scans the single row of a query, or returns core.ErrNotFound.
func One(ctx context.Context, s Session, query string, args []any, into ...any) error {
	found := false
	err := s.Each(ctx, query, args, func(row Row) error {
		if found {
			return nil
		}
		found = true
		return row.Scan(into...)
	})
	if err == nil && !found {
		err = core.ErrNotFound
	}
	return err
}

// first is the first row of a query, or core.ErrNotFound.
func first[T any](ctx context.Context, s Session, scan func(Row) (T, error), query string, args ...any) (T, error) {
	found, err := All(ctx, s, scan, query, args...)
	if err == nil && len(found) == 0 {
		err = core.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

// All collects every row of a query.
func All[T any](ctx context.Context, s Session, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	var found []T
	err := s.Each(ctx, query, args, func(row Row) error {
		one, err := scan(row)
		if err != nil {
			return err
		}
		found = append(found, one)
		return nil
	})
	return found, err
}

// Rewrite puts a query, whose joins are the database's already, into its words:
// parameter gives those of a parameter, of the rows it is, if any, and of being
// AMONG them.
func Rewrite(query string, args []any, parameter func(rows *Rows, among bool) string) string {
	var out strings.Builder
	out.Grow(len(query) + 64)
	for i := 0; ; i++ {
		at := strings.IndexByte(query, '?')
		if at < 0 {
			out.WriteString(query)
			return out.String()
		}
		var rows *Rows
		if i < len(args) {
			rows, _ = args[i].(*Rows)
		}
		if rows == nil {
			out.WriteString(query[:at])
			out.WriteString(parameter(nil, false))
			query = query[at+1:]
			continue
		}
		// "rows(?) name": the database says what is before the name.
		before, among := strings.CutSuffix(strings.TrimSuffix(query[:at], "rows("), "AMONG ")
		out.WriteString(before)
		out.WriteString(parameter(rows, among))
		query = strings.TrimPrefix(query[at+1:], ")")
	}
}
