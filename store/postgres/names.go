package postgres

import (
	"context"
	"fmt"
	"slices"
)

// names are the numbers of sources and partitions. A tenant has few of them, so
// they are read whole, once in a transaction.
type names struct {
	number map[string]int64
	value  map[int64]string
}

func (s *session) names(ctx context.Context) (*names, error) {
	if s.numbers != nil {
		return s.numbers, nil
	}
	n := &names{number: map[string]int64{}, value: map[int64]string{}}
	err := s.each(ctx, `SELECT id, value FROM name`, nil, func(row scanner) error {
		var id int64
		var value string
		err := row.Scan(&id, &value)
		n.number[value], n.value[id] = id, value
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	s.numbers = n
	return n, nil
}

// add numbers the values that have no number yet.
func (n *names) add(ctx context.Context, s *session, values []string) error {
	next := int64(0)
	for id := range n.value {
		next = max(next, id)
	}
	slices.Sort(values)
	var ids []int64
	var added []string
	for _, value := range slices.Compact(values) {
		if _, ok := n.number[value]; ok {
			continue
		}
		next++
		n.number[value], n.value[next] = next, value
		ids, added = append(ids, next), append(added, value)
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := s.exec(ctx, `INSERT INTO name (id, value) SELECT * FROM unnest($1::bigint[], $2::text[])`, ids, added); err != nil {
		return fmt.Errorf("add names: %w", err)
	}
	return nil
}

// column scans a number as the name it stands for.
func (n *names) column(into *string) nameColumn { return nameColumn{n.value, into} }

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
