package postgres

import (
	"context"
	"fmt"

	"edgesync/dire"
)

// Neighbourhood reads what dire.Neighbourhood describes. What a batch repeats is
// found out first; the walk starts only from the rest.
func (t tenantTx) Neighbourhood(ctx context.Context, probe dire.Probe) (dire.Neighbourhood, error) {
	fail := func(err error) (dire.Neighbourhood, error) {
		return dire.Neighbourhood{}, fmt.Errorf("read neighbourhood: %w", err)
	}
	names, err := t.s.names(ctx)
	if err != nil {
		return fail(err)
	}
	var near dire.Neighbourhood
	if near.Known, err = t.known(ctx, names, probe); err != nil {
		return fail(err)
	}
	reach := probe.Reach(near.Known)
	if near.Homes, err = t.homes(ctx, reach.Homes); err != nil {
		return fail(err)
	}
	if near.Assertions, err = t.near(ctx, names, reach); err != nil {
		return fail(err)
	}
	if near.Links, err = t.linksOf(ctx, near.Assertions); err != nil {
		return fail(err)
	}
	return near, nil
}

// probed is which assertions of a source were asked for, and the numbers of
// those that are stored. It spares a plan that follows asking again.
type probed struct {
	source string
	keys   map[string]place
}

// place is the number of an assertion and that of its device, 0 for one that is
// not stored.
type place struct{ assertion, device int64 }

// known reads what is stored of a probe's keys.
func (t tenantTx) known(ctx context.Context, names *names, probe dire.Probe) ([]dire.Known, error) {
	t.s.probed = &probed{source: probe.Source, keys: make(map[string]place, len(probe.Keys))}
	for _, key := range probe.Keys {
		t.s.probed.keys[key] = place{}
	}
	source, ok := names.number[probe.Source]
	if !ok || len(probe.Keys) == 0 {
		return nil, nil
	}
	scan := func(row scanner) (dire.Known, error) {
		var k dire.Known
		var at place
		err := row.Scan(&at.assertion, &at.device, &k.Key, names.column(&k.Partition), hashColumn{&k.Hash}, &k.Run.ID, timeColumn{&k.Run.Started}, &k.Run.Chunk,
			&k.DeviceID, timeColumn{&k.LastSeen}, timeColumn{&k.RetractedAt})
		t.s.probed.keys[k.Key] = at
		return k, err
	}
	return all(ctx, t.s, scan, `
		SELECT a.id, s.device, a.key, a.partition, a.hash, s.run_id, s.run_started, s.chunk,
			CASE WHEN s.device = a.id THEN a.home_id ELSE (SELECT home_id FROM assertion WHERE id = s.device) END,
			s.last_seen, a.retracted_at
		FROM unnest($2::text[]) b (key)
		JOIN assertion a ON a.source = $1 AND a.key = b.key
		JOIN standing s ON s.assertion = a.id`, source, probe.Keys)
}

// homes are those of ids that some assertion has as its home id.
func (t tenantTx) homes(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	scan := func(row scanner) (id string, err error) { return id, row.Scan(&id) }
	return all(ctx, t.s, scan, `
		SELECT b.id FROM unnest($1::text[]) b (id) JOIN assertion a ON a.home_id = b.id`, ids)
}

const selectAssertion = `
	SELECT a.source, a.key, a.partition, a.facts, a.hash, s.run_id, s.run_started, s.chunk, a.home_id,
		CASE WHEN s.device = a.id THEN a.home_id ELSE (SELECT home_id FROM assertion WHERE id = s.device) END,
		a.first_seen, s.last_seen, a.changed, a.retracted_at`

// scanAssertion scans what selectAssertion reads.
func (n *names) scanAssertion(row scanner) (dire.Assertion, error) {
	var a dire.Assertion
	err := row.Scan(n.column(&a.Source), &a.Key, n.column(&a.Partition), factsColumn{&a.Facts}, hashColumn{&a.Hash},
		&a.Run.ID, timeColumn{&a.Run.Started}, &a.Run.Chunk, &a.HomeID, &a.DeviceID, timeColumn{&a.FirstSeen},
		timeColumn{&a.LastSeen}, timeColumn{&a.Changed}, timeColumn{&a.RetractedAt})
	return a, err
}

