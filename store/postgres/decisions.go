package postgres

import (
	"context"
	"fmt"
	"slices"

	"edgesync/core"
	"edgesync/dire"
)

// putDecisions carries out plan.Decisions.
func (w *writer) putDecisions(ctx context.Context) error {
	if len(w.plan.Decisions) == 0 {
		return nil
	}
	var last int64
	if err := w.s.one(ctx, `SELECT coalesce(max(id), 0) FROM decision`, nil, &last); err != nil {
		return fmt.Errorf("number decisions: %w", err)
	}
	rows := make([][]any, len(w.plan.Decisions))
	var subjects [][]any
	for i := range w.plan.Decisions {
		d := &w.plan.Decisions[i]
		body, err := dire.EncodeDecision(d)
		if err != nil {
			return err
		}
		last++
		rows[i] = []any{last, string(body)}
		for _, home := range d.Subjects {
			subjects = append(subjects, []any{w.homes[home], last})
		}
	}
	if err := w.s.copy(ctx, "decision", []string{"id", "body"}, rows); err != nil {
		return fmt.Errorf("put decisions: %w", err)
	}
	if err := w.s.copy(ctx, "decision_subject", []string{"assertion", "decision"}, subjects); err != nil {
		return fmt.Errorf("put subjects of decisions: %w", err)
	}
	return nil
}

func (t tenantTx) Decisions(ctx context.Context, homes []string, limit int) ([]dire.Decision, error) {
	found, err := all(ctx, t.s, func(row scanner) (d dire.Decision, err error) {
		var body string
		if err := row.Scan(&body); err != nil {
			return d, err
		}
		return dire.DecodeDecision([]byte(body))
	}, `
		SELECT d.body FROM (
			SELECT DISTINCT s.decision AS id FROM unnest($1::text[]) b (home)
			JOIN assertion a ON a.home_id = b.home
			JOIN decision_subject s ON s.assertion = a.id
			ORDER BY s.decision DESC LIMIT $2) x
		JOIN decision d ON d.id = x.id ORDER BY d.id DESC`, homes, limitOr(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	slices.Reverse(found)
	return found, nil
}

func (t tenantTx) Assertions(ctx context.Context, yield func(dire.Assertion) error) error {
	names, err := t.s.names(ctx)
	if err == nil {
		err = stream(ctx, t.s, names.scanAssertion, yield, selectAssertion+`
			FROM name so
			JOIN assertion a ON a.source = so.id
			JOIN standing s ON s.assertion = a.id
			ORDER BY so.value, a.key`)
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
	JOIN name p ON p.id = x.partition
	ORDER BY x.kind, p.value, x.value LIMIT $1
),
held (kind, partition, value, device) AS (
	SELECT s.kind, s.partition, s.value, t.device FROM shared s
	JOIN identifier i ON i.value = s.value AND i.kind = s.kind AND i.partition = s.partition
	JOIN standing t ON t.assertion = i.assertion
	WHERE s.kind <> 'hostname' AND i.class IN (0, 2)
	UNION
	SELECT s.kind, s.partition, s.value, d.id FROM shared s
	JOIN device d ON d.partition = s.partition AND d.hostname = s.value
	WHERE s.kind = 'hostname' AND NOT d.retracted
)
SELECT h.kind, p.value, h.value, d.device_id FROM held h
JOIN name p ON p.id = h.partition
JOIN device d ON d.id = h.device
ORDER BY h.kind, p.value, h.value, d.device_id`

// Duplicates reads whole tables, for an operator who asks.
func (t tenantTx) Duplicates(ctx context.Context, limit int) ([]core.Duplicate, error) {
	// No index finds a host name: these are joined by their hashes.
	if _, err := t.s.exec(ctx, `SET LOCAL enable_hashjoin = on`); err != nil {
		return nil, fmt.Errorf("list duplicates: %w", err)
	}
	var found []core.Duplicate
	err := t.s.each(ctx, duplicatesQuery, []any{limitOr(int64(limit))}, func(row scanner) error {
		var d core.Duplicate
		var device string
		if err := row.Scan(&d.Kind, &d.Partition, &d.Value, &device); err != nil {
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
