package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"

	"edgesync/core"
	"edgesync/store/relational"
)

// session is one transaction.
type session struct {
	tx    *sql.Tx
	state *relational.State
}

func newSession(tx *sql.Tx) session { return session{tx, &relational.State{}} }

var _ relational.Session = session{}

// scanner is a row that can be read once.
type scanner = relational.Row

// Exec returns how many rows it changed.
func (s session) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	query, args, done := bind(query, args)
	defer done()
	result, err := s.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, classify(err)
	}
	return result.RowsAffected()
}

// Each calls fn for every row of a query.
func (s session) Each(ctx context.Context, query string, args []any, fn func(scanner) error) error {
	query, args, done := bind(query, args)
	defer done()
	rows, err := s.tx.QueryContext(ctx, query, args...)
	return eachRow(rows, err, fn)
}

// Stream is Each: a connection can read from several statements at once.
func (s session) Stream(ctx context.Context, query string, args []any, fn func(scanner) error) error {
	return s.Each(ctx, query, args, fn)
}

// Insert adds rows that are in no table yet.
func (s session) Insert(ctx context.Context, table string, rows *relational.Rows) error {
	if rows.Len() == 0 {
		return nil
	}
	names := make([]string, len(rows.Columns))
	for i, c := range rows.Columns {
		names[i] = c.Name()
	}
	columns := strings.Join(names, ", ")
	_, err := s.Exec(ctx, `INSERT INTO `+table+` (`+columns+`) SELECT `+columns+` FROM rows(?)`, rows)
	return err
}

// Note tells nobody: no other process has the file.
func (s session) Note(core.Signal) {}

// State is what the transaction has found out.
func (s session) State() *relational.State { return s.state }

// Dialect is SQLite's.
func (s session) Dialect() *relational.Dialect { return &dialect }

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

// bind puts a query into SQLite's words and has its rows readable until done is
// called.
func bind(query string, args []any) (bound string, values []any, done func()) {
	done = func() {}
	var signature strings.Builder
	var handles []int64
	for i, arg := range args {
		rows, ok := arg.(*relational.Rows)
		if !ok {
			continue
		}
		if handles == nil {
			values = append([]any(nil), args...)
			done = func() {
				for _, handle := range handles {
					batches.rows.Delete(handle)
				}
			}
		}
		handle := batches.last.Add(1)
		batches.rows.Store(handle, rows)
		handles = append(handles, handle)
		values[i] = handle
		signature.WriteByte('\n')
		for _, c := range rows.Columns {
			signature.WriteString(c.Name())
			signature.WriteByte(' ')
		}
	}
	if handles == nil {
		values = args
	}
	key := rewritten{query, signature.String()}
	if text, ok := rewrites.Load(key); ok {
		return text.(string), values, done
	}
	text := relational.Rewrite(joins.Replace(query), args, parameter)
	rewrites.Store(key, text)
	return text, values, done
}

// rewrites holds the queries of this program, which are few, as SQLite has them.
var rewrites sync.Map // rewritten → string

type rewritten struct{ query, columns string }

// joins are SQLite's: it keeps to the order of a cross join.
var joins = strings.NewReplacer("STRAIGHT_JOIN", "CROSS JOIN", "LOOKUP", "CROSS JOIN")

// parameter is one, or the rows it stands for.
func parameter(rows *relational.Rows, among bool) string {
	if rows == nil {
		return "?"
	}
	cells := make([]string, len(rows.Columns))
	for i, c := range rows.Columns {
		cells[i] = "c" + strconv.Itoa(i) + " AS " + c.Name()
	}
	text := "(SELECT " + strings.Join(cells, ", ") + " FROM batch(?))"
	if among {
		text = "IN " + text
	}
	return text
}
