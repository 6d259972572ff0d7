package relational

import (
	"context"
	"fmt"

	"edgesync/dire"
)

// linkSides are rows that name the two sides of pairs, each pair twice: a link
// has two rows, one for either side to be found by.
type linkSides struct{ assertion, other *Ints }

func newLinkSides(pairs int) linkSides {
	return linkSides{NewInts("assertion", 2*pairs), NewInts("other", 2*pairs)}
}

func (l linkSides) add(a, b int64) {
	l.assertion.Add(a)
	l.other.Add(b)
	l.assertion.Add(b)
	l.other.Add(a)
}

// putLinks carries out plan.Unlinked and plan.Links.
func (w *writer) putLinks(ctx context.Context) error {
	if n := len(w.plan.Unlinked); n > 0 {
		sides := newLinkSides(n)
		for _, pair := range w.plan.Unlinked {
			sides.add(w.homes[pair.A], w.homes[pair.B])
		}
		_, err := w.s.Exec(ctx, `DELETE FROM link WHERE (assertion, other) IN (SELECT b.assertion, b.other FROM rows(?) b)`,
			NewRows(sides.assertion, sides.other))
		if err != nil {
			return fmt.Errorf("drop links: %w", err)
		}
	}
	n := len(w.plan.Links)
	if n == 0 {
		return nil
	}
	sides := newLinkSides(n)
	apart, at, by, reason := NewTruths("apart", 2*n), NewInts("at", 2*n), NewTexts("by_whom", 2*n), NewTexts("reason", 2*n)
	for i := range w.plan.Links {
		l := &w.plan.Links[i]
		sides.add(w.homes[l.A], w.homes[l.B])
		for range 2 {
			apart.Add(l.Apart)
			at.addMicros(l.At)
			by.Add(l.By)
			reason.Add(l.Reason)
		}
	}
	_, err := w.s.Exec(ctx, `
		INSERT INTO link (assertion, other, apart, at, by_whom, reason)
		SELECT b.assertion, b.other, b.apart, b.at, b.by_whom, b.reason FROM rows(?) b WHERE true
		ON CONFLICT (assertion, other) DO UPDATE SET apart = excluded.apart, at = excluded.at,
			by_whom = excluded.by_whom, reason = excluded.reason`,
		NewRows(sides.assertion, sides.other, apart, at, by, reason))
	if err != nil {
		return fmt.Errorf("put links: %w", err)
	}
	return nil
}

const selectLink = `SELECT a.home, o.home, l.apart, l.at, l.by_whom, l.reason `

func scanLink(row Row) (dire.Link, error) {
	var l dire.Link
	err := row.Scan(homeColumn{&l.A}, homeColumn{&l.B}, &l.Apart, timeColumn{&l.At}, &l.By, &l.Reason)
	return l, err
}

// linksOf reads the links of which one of the assertions is a side.
func (t Tenant) linksOf(ctx context.Context, assertions []dire.Assertion) ([]dire.Link, error) {
	if len(assertions) == 0 {
		return nil, nil
	}
	var some bool
	if err := One(ctx, t.s, `SELECT EXISTS (SELECT 1 FROM link)`, nil, &some); err != nil || !some {
		return nil, err
	}
	homes := make([]string, len(assertions))
	for i := range assertions {
		homes[i] = assertions[i].HomeID
	}
	var links []dire.Link
	found := map[dire.Pair]bool{}
	err := t.s.Each(ctx, selectLink+`
		FROM rows(?) b
		LOOKUP assertion a ON a.home = b.home
		LOOKUP link l ON l.assertion = a.id
		LOOKUP assertion o ON o.id = l.other`, []any{homeRows(homes)},
		func(row Row) error {
			l, err := scanLink(row)
			if pair := dire.PairOf(l.A, l.B); err == nil && !found[pair] {
				found[pair] = true
				l.A, l.B = pair.A, pair.B
				links = append(links, l)
			}
			return err
		})
	return links, err
}

// Links are all of them.
func (t Tenant) Links(ctx context.Context) ([]dire.Link, error) {
	links, err := All(ctx, t.s, scanLink, selectLink+`
		FROM link l
		STRAIGHT_JOIN assertion a ON a.id = l.assertion
		STRAIGHT_JOIN assertion o ON o.id = l.other
		WHERE a.home < o.home ORDER BY a.home, o.home`)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}
