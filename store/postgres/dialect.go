package postgres

import "edgesync/store/relational"

var dialect = relational.Dialect{
	Walk:  walk,
	Limit: limitOr,
	Holds: func(list string) string {
		return `CASE ` + list + ` WHEN '' THEN false ELSE jsonb_exists(` + list + `::jsonb, ?) END`
	},
	Search:  search,
	InPlace: ` ORDER BY x.place`,
	Wide:    `SET LOCAL enable_hashjoin = on`,
}

// limitOr is a limit as PostgreSQL takes it: NULL for none.
func limitOr(limit int64) any {
	if limit <= 0 {
		return (*int64)(nil)
	}
	return limit
}

// search reads device_text until enough is found.
func search(term string) (table string, args []any) {
	return `SELECT id FROM device_text WHERE strpos(text, ?) > 0`, []any{term}
}

// walk follows the steps of dire.Neighbourhood.
//
// It has three kinds of rows, so that nothing is followed twice: an assertion; an
// identifier, (value, kind, partition); and the holders of one that are of one
// source and class, the same with source and class. An identifier that only an
// assertion of the batch holds leads nowhere new and is left out. Of native
// holders (class 2 and 3) only those up to the second that the batch does not
// speak of are followed: however many share a made-up serial number, a batch
// meets few of them. Assertions are numbered, which makes "up to the second" an
// index range whose end is found once for each group.
//
// Where no weak assertion is, no address is looked for. One that is needs to know
// whether one device has its address or several: the lowest and the highest
// device outside the walk tell.
//
// A recursive query may name itself once, so the steps are the arms of one
// lateral union; OFFSET 0 and LIMIT keep the planner from turning what is to be
// looked up row by row into a join of whole tables.
const walk = `
WITH RECURSIVE
start (id) AS MATERIALIZED (
	SELECT a.id FROM (SELECT ?::bigint AS source) w CROSS JOIN rows(?) b CROSS JOIN LATERAL (
		SELECT a.id FROM assertion a WHERE a.source = w.source AND a.key = b.key OFFSET 0
	) a
	UNION
	SELECT a.id FROM rows(?) b CROSS JOIN LATERAL (
		SELECT a.id FROM assertion a WHERE a.home = b.home OFFSET 0
	) a
),
walk (assertion, value, kind, partition, source, class) AS (
	(
		SELECT id, NULL COLLATE "C", NULL COLLATE "C", NULL::bigint, NULL::bigint, NULL::bigint FROM start
		UNION ALL
		SELECT NULL, b.value COLLATE "C", b.kind COLLATE "C", w.partition, NULL, NULL
		FROM (SELECT ?::bigint AS partition) w CROSS JOIN rows(?) b CROSS JOIN LATERAL (
			SELECT FROM identifier o
			WHERE o.value = b.value AND o.kind = b.kind AND o.partition = w.partition
				AND o.assertion NOT IN (SELECT id FROM start)
			LIMIT 1
		) h
	)
	UNION
	SELECT n.assertion, n.value, n.kind, n.partition, n.source, n.class
	FROM walk w CROSS JOIN LATERAL (
		SELECT NULL::bigint AS assertion, i.value, i.kind, i.partition, NULL::bigint AS source, NULL::bigint AS class
		FROM (
			SELECT substr(i.one, strpos(i.one, ' ') + 1) COLLATE "C" AS value, split_part(i.one, ' ', 1) COLLATE "C" AS kind, a.partition
			FROM assertion a JOIN fact f ON f.assertion = a.id, json_array_elements_text(nullif(f.identifiers, '')::json) i (one)
			WHERE a.id = w.assertion
			OFFSET 0
		) i
		WHERE i.kind IN ('mac', 'serial') AND EXISTS (
			SELECT FROM identifier o
			WHERE o.value = i.value AND o.kind = i.kind AND o.partition = i.partition AND o.assertion <> w.assertion
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
weakness (one) AS MATERIALIZED (
	SELECT true FROM identifier WHERE kind = 'weak_ip' LIMIT 1
),
held (value, kind, partition) AS MATERIALIZED (
	SELECT b.value COLLATE "C", b.kind COLLATE "C", w.partition FROM (SELECT ?::bigint AS partition) w CROSS JOIN rows(?) b
	WHERE b.kind = 'weak_ip' OR (SELECT one FROM weakness)
	UNION
	SELECT substr(i.one, strpos(i.one, ' ') + 1) COLLATE "C", split_part(i.one, ' ', 1) COLLATE "C", i.partition
	FROM reached r CROSS JOIN LATERAL (
		SELECT a.partition, i.one
		FROM assertion a JOIN fact f ON f.assertion = a.id, json_array_elements_text(nullif(f.identifiers, '')::json) i (one)
		WHERE a.id = r.id
		OFFSET 0
	) i
	WHERE (SELECT one FROM weakness) AND split_part(i.one, ' ', 1) IN ('ip', 'weak_ip')
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
	SELECT substr(i.one, strpos(i.one, ' ') + 1) COLLATE "C", i.partition
	FROM weak r CROSS JOIN LATERAL (
		SELECT a.partition, i.one
		FROM assertion a JOIN fact f ON f.assertion = a.id, json_array_elements_text(nullif(f.identifiers, '')::json) i (one)
		WHERE a.id = r.id
		OFFSET 0
	) i
	WHERE split_part(i.one, ' ', 1) = 'weak_ip'
),
outside (lowest, highest) AS MATERIALIZED (
	SELECT min(s.device), max(s.device)
	FROM wanted w CROSS JOIN LATERAL (
		SELECT i.assertion FROM identifier i
		WHERE i.value = w.value AND i.kind = 'ip' AND i.partition = w.partition AND i.class IN (0, 2)
			AND i.assertion NOT IN (SELECT id FROM reached)
		OFFSET 0
	) i CROSS JOIN LATERAL (
		SELECT s.device FROM assertion s WHERE s.id = i.assertion OFFSET 0
	) s
	GROUP BY w.value, w.partition
),
near (device) AS MATERIALIZED (
	SELECT s.device
	FROM (SELECT id FROM reached UNION SELECT id FROM weak) r CROSS JOIN LATERAL (
		SELECT s.device FROM assertion s WHERE s.id = r.id OFFSET 0
	) s
	UNION
	SELECT lowest FROM outside
	UNION
	SELECT highest FROM outside
)`
