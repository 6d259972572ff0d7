package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"edgesync/dire"
)

// putLinks carries out plan.Unlinked and plan.Links. Each pair has two rows, one
// for either side to be found by.
func (w *writer) putLinks(ctx context.Context) error {
	rows := make([][]driver.Value, 0, 2*len(w.plan.Unlinked))
	for _, pair := range w.plan.Unlinked {
		a, b := w.homes[pair.A], w.homes[pair.B]
		rows = append(rows, []driver.Value{a, b}, []driver.Value{b, a})
	}
	err := w.s.insert(ctx, rows, `DELETE FROM link WHERE (assertion, other) IN (SELECT c0, c1 FROM batch(?))`)
	if err != nil {
		return fmt.Errorf("drop links: %w", err)
	}
	rows = make([][]driver.Value, 0, 2*len(w.plan.Links))
	for i := range w.plan.Links {
		l := &w.plan.Links[i]
		a, b := w.homes[l.A], w.homes[l.B]
		for _, side := range [...][2]int64{{a, b}, {b, a}} {
			rows = append(rows, []driver.Value{side[0], side[1], flag(l.Apart), micros(l.At), l.By, l.Reason})
		}
	}
	err = w.s.insert(ctx, rows, `
		INSERT INTO link (assertion, other, apart, at, by_whom, reason)
		SELECT c0, c1, c2, c3, c4, c5 FROM batch(?) WHERE true
		ON CONFLICT (assertion, other) DO UPDATE SET apart = excluded.apart, at = excluded.at,
			by_whom = excluded.by_whom, reason = excluded.reason`)
	if err != nil {
		return fmt.Errorf("put links: %w", err)
	}
	return nil
}

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

const selectLink = `SELECT a.home_id, o.home_id, l.apart, l.at, l.by_whom, l.reason `

func scanLink(row scanner) (dire.Link, error) {
	var l dire.Link
	err := row.Scan(&l.A, &l.B, &l.Apart, timeColumn{&l.At}, &l.By, &l.Reason)
	return l, err
}

// linksOf reads the links of which one of the assertions is a side.
func (t tenantTx) linksOf(ctx context.Context, assertions []dire.Assertion) ([]dire.Link, error) {
	var any bool
	if len(assertions) == 0 {
		return nil, nil
	}
	if err := t.s.one(ctx, `SELECT EXISTS (SELECT 1 FROM link)`, nil, &any); err != nil || !any {
		return nil, err
	}
	rows := make([][]driver.Value, len(assertions))
	for i := range assertions {
		rows[i] = []driver.Value{assertions[i].HomeID}
	}
	var links []dire.Link
	found := map[dire.Pair]bool{}
	err := t.s.join(ctx, rows, selectLink+`
		FROM batch(?) b
		CROSS JOIN assertion a ON a.home_id = b.c0
		CROSS JOIN link l ON l.assertion = a.id
		CROSS JOIN assertion o ON o.id = l.other`,
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
		CROSS JOIN assertion a ON a.id = l.assertion
		CROSS JOIN assertion o ON o.id = l.other
		WHERE a.home_id < o.home_id ORDER BY a.home_id, o.home_id`)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}
