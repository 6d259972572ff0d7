package sqlite

import "edgesync/store/relational"

var dialect = relational.Dialect{
	Walk:   walk,
	Limit:  limitOr,
	Holds:  func(list string) string { return `EXISTS (SELECT 1 FROM json_each(` + list + `) WHERE value = ?)` },
	Search: texts,
}

// limitOr is a limit as SQLite takes it: -1 for none.
func limitOr(limit int64) any {
	if limit <= 0 {
		return int64(-1)
	}
	return limit
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
const walk = `
WITH RECURSIVE
start (id) AS MATERIALIZED (
	SELECT a.id FROM (SELECT ? AS source) w CROSS JOIN rows(?) b CROSS JOIN assertion a ON a.source = w.source AND a.key = b.key
	UNION
	SELECT a.id FROM rows(?) b CROSS JOIN assertion a ON a.home = b.home
),
walk (assertion, value, kind, partition, source, class) AS (
	SELECT id, NULL, NULL, NULL, NULL, NULL FROM start
	UNION
	SELECT NULL, b.value, b.kind, w.partition, NULL, NULL FROM (SELECT ? AS partition) w CROSS JOIN rows(?) b
	WHERE (
		SELECT sum(1 + (h.assertion NOT IN (SELECT id FROM start))) FROM (
			SELECT o.assertion FROM identifier o WHERE o.value = b.value AND o.kind = b.kind AND o.partition = w.partition LIMIT 2
		) h) > 1
	UNION
	SELECT NULL, substr(i.value, instr(i.value, ' ') + 1), substr(i.value, 1, instr(i.value, ' ') - 1), a.partition, NULL, NULL
	FROM walk w CROSS JOIN assertion a ON a.id = w.assertion CROSS JOIN fact f ON f.assertion = a.id
	CROSS JOIN json_each(nullif(f.identifiers, '')) i
	WHERE (i.value GLOB 'mac *' OR i.value GLOB 'serial *') AND EXISTS (
		SELECT 1 FROM identifier o
		WHERE o.value = substr(i.value, instr(i.value, ' ') + 1) AND o.kind = substr(i.value, 1, instr(i.value, ' ') - 1)
			AND o.partition = a.partition AND o.assertion <> a.id)
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
weakness (one) AS MATERIALIZED (
	SELECT 1 FROM identifier WHERE kind = 'weak_ip' LIMIT 1
),
said (value, kind, partition) AS MATERIALIZED (
	SELECT b.value, b.kind, w.partition FROM (SELECT ? AS partition) w CROSS JOIN rows(?) b
	WHERE b.kind = 'weak_ip' OR (SELECT one FROM weakness)
),
held (value, kind, partition) AS MATERIALIZED (
	SELECT substr(i.value, instr(i.value, ' ') + 1), substr(i.value, 1, instr(i.value, ' ') - 1), a.partition
	FROM weakness CROSS JOIN reached r CROSS JOIN assertion a ON a.id = r.id CROSS JOIN fact f ON f.assertion = a.id
	CROSS JOIN json_each(nullif(f.identifiers, '')) i
	WHERE i.value GLOB 'ip *' OR i.value GLOB 'weak_ip *'
	UNION
	SELECT value, kind, partition FROM said
),
weak (id) AS MATERIALIZED (
	SELECT DISTINCT i.assertion FROM held d
	CROSS JOIN identifier i ON i.value = d.value AND i.kind = 'weak_ip' AND i.partition = d.partition
	WHERE d.kind = 'ip'
),
wanted (value, partition) AS (
	SELECT value, partition FROM held WHERE kind = 'weak_ip'
	UNION
	SELECT substr(i.value, 9), a.partition
	FROM weak r CROSS JOIN assertion a ON a.id = r.id CROSS JOIN fact f ON f.assertion = a.id
	CROSS JOIN json_each(nullif(f.identifiers, '')) i
	WHERE i.value GLOB 'weak_ip *'
),
outside (lowest, highest) AS MATERIALIZED (
	SELECT min(s.device), max(s.device) FROM wanted w
	CROSS JOIN identifier i ON i.value = w.value AND i.kind = 'ip' AND i.partition = w.partition
	CROSS JOIN assertion s ON s.id = i.assertion
	WHERE i.class IN (0, 2) AND i.assertion NOT IN (SELECT id FROM reached)
	GROUP BY w.value, w.partition
),
near (device) AS MATERIALIZED (
	SELECT a.device FROM reached r CROSS JOIN assertion a ON a.id = r.id
	UNION
	SELECT a.device FROM weak r CROSS JOIN assertion a ON a.id = r.id
	UNION
	SELECT lowest FROM outside
	UNION
	SELECT highest FROM outside
)`
