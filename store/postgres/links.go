package postgres

import (
	"context"
	"fmt"

	"edgesync/dire"
)

var linkColumns = []column{
	{"assertion", number}, {"other", number}, {"apart", truth}, {"at", number}, {"by_whom", text}, {"reason", text},
}

// putLinks carries out plan.Unlinked and plan.Links. Each pair has two rows, one
// for either side to be found by.
func (w *writer) putLinks(ctx context.Context) error {
	rows := make([][]any, 0, 2*len(w.plan.Unlinked))
	for _, pair := range w.plan.Unlinked {
		a, b := w.homes[pair.A], w.homes[pair.B]
		rows = append(rows, []any{a, b}, []any{b, a})
	}
	err := w.s.batch(ctx, `DELETE FROM link l USING `, linkColumns[:2], rows, ` WHERE l.assertion = b.assertion AND l.other = b.other`)
	if err != nil {
		return fmt.Errorf("drop links: %w", err)
	}
	rows = make([][]any, 0, 2*len(w.plan.Links))
	for i := range w.plan.Links {
		l := &w.plan.Links[i]
		a, b := w.homes[l.A], w.homes[l.B]
		for _, side := range [...][2]int64{{a, b}, {b, a}} {
			rows = append(rows, []any{side[0], side[1], l.Apart, micros(l.At), l.By, l.Reason})
		}
	}
	err = w.s.batch(ctx, `INSERT INTO link (assertion, other, apart, at, by_whom, reason) SELECT * FROM `, linkColumns, rows, `
		ON CONFLICT (assertion, other) DO UPDATE SET apart = excluded.apart, at = excluded.at,
			by_whom = excluded.by_whom, reason = excluded.reason`)
	if err != nil {
		return fmt.Errorf("put links: %w", err)
	}
	return nil
}

const selectLink = `SELECT a.home_id, o.home_id, l.apart, l.at, l.by_whom, l.reason `

func scanLink(row scanner) (dire.Link, error) {
	var l dire.Link
	err := row.Scan(&l.A, &l.B, &l.Apart, timeColumn{&l.At}, &l.By, &l.Reason)
	return l, err
}

// linksOf reads the links of which one of the assertions is a side.
func (t tenantTx) linksOf(ctx context.Context, assertions []dire.Assertion) ([]dire.Link, error) {
	if len(assertions) == 0 {
		return nil, nil
	}
	var some bool
	if err := t.s.one(ctx, `SELECT EXISTS (SELECT FROM link)`, nil, &some); err != nil || !some {
		return nil, err
	}
	homes := make([]string, len(assertions))
	for i := range assertions {
		homes[i] = assertions[i].HomeID
	}
	var links []dire.Link
	found := map[dire.Pair]bool{}
	err := t.s.each(ctx, selectLink+`
		FROM unnest($1::text[]) b (home)
		JOIN assertion a ON a.home_id = b.home
		JOIN link l ON l.assertion = a.id
		JOIN assertion o ON o.id = l.other`, []any{homes},
		func(row scanner) error {
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

func (t tenantTx) Links(ctx context.Context) ([]dire.Link, error) {
	links, err := all(ctx, t.s, scanLink, selectLink+`
		FROM link l
		JOIN assertion a ON a.id = l.assertion
		JOIN assertion o ON o.id = l.other
		WHERE a.home_id < o.home_id ORDER BY a.home_id, o.home_id`)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}
