package postgres

import (
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"

	"edgesync/store/relational"
)

// A statement reads a whole batch of rows as arrays, one for each column: it
// carries any number of rows in one round trip.

// rewrites holds the queries of this program, which are few, as PostgreSQL has
// them.
var rewrites sync.Map // rewritten → string

type rewritten struct{ query, columns string }

// bind puts a query of relational's into PostgreSQL's words.
func bind(query string, args []any) (bound string, values []any) {
	var signature strings.Builder
	values = make([]any, 0, len(args))
	for _, arg := range args {
		rows, ok := arg.(*relational.Rows)
		if !ok {
			values = append(values, arg)
			continue
		}
		signature.WriteByte('\n')
		for _, c := range rows.Columns {
			signature.WriteString(c.Name())
			signature.WriteByte(' ')
			values = append(values, array(c))
		}
	}
	key := rewritten{query, signature.String()}
	if text, ok := rewrites.Load(key); ok {
		return text.(string), values
	}
	n := 0
	text := relational.Rewrite(join(query), args, func(rows *relational.Rows, among bool) string {
		if rows == nil {
			n++
			return "$" + strconv.Itoa(n)
		}
		arrays, names := make([]string, rows.Width()), make([]string, rows.Width())
		for i, c := range rows.Columns {
			n++
			arrays[i], names[i] = "$"+strconv.Itoa(n)+"::"+typeOf(c)+"[]", c.Name()
		}
		if among {
			return `= ANY (` + arrays[0] + `)`
		}
		return `(SELECT * FROM unnest(` + strings.Join(arrays, ", ") + `) r (` + strings.Join(names, ", ") + `))`
	})
	rewrites.Store(key, text)
	return text, values
}

// lookup is a join of relational's, whose condition is made of comparisons.
var lookup = regexp.MustCompile(`LOOKUP (\w+) (\w+) ON (` + comparison + `(?: AND ` + comparison + `)*)`)

const comparison = `[\w.]+ (?:=|<>) (?:[\w.]+|\?)`

// join puts joins into PostgreSQL's words. What is looked up is behind an OFFSET,
// which the planner leaves as it is: else it would join by reading the table
// for each row, once that was made while the table was small, and is kept.
func join(query string) string {
	query = lookup.ReplaceAllString(query, `CROSS JOIN LATERAL (SELECT * FROM $1 $2 WHERE $3 OFFSET 0) $2`)
	return strings.ReplaceAll(query, "STRAIGHT_JOIN", "JOIN")
}

func typeOf(column relational.Column) string {
	switch column.(type) {
	case *relational.Ints:
		return "bigint"
	case *relational.Texts:
		return "text"
	case *relational.Blobs:
		return "bytea"
	case *relational.Truths:
		return "boolean"
	}
	panic("a column of a kind that is none")
}

// array is a column as a parameter.
func array(column relational.Column) any {
	switch c := column.(type) {
	case *relational.Ints:
		if c.Nulls == nil {
			return c.Cells
		}
		cells := make(pgtype.FlatArray[pgtype.Int8], len(c.Cells))
		for i, n := range c.Cells {
			cells[i] = pgtype.Int8{Int64: n, Valid: !c.Nulls[i]}
		}
		return cells
	case *relational.Texts:
		return c.Cells
	case *relational.Blobs:
		return pgtype.FlatArray[[]byte](c.Cells)
	case *relational.Truths:
		return c.Cells
	}
	panic("a column of a kind that is none")
}
