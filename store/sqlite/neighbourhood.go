package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
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
	if near.Known, err = t.readKnown(ctx, names, probe); err != nil {
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

// readKnown reads what is stored of a probe's keys.
func (t tenantTx) readKnown(ctx context.Context, names names, probe dire.Probe) ([]dire.Known, error) {
	rows := make([][]driver.Value, len(probe.Keys))
	for i, key := range probe.Keys {
		rows[i] = []driver.Value{names.number[probe.Source], key}
	}
	found := make([]dire.Known, 0, len(rows))
	clear(t.known)
	err := t.s.join(ctx, rows, `
		SELECT a.key, a.partition, a.hash, s.run_id, s.run_started, s.chunk,
			CASE WHEN s.device = a.id THEN a.home_id ELSE (SELECT home_id FROM assertion WHERE id = s.device) END,
			s.last_seen, a.retracted_at, a.id, s.device
		FROM batch(?) b
		CROSS JOIN assertion a ON a.source = b.c0 AND a.key = b.c1
		CROSS JOIN standing s ON s.assertion = a.id`,
		func(row scanner) error {
			var k dire.Known
			var n numbers
			err := row.Scan(&k.Key, names.column(&k.Partition), hashColumn{&k.Hash}, &k.Run.ID, timeColumn{&k.Run.Started}, &k.Run.Chunk,
				&k.DeviceID, timeColumn{&k.LastSeen}, timeColumn{&k.RetractedAt}, &n.assertion, &n.device)
			t.known[dire.Ref{Source: probe.Source, Key: k.Key}] = n
			found = append(found, k)
			return err
		})
	return found, err
}

// homes are those of ids that some assertion has as its home id.
func (t tenantTx) homes(ctx context.Context, ids []string) ([]string, error) {
	rows := make([][]driver.Value, len(ids))
	for i, id := range ids {
		rows[i] = []driver.Value{id}
	}
	var found []string
	err := t.s.join(ctx, rows, `SELECT b.c0 FROM batch(?) b CROSS JOIN assertion a ON a.home_id = b.c0`,
		func(row scanner) error {
			var id string
			err := row.Scan(&id)
			found = append(found, id)
			return err
		})
	return found, err
}

const selectAssertion = `
	SELECT a.source, a.key, a.partition, a.facts, a.hash, s.run_id, s.run_started, s.chunk, a.home_id,
		CASE WHEN s.device = a.id THEN a.home_id ELSE (SELECT home_id FROM assertion WHERE id = s.device) END,
		a.first_seen, s.last_seen, a.changed, a.retracted_at`

// scanAssertion scans what selectAssertion reads.
func (n names) scanAssertion(row scanner) (dire.Assertion, error) {
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

// walkQuery follows the steps of dire.Neighbourhood.
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
const walkQuery = `
WITH RECURSIVE
start (id) AS MATERIALIZED (
	SELECT a.id FROM batch(:keys) b CROSS JOIN assertion a ON a.source = b.c0 AND a.key = b.c1
	UNION
	SELECT a.id FROM batch(:members) b CROSS JOIN assertion a ON a.home_id = b.c0
),
walk (assertion, value, kind, partition, source, class) AS (
	SELECT id, NULL, NULL, NULL, NULL, NULL FROM start
	UNION
	SELECT NULL, b.c0, b.c1, b.c2, NULL, NULL FROM batch(:identifiers) b
	WHERE b.c1 IN ('mac', 'serial') AND (
		SELECT sum(1 + (h.assertion NOT IN (SELECT id FROM start))) FROM (
			SELECT o.assertion FROM identifier o WHERE o.value = b.c0 AND o.kind = b.c1 AND o.partition = b.c2 LIMIT 2
		) h) > 1
	UNION
	SELECT NULL, i.value, i.kind, i.partition, NULL, NULL
	FROM walk w CROSS JOIN identifier i ON i.assertion = w.assertion
	WHERE i.kind IN ('mac', 'serial') AND EXISTS (
		SELECT 1 FROM identifier o
		WHERE o.value = i.value AND o.kind = i.kind AND o.partition = i.partition AND o.assertion <> i.assertion)
	UNION
	SELECT l.other, NULL, NULL, NULL, NULL, NULL
	FROM walk w CROSS JOIN link l ON l.assertion = w.assertion WHERE l.apart = 0
	UNION
	SELECT NULL, i.value, i.kind, i.partition, i.source, i.class
	FROM walk w CROSS JOIN identifier i ON i.value = w.value AND i.kind = w.kind AND i.partition = w.partition
	WHERE w.class IS NULL
	UNION
	SELECT i.assertion, NULL, NULL, NULL, NULL, NULL
	FROM walk w CROSS JOIN identifier i ON i.value = w.value AND i.kind = w.kind AND i.partition = w.partition
		AND i.class = w.class AND i.source = w.source
		AND i.assertion <= coalesce((
			SELECT o.assertion FROM identifier o
			WHERE w.class >= 2 AND o.value = w.value AND o.kind = w.kind AND o.partition = w.partition
				AND o.class = w.class AND o.source = w.source AND o.assertion NOT IN (SELECT id FROM start)
			ORDER BY o.assertion LIMIT 1 OFFSET 1), 9223372036854775807)
),
reached (id) AS MATERIALIZED (
	SELECT assertion FROM walk WHERE assertion IS NOT NULL
),
held (value, kind, partition) AS MATERIALIZED (
	SELECT i.value, i.kind, i.partition FROM reached r CROSS JOIN identifier i ON i.assertion = r.id
	WHERE i.kind IN ('ip', 'weak_ip')
	UNION
	SELECT c0, c1, c2 FROM batch(:identifiers) WHERE c1 IN ('ip', 'weak_ip')
),
weak (id) AS MATERIALIZED (
	SELECT DISTINCT i.assertion FROM held d
	CROSS JOIN identifier i ON i.value = d.value AND i.kind = 'weak_ip' AND i.partition = d.partition
	WHERE d.kind = 'ip'
),
wanted (value, partition) AS (
	SELECT value, partition FROM held WHERE kind = 'weak_ip'
	UNION
	SELECT i.value, i.partition FROM weak r CROSS JOIN identifier i ON i.assertion = r.id WHERE i.kind = 'weak_ip'
),
outside (lowest, highest) AS MATERIALIZED (
	SELECT min(s.device), max(s.device) FROM wanted w
	CROSS JOIN identifier i ON i.value = w.value AND i.kind = 'ip' AND i.partition = w.partition
	CROSS JOIN standing s ON s.assertion = i.assertion
	WHERE i.class IN (0, 2) AND i.assertion NOT IN (SELECT id FROM reached)
	GROUP BY w.value, w.partition
),
near (device) AS (
	SELECT s.device FROM reached r CROSS JOIN standing s ON s.assertion = r.id
	UNION
	SELECT s.device FROM weak r CROSS JOIN standing s ON s.assertion = r.id
	UNION
	SELECT lowest FROM outside
	UNION
	SELECT highest FROM outside
)` + selectAssertion + `
FROM near n
CROSS JOIN standing s ON s.device = n.device
CROSS JOIN assertion a ON a.id = s.assertion`

// near reads the assertions a batch can touch.
func (t tenantTx) near(ctx context.Context, names names, reach dire.Reach) ([]dire.Assertion, error) {
	keys := make([][]driver.Value, len(reach.Keys))
	for i, key := range reach.Keys {
		keys[i] = []driver.Value{names.number[reach.Source], key}
	}
	identifiers := make([][]driver.Value, len(reach.Identifiers))
	for i, identifier := range reach.Identifiers {
		identifiers[i] = []driver.Value{identifier.Value, string(identifier.Kind), names.number[reach.Partition]}
	}
	members := make([][]driver.Value, len(reach.Members))
	for i, home := range reach.Members {
		members[i] = []driver.Value{home}
	}
	if len(keys)+len(identifiers)+len(members) == 0 {
		return nil, nil
	}
	var found []dire.Assertion
	err := withBatch(keys, func(k int64) error {
		return withBatch(identifiers, func(i int64) error {
			return withBatch(members, func(m int64) error {
				args := []any{sql.Named("keys", k), sql.Named("identifiers", i), sql.Named("members", m)}
				return t.s.eachOnce(ctx, walkQuery, args, func(row scanner) error {
					a, err := names.scanAssertion(row)
					found = append(found, a)
					return err
				})
			})
		})
	})
	return found, err
}
