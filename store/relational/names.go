package relational

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

func namesOf(ctx context.Context, s Session) (*names, error) {
	state := s.State()
	if state.names != nil {
		return state.names, nil
	}
	n := &names{number: map[string]int64{}, value: map[int64]string{}}
	err := s.Each(ctx, `SELECT id, value FROM name`, nil, func(row Row) error {
		var id int64
		var value string
		err := row.Scan(&id, &value)
		n.number[value], n.value[id] = id, value
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	state.names = n
	return n, nil
}

// add numbers the values that have no number yet.
func (n *names) add(ctx context.Context, s Session, values []string) error {
	next := int64(0)
	for id := range n.value {
		next = max(next, id)
	}
	slices.Sort(values)
	ids, added := NewInts("id", 0), NewTexts("value", 0)
	for _, value := range slices.Compact(values) {
		if _, ok := n.number[value]; ok {
			continue
		}
		next++
		n.number[value], n.value[next] = next, value
		ids.Add(next)
		added.Add(value)
	}
	if ids.Len() == 0 {
		return nil
	}
	if _, err := s.Exec(ctx, `INSERT INTO name (id, value) SELECT id, value FROM rows(?) b`, NewRows(ids, added)); err != nil {
		return fmt.Errorf("add names: %w", err)
	}
	return nil
}

// of is the name with a number.
func (n *names) of(number int64) (string, error) {
	name, ok := n.value[number]
	if !ok {
		return "", fmt.Errorf("read name: none has number %d", number)
	}
	return name, nil
}

// column scans a number as the name it stands for.
func (n *names) column(into *string) nameColumn { return nameColumn{n, into} }

type nameColumn struct {
	names *names
	into  *string
}

func (c nameColumn) Scan(value any) (err error) {
	number, _ := value.(int64)
	*c.into, err = c.names.of(number)
	return err
}
