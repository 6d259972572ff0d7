package relational

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"edgesync/dire"
)

// The table identifier finds assertions by what they are known by. What an
// assertion is known by, for the way back, is a list in its fact: "kind value" of
// each.

func encodeIdentifiers(ids []dire.Identifier) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id.Kind) + " " + id.Value
	}
	return jsonList(list)
}

func decodeIdentifiers(text string) ([]dire.Identifier, error) {
	var list []string
	if err := asJSON(&list).Scan(text); err != nil {
		return nil, fmt.Errorf("read identifiers: %w", err)
	}
	var ids []dire.Identifier
	for _, one := range list {
		kind, value, _ := strings.Cut(one, " ")
		ids = append(ids, dire.Identifier{Kind: dire.IdentifierKind(kind), Value: value})
	}
	return ids, nil
}

// holding is what the identifiers of an assertion are stored with.
type holding struct{ partition, class, source, assertion int64 }

// identifierRow is a row of identifier, all of which is its key.
type identifierRow struct {
	holding
	id dire.Identifier
}

// identifierRows are rows in the order of their index: what comes to one page of
// it is written there at once.
func identifierRows(list []identifierRow) *Rows {
	slices.SortFunc(list, func(a, b identifierRow) int { return strings.Compare(a.id.Value, b.id.Value) })
	n := len(list)
	partition, class, source, assertion := NewInts("partition", n), NewInts("class", n), NewInts("source", n), NewInts("assertion", n)
	kind, value := NewTexts("kind", n), NewTexts("value", n)
	for _, row := range list {
		partition.Add(row.partition)
		class.Add(row.class)
		source.Add(row.source)
		assertion.Add(row.assertion)
		kind.Add(string(row.id.Kind))
		value.Add(row.id.Value)
	}
	return NewRows(partition, class, source, assertion, kind, value)
}

// putIdentifiers writes only the difference: what changes about a thing is
// seldom what it is found by.
func (w *writer) putIdentifiers(ctx context.Context) error {
	stored, err := w.storedIdentifiers(ctx)
	if err != nil {
		return fmt.Errorf("read identifiers: %w", err)
	}
	added, removed := make([]identifierRow, 0, 3*len(w.plan.Put)), []identifierRow(nil)
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		now := holding{w.names.number[a.Partition], class(a.Key, a.Retracted()), w.names.number[a.Source], w.put[i]}
		old := stored[w.put[i]]
		stay := old.holding == now
		for j, id := range a.Identifiers {
			if !slices.Contains(a.Identifiers[:j], id) && !(stay && slices.Contains(old.ids, id)) {
				added = append(added, identifierRow{now, id})
			}
		}
		for _, id := range old.ids {
			if !stay || !slices.Contains(a.Identifiers, id) {
				removed = append(removed, identifierRow{old.holding, id})
			}
		}
	}
	if len(removed) > 0 {
		_, err := w.s.Exec(ctx, `
			DELETE FROM identifier WHERE (value, kind, partition, class, source, assertion) IN
				(SELECT b.value, b.kind, b.partition, b.class, b.source, b.assertion FROM rows(?) b)`, identifierRows(removed))
		if err != nil {
			return fmt.Errorf("remove identifiers: %w", err)
		}
	}
	if err := w.s.Insert(ctx, "identifier", identifierRows(added)); err != nil {
		return fmt.Errorf("add identifiers: %w", err)
	}
	return nil
}

// storedIdentifiers are the identifiers of an assertion as they are stored.
type storedIdentifiers struct {
	holding
	ids []dire.Identifier
}

// storedIdentifiers are those of the assertions that the plan replaces.
func (w *writer) storedIdentifiers(ctx context.Context) (map[int64]storedIdentifiers, error) {
	replaced := NewInts("id", 0)
	for _, number := range w.put {
		if !w.isNew(number) {
			replaced.Add(number)
		}
	}
	if replaced.Len() == 0 {
		return nil, nil
	}
	stored := make(map[int64]storedIdentifiers, replaced.Len())
	err := w.s.Each(ctx, `
		SELECT a.id, a.partition, a.source, a.key, a.retracted_at IS NOT NULL, f.identifiers
		FROM rows(?) b
		LOOKUP assertion a ON a.id = b.id
		LOOKUP fact f ON f.assertion = a.id`, []any{NewRows(replaced)},
		func(row Row) error {
			var s storedIdentifiers
			var key, text string
			var retracted bool
			err := row.Scan(&s.assertion, &s.partition, &s.source, &key, &retracted, &text)
			if err == nil {
				s.class = class(key, retracted)
				s.ids, err = decodeIdentifiers(text)
			}
			stored[s.assertion] = s
			return err
		})
	return stored, err
}

// class is identifier.class.
func class(key string, retracted bool) int64 {
	class := int64(0)
	if retracted {
		class++
	}
	if dire.IsNative(key) {
		class += 2
	}
	return class
}

// byKind orders identifiers for who reads them.
func byKind(a, b dire.Identifier) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
}
