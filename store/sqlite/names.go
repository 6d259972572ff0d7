package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// names are the numbers of sources and partitions. A tenant has few of them, so
// they are read whole.
type names struct {
	number map[string]int64
	value  map[int64]string
}

func (s session) names(ctx context.Context) (names, error) {
	n := names{number: map[string]int64{}, value: map[int64]string{}}
	err := s.each(ctx, `SELECT id, value FROM name`, nil, func(row scanner) error {
		var id int64
		var value string
		err := row.Scan(&id, &value)
		n.number[value], n.value[id] = id, value
		return err
	})
	if err != nil {
		return names{}, fmt.Errorf("read names: %w", err)
	}
	return n, nil
}

// add numbers the values that have no number yet.
func (n names) add(ctx context.Context, s session, values map[string]bool) error {
	var rows [][]driver.Value
	next := int64(0)
	for id := range n.value {
		next = max(next, id)
	}
	for value := range values {
		if _, ok := n.number[value]; ok {
			continue
		}
		next++
		n.number[value], n.value[next] = next, value
		rows = append(rows, []driver.Value{next, value})
	}
	if err := s.insert(ctx, rows, `INSERT INTO name (id, value) SELECT c0, c1 FROM batch(?)`); err != nil {
		return fmt.Errorf("add names: %w", err)
	}
	return nil
}

// column scans a number as the name it stands for.
func (n names) column(into *string) nameColumn { return nameColumn{n.value, into} }

type nameColumn struct {
	value map[int64]string
	into  *string
}

func (c nameColumn) Scan(value any) error {
	number, _ := value.(int64)
	name, ok := c.value[number]
	if !ok {
		return fmt.Errorf("read name: none has number %v", value)
	}
	*c.into = name
	return nil
}

// insert carries rows out with one statement that reads them as batch(?), or
// with none when there are no rows.
func (s session) insert(ctx context.Context, rows [][]driver.Value, statement string) error {
	if len(rows) == 0 {
		return nil
	}
	return withBatch(rows, func(handle int64) error {
		_, err := s.exec(ctx, statement, handle)
		return err
	})
}

// join calls fn for every row of a query that reads rows as batch(?).
func (s session) join(ctx context.Context, rows [][]driver.Value, query string, fn func(scanner) error) error {
	if len(rows) == 0 {
		return nil
	}
	return withBatch(rows, func(handle int64) error {
		return s.each(ctx, query, []any{handle}, fn)
	})
}
