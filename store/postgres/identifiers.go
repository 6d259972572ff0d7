package postgres

import (
	"context"
	"fmt"
	"slices"

	"edgesync/dire"
)

// identifierRow is a row of identifier, all of which is its key.
type identifierRow struct {
	value, kind                         string
	partition, class, source, assertion int64
}

func (r identifierRow) cells() []any {
	return []any{r.partition, r.class, r.source, r.assertion, r.kind, r.value}
}

var identifierColumns = []column{
	{"partition", number}, {"class", number}, {"source", number}, {"assertion", number}, {"kind", text}, {"value", text},
}

// putIdentifiers writes only the difference: what changes about a thing is
// seldom what it is found by.
func (w *writer) putIdentifiers(ctx context.Context) error {
	stored, err := w.storedIdentifiers(ctx)
	if err != nil {
		return fmt.Errorf("read identifiers: %w", err)
	}
	var added, removed [][]any
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		for j, identifier := range a.Identifiers {
			if slices.Contains(a.Identifiers[:j], identifier) {
				continue
			}
			row := identifierRow{
				identifier.Value, string(identifier.Kind), w.names.number[a.Partition], class(a),
				w.names.number[a.Source], w.put[i],
			}
			if stored[row] {
				delete(stored, row)
				continue
			}
			added = append(added, row.cells())
		}
	}
	for row := range stored {
		removed = append(removed, row.cells())
	}
	err = w.s.batch(ctx, `
		DELETE FROM identifier i USING `, identifierColumns, removed, `
		WHERE i.value = b.value AND i.kind = b.kind AND i.partition = b.partition AND i.class = b.class
			AND i.source = b.source AND i.assertion = b.assertion`)
	if err != nil {
		return fmt.Errorf("remove identifiers: %w", err)
	}
	if err := w.s.copy(ctx, "identifier", columnNames(identifierColumns), added); err != nil {
		return fmt.Errorf("add identifiers: %w", err)
	}
	return nil
}

// storedIdentifiers are those of the assertions that the plan replaces.
func (w *writer) storedIdentifiers(ctx context.Context) (map[identifierRow]bool, error) {
	var replaced []int64
	for _, number := range w.put {
		if !w.isNew(number) {
			replaced = append(replaced, number)
		}
	}
	if len(replaced) == 0 {
		return nil, nil
	}
	stored := map[identifierRow]bool{}
	err := w.s.each(ctx, `
		SELECT i.value, i.kind, i.partition, i.class, i.source, i.assertion
		FROM unnest($1::bigint[]) b (id) JOIN identifier i ON i.assertion = b.id`, []any{replaced},
		func(row scanner) error {
			var r identifierRow
			err := row.Scan(&r.value, &r.kind, &r.partition, &r.class, &r.source, &r.assertion)
			stored[r] = true
			return err
		})
	return stored, err
}

// class is identifier.class.
func class(a *dire.Assertion) int64 {
	class := int64(0)
	if a.Retracted() {
		class++
	}
	if a.Native() {
		class += 2
	}
	return class
}