// hashColumn scans an assertion's hash.
type hashColumn struct{ into *[32]byte }

func (c hashColumn) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok || len(b) != len(c.into) {
		return fmt.Errorf("read hash: it is stored as %T of length %d", value, len(b))
	}
	copy(c.into[:], b)
	return nil
}

// factsColumn scans an assertion's facts.
type factsColumn struct{ into *dire.Facts }

func (c factsColumn) Scan(value any) (err error) {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("read facts: they are stored as %T", value)
	}
	*c.into, err = dire.DecodeFacts([]byte(text))
	return err
}

// walkQuery follows the steps of dire.Neighbourhood. $1 and $2 are the source
// and the keys of the stored assertions that change; $3, $4 and $5 the values,
// kinds and partition of what the batch says; $6 the home ids of assertions that
// it is about besides.
//
// The walk has three kinds of rows, so that nothing is followed twice: an
// assertion; an identifier, (value, kind, partition); and the holders of one
// that are of one source and class, the same with source and class. An
// identifier that only an assertion of the batch holds leads nowhere new and is
// left out. Of native holders (class 2 and 3) only those up to the second that
// the batch does not speak of are followed: however many share a made-up serial
// number, a batch meets few of them. Assertions are numbered, which makes "up to
// the second" an index range whose end is found once for each group.
//
// A weak assertion needs to know whether one device has its address or several:
// the lowest and the highest device outside the walk tell.
//
// A recursive query may name itself once, so the steps are the arms of one
// lateral union; OFFSET 0 and LIMIT keep the planner from turning what is to be
// looked up row by row into a join of whole tables.
const walkQuery = `
WITH RECURSIVE
start (id) AS MATERIALIZED (
	SELECT a.id FROM unnest($2::text[]) b (key) CROSS JOIN LATERAL (
		SELECT a.id FROM assertion a WHERE a.source = $1 AND a.key = b.key OFFSET 0
	) a
	UNION
	SELECT a.id FROM unnest($6::text[]) b (home) CROSS JOIN LATERAL (
		SELECT a.id FROM assertion a WHERE a.home_id = b.home OFFSET 0
	) a
),
said (value, kind, partition) AS MATERIALIZED (
	SELECT value COLLATE "C", kind COLLATE "C", $5::bigint FROM unnest($3::text[], $4::text[]) b (value, kind)
),
walk (assertion, value, kind, partition, source, class) AS (
	(
		SELECT id, NULL COLLATE "C", NULL COLLATE "C", NULL::bigint, NULL::bigint, NULL::bigint FROM start
		UNION ALL
		SELECT NULL, b.value, b.kind, b.partition, NULL, NULL
		FROM said b CROSS JOIN LATERAL (
			SELECT FROM identifier o
			WHERE o.value = b.value AND o.kind = b.kind AND o.partition = b.partition
				AND o.assertion NOT IN (SELECT id FROM start)
			LIMIT 1
		) h
		WHERE b.kind IN ('mac', 'serial')
	)
	UNION
	SELECT n.assertion, n.value, n.kind, n.partition, n.source, n.class
	FROM walk w CROSS JOIN LATERAL (
		SELECT NULL::bigint AS assertion, i.value, i.kind, i.partition, NULL::bigint AS source, NULL::bigint AS class
		FROM identifier i
		WHERE w.assertion IS NOT NULL AND i.assertion = w.assertion AND i.kind IN ('mac', 'serial') AND EXISTS (
			SELECT FROM identifier o
			WHERE o.value = i.value AND o.kind = i.kind AND o.partition = i.partition AND o.assertion <> i.assertion
			OFFSET 0)
		UNION ALL
		SELECT l.other, NULL, NULL, NULL, NULL, NULL
		FROM link l WHERE w.assertion IS NOT NULL AND l.assertion = w.assertion AND NOT l.apart
		UNION ALL
		SELECT DISTINCT NULL::bigint, i.value, i.kind, i.partition, i.source, i.class
		FROM identifier i
		WHERE w.assertion IS NULL AND w.class IS NULL
			AND i.value = w.value AND i.kind = w.kind AND i.partition = w.partition
		UNION ALL
		SELECT i.assertion, NULL, NULL, NULL, NULL, NULL
		FROM identifier i
		WHERE w.class IS NOT NULL
			AND i.value = w.value AND i.kind = w.kind AND i.partition = w.partition
			AND i.class = w.class AND i.source = w.source
			AND i.assertion <= coalesce((
				SELECT o.assertion FROM identifier o
				WHERE w.class >= 2 AND o.value = w.value AND o.kind = w.kind AND o.partition = w.partition
					AND o.class = w.class AND o.source = w.source AND o.assertion NOT IN (SELECT id FROM start)
				ORDER BY o.value, o.kind, o.partition, o.class, o.source, o.assertion LIMIT 1 OFFSET 1), 9223372036854775807)
	) n
),
reached (id) AS MATERIALIZED (
	SELECT assertion FROM walk WHERE assertion IS NOT NULL
),
held (value, kind, partition) AS MATERIALIZED (
	SELECT i.value, i.kind, i.partition
	FROM reached r CROSS JOIN LATERAL (
		SELECT * FROM identifier i WHERE i.assertion = r.id AND i.kind IN ('ip', 'weak_ip') OFFSET 0
	) i
	UNION
	SELECT value, kind, partition FROM said WHERE kind IN ('ip', 'weak_ip')
),
weak (id) AS MATERIALIZED (
	SELECT DISTINCT i.assertion
	FROM held d CROSS JOIN LATERAL (
		SELECT i.assertion FROM identifier i
		WHERE i.value = d.value AND i.kind = 'weak_ip' AND i.partition = d.partition OFFSET 0
	) i
	WHERE d.kind = 'ip'
),
wanted (value, partition) AS MATERIALIZED (
	SELECT value, partition FROM held WHERE kind = 'weak_ip'
	UNION
	SELECT i.value, i.partition
	FROM weak r CROSS JOIN LATERAL (
		SELECT i.value, i.partition FROM identifier i WHERE i.assertion = r.id AND i.kind = 'weak_ip' OFFSET 0
	) i
),
outside (lowest, highest) AS MATERIALIZED (
	SELECT min(s.device), max(s.device)
	FROM wanted w CROSS JOIN LATERAL (
		SELECT i.assertion FROM identifier i
		WHERE i.value = w.value AND i.kind = 'ip' AND i.partition = w.partition AND i.class IN (0, 2)
			AND i.assertion NOT IN (SELECT id FROM reached)
		OFFSET 0
	) i CROSS JOIN LATERAL (
		SELECT s.device FROM standing s WHERE s.assertion = i.assertion OFFSET 0
	) s
	GROUP BY w.value, w.partition
),
near (device) AS MATERIALIZED (
	SELECT s.device
	FROM (SELECT id FROM reached UNION SELECT id FROM weak) r CROSS JOIN LATERAL (
		SELECT s.device FROM standing s WHERE s.assertion = r.id OFFSET 0
	) s
	UNION
	SELECT lowest FROM outside
	UNION
	SELECT highest FROM outside
)` + selectAssertion + `
FROM near n CROSS JOIN LATERAL (
	SELECT * FROM standing s WHERE s.device = n.device OFFSET 0
) s CROSS JOIN LATERAL (
	SELECT * FROM assertion a WHERE a.id = s.assertion OFFSET 0
) a`

// near reads the assertions a batch can touch.
func (t tenantTx) near(ctx context.Context, names *names, reach dire.Reach) ([]dire.Assertion, error) {
	if len(reach.Keys)+len(reach.Identifiers)+len(reach.Members) == 0 {
		return nil, nil
	}
	values, kinds := make([]string, len(reach.Identifiers)), make([]string, len(reach.Identifiers))
	for i, identifier := range reach.Identifiers {
		values[i], kinds[i] = identifier.Value, string(identifier.Kind)
	}
	// A source or a partition without a number has no rows, and no row has 0.
	return all(ctx, t.s, names.scanAssertion, walkQuery,
		names.number[reach.Source], reach.Keys, values, kinds, names.number[reach.Partition], reach.Members)
}
