package postgres

import (
	"context"
	"fmt"
	"strings"
)

// A statement reads a whole batch of rows as arrays, one for each column: it
// carries any number of rows in one round trip.

// column is a column of a batch.
type column struct {
	name string
	kind kind
}

// kind is the type of a column of a batch.
type kind string

const (
	number kind = "bigint"
	text   kind = "text"
	octets kind = "bytea"
	truth  kind = "boolean"
)

func columnNames(columns []column) []string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].name
	}
	return names
}

// batch carries rows out with one statement, whose middle is the batch as a
// table b, or with none when there are no rows.
func (s *session) batch(ctx context.Context, before string, columns []column, rows [][]any, after string) error {
	if len(rows) == 0 {
		return nil
	}
	_, err := s.exec(ctx, before+unnest(columns)+after, arrays(columns, rows)...)
	return err
}

// unnest is the batch as a table.
func unnest(columns []column) string {
	parameters := make([]string, len(columns))
	for i, c := range columns {
		parameters[i] = fmt.Sprintf("$%d::%s[]", i+1, c.kind)
	}
	return `unnest(` + strings.Join(parameters, ", ") + `) b (` + strings.Join(columnNames(columns), ", ") + `)`
}

// arrays turns rows into columns.
func arrays(columns []column, rows [][]any) []any {
	args := make([]any, len(columns))
	for i, c := range columns {
		switch c.kind {
		case number:
			args[i] = array[int64](rows, i)
		case text:
			args[i] = array[string](rows, i)
		case octets:
			args[i] = array[[]byte](rows, i)
		case truth:
			args[i] = array[bool](rows, i)
		}
	}
	return args
}

// array is one column; a cell that is nil is NULL.
func array[T any](rows [][]any, i int) []*T {
	cells := make([]T, len(rows))
	column := make([]*T, len(rows))
	for j, row := range rows {
		if row[i] != nil {
			cells[j] = row[i].(T)
			column[j] = &cells[j]
		}
	}
	return column
}

// upsert inserts rows, or replaces those of the same first column.
func (s *session) upsert(ctx context.Context, table string, columns []column, rows [][]any) error {
	names := columnNames(columns)
	sets := make([]string, 0, len(names))
	for _, name := range names[1:] {
		sets = append(sets, name+" = excluded."+name)
	}
	return s.batch(ctx, `INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) SELECT * FROM `, columns, rows,
		` ON CONFLICT (`+names[0]+`) DO UPDATE SET `+strings.Join(sets, ", "))
}
