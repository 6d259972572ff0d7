package relational

import (
	"context"
	"fmt"
	"slices"

	"edgesync/core"
	"edgesync/dire"
)

// putDecisions carries out plan.Decisions.
func (w *writer) putDecisions(ctx context.Context) error {
	n := len(w.plan.Decisions)
	if n == 0 {
		return nil
	}
	var last int64
	if err := One(ctx, w.s, `SELECT coalesce(max(id), 0) FROM decision`, nil, &last); err != nil {
		return fmt.Errorf("number decisions: %w", err)
	}
	ids, bodies := NewInts("id", n), NewTexts("body", n)
	subjects, decisions := NewInts("assertion", n), NewInts("decision", n)
	for i := range w.plan.Decisions {
		d := &w.plan.Decisions[i]
		body, err := dire.EncodeDecision(d)
		if err != nil {
			return err
		}
		last++
		ids.Add(last)
		bodies.Add(string(body))
		for _, home := range d.Subjects {
			subjects.Add(w.homes[home])
			decisions.Add(last)
		}
	}
	if err := w.s.Insert(ctx, "decision", NewRows(ids, bodies)); err != nil {
		return fmt.Errorf("put decisions: %w", err)
	}
	if err := w.s.Insert(ctx, "decision_subject", NewRows(subjects, decisions)); err != nil {
		return fmt.Errorf("put subjects of decisions: %w", err)
	}
	return nil
}

// Decisions are those about some assertions, by their homes.
func (t Tenant) Decisions(ctx context.Context, homes []string, limit int) ([]dire.Decision, error) {
	found, err := All(ctx, t.s, func(row Row) (d dire.Decision, err error) {
		var body string
		if err := row.Scan(&body); err != nil {
			return d, err
		}
		return dire.DecodeDecision([]byte(body))
	}, `
		SELECT d.body FROM (
			SELECT DISTINCT s.decision AS id FROM rows(?) b
			STRAIGHT_JOIN assertion a ON a.home = b.home
			STRAIGHT_JOIN decision_subject s ON s.assertion = a.id
			ORDER BY s.decision DESC LIMIT ?) x
		STRAIGHT_JOIN decision d ON d.id = x.id ORDER BY d.id DESC`, homeRows(homes), t.s.Dialect().Limit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	slices.Reverse(found)
	return found, nil
}

// assertionsAtOnce is how many assertions are held while all are gone through.
const assertionsAtOnce = 500

// Assertions are all of them, in order of source and key.
func (t Tenant) Assertions(ctx context.Context, yield func(dire.Assertion) error) error {
	names, err := namesOf(ctx, t.s)
	if err == nil {
		var page []numbered
		hand := func() error {
			assertions, err := sighted(ctx, t.s, sightings{}, page)
			page = page[:0]
			for i := range assertions {
				if err == nil {
					err = yield(assertions[i])
				}
			}
			return err
		}
		err = t.s.Stream(ctx, selectAssertion+`
			FROM name so
			STRAIGHT_JOIN assertion a ON a.source = so.id
			STRAIGHT_JOIN fact f ON f.assertion = a.id
			ORDER BY so.value, a.key`, nil, func(row Row) error {
			a, err := names.scanAssertion(row)
			if page = append(page, a); err == nil && len(page) == assertionsAtOnce {
				err = hand()
			}
			return err
		})
		if err == nil {
			err = hand()
		}
	}
	if err != nil {
		return fmt.Errorf("list assertions: %w", err)
	}
	return nil
}

// duplicatesQuery finds the identifiers and the names first, and then the
// devices of each, which comes out as a row a device.
const duplicatesQuery = `
WITH shared (kind, partition, value) AS MATERIALIZED (
	SELECT x.kind, x.partition, x.value FROM (
		SELECT DISTINCT kind, partition, value FROM identifier
		WHERE kind IN ('mac', 'serial') AND class = 2
		GROUP BY value, kind, partition, source HAVING count(*) > 1
		UNION ALL
		SELECT 'hostname', partition, hostname FROM device
		WHERE NOT retracted AND hostname <> '' GROUP BY partition, hostname HAVING count(*) > 1) x
	STRAIGHT_JOIN name p ON p.id = x.partition
	ORDER BY x.kind, p.value, x.value LIMIT ?
),
held (kind, partition, value, device) AS (
	SELECT s.kind, s.partition, s.value, t.device FROM shared s
	STRAIGHT_JOIN identifier i ON i.value = s.value AND i.kind = s.kind AND i.partition = s.partition
	STRAIGHT_JOIN assertion t ON t.id = i.assertion
	WHERE s.kind <> 'hostname' AND i.class IN (0, 2)
	UNION
	SELECT s.kind, s.partition, s.value, d.id FROM shared s
	STRAIGHT_JOIN device d ON d.partition = s.partition AND d.hostname = s.value
	WHERE s.kind = 'hostname' AND NOT d.retracted
)
SELECT h.kind, p.value, h.value, a.home FROM held h
STRAIGHT_JOIN name p ON p.id = h.partition
STRAIGHT_JOIN assertion a ON a.id = h.device
ORDER BY h.kind, p.value, h.value, a.home`

// Duplicates reads whole tables, for an operator who asks. A host name many
// devices have costs no more than one: no index finds it, and the database joins
// by a hash it makes.
func (t Tenant) Duplicates(ctx context.Context, limit int) ([]core.Duplicate, error) {
	if wide := t.s.Dialect().Wide; wide != "" {
		if _, err := t.s.Exec(ctx, wide); err != nil {
			return nil, fmt.Errorf("list duplicates: %w", err)
		}
	}
	var found []core.Duplicate
	err := t.s.Each(ctx, duplicatesQuery, []any{t.s.Dialect().Limit(int64(limit))}, func(row Row) error {
		var d core.Duplicate
		var device string
		if err := row.Scan(&d.Kind, &d.Partition, &d.Value, homeColumn{&device}); err != nil {
			return err
		}
		last := len(found) - 1
		if last < 0 || found[last].Kind != d.Kind || found[last].Partition != d.Partition || found[last].Value != d.Value {
			found = append(found, d)
			last++
		}
		if found[last].Count++; len(found[last].Devices) < core.MaxDuplicates {
			found[last].Devices = append(found[last].Devices, device)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list duplicates: %w", err)
	}
	// An operator's word may have made one device of those that share it.
	return slices.DeleteFunc(found, func(d core.Duplicate) bool { return d.Count < 2 }), nil
}
