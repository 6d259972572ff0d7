package postgres_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

// BenchmarkIngest reports what 50,000 updates cost in batches of 5,000, from the
// updates to the commit: new ones, the same again, the same in another order among
// all that is stored, and with other addresses. Its measure is raw: the rows the new ones became, copied into empty tables in one
// go, and the indexes built afterwards. Between the two lies piecewise: the same
// rows copied batch by batch into tables that have their indexes, as they must where
// somebody reads them meanwhile, with nothing asked before.
func BenchmarkIngest(b *testing.B) {
	const batches = 10
	for _, stored := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			url := pgtest.Start(b).Database(b)
			store := open(b, url, postgres.Options{})
			defer store.Close()
			conn, err := pgx.Connect(b.Context(), url)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close(b.Context())
			warm(b, store)
			var costs storetest.Costs
			var piecewise time.Duration
			for b.Loop() {
				id := uuid.New()
				tenant, err := store.CreateTenant(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				storetest.TimeIngest(b, tenant, 1, 0, stored, 0)
				from, to := stored, stored+batches*storetest.BatchSize
				costs.Fresh += storetest.TimeIngest(b, tenant, 1, from, to, 0)
				costs.Unchanged += storetest.TimeIngest(b, tenant, 2, from, to, 0)
				schema, _ := store.SchemaOf(id)
				costs.Raw += timeRaw(b, conn, schema, from)
				piecewise += timePiecewise(b, conn, schema, from, to)
				costs.Shuffled += storetest.TimeShuffled(b, tenant, 3, to, to-from)
				costs.Changed += storetest.TimeIngest(b, tenant, 4, from, to, 1)
			}
			costs.Report(b, b.N*batches)
			b.ReportMetric(costs.Raw.Seconds()/piecewise.Seconds(), "raw/piecewise")
			b.ReportMetric(piecewise.Seconds()/costs.Fresh.Seconds(), "piecewise/fresh")
		})
	}
}

// warm fills the server's buffers once: memory that was never used costs who uses it
// first, and that is not to be whoever is timed first.
func warm(b *testing.B, store *postgres.Store) {
	id := uuid.New()
	tenant, err := store.CreateTenant(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	storetest.TimeIngest(b, tenant, 1, 0, 100_000, 0)
	if err := store.DropTenant(b.Context(), id); err != nil {
		b.Fatal(err)
	}
}

// bulk are the tables a batch fills, each with what its rows are numbered by.
var bulk = [][2]string{
	{"assertion", "id"}, {"device", "id"}, {"device_text", "id"}, {"fact", "assertion"}, {"identifier", "assertion"}, {"sighting", "block << 4"},
}

// timeRaw copies the rows after a number into tables of their own, in the binary
// format as they come out of the store, and then builds the indexes.
func timeRaw(b *testing.B, conn *pgx.Conn, schema string, after int) (took time.Duration) {
	execute(b, conn, `DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw`)
	for _, table := range bulk {
		name := schema + "." + table[0]
		create(b, conn, table[0], name, `INCLUDING STORAGE`)
		data := rowsOf(b, conn, schema, table, after, math.MaxInt64)
		rows, err := conn.Query(b.Context(), `
			SELECT replace(pg_get_indexdef(indexrelid), $1, 'raw') FROM pg_index WHERE indrelid = $2::text::regclass`, schema, name)
		if err != nil {
			b.Fatal(err)
		}
		indexes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		load(b, conn, table[0], data)
		for _, index := range indexes {
			execute(b, conn, index)
		}
		took += time.Since(begin)
	}
	return took
}

// timePiecewise copies the rows from one number to another, a batch in a transaction,
// into tables with the indexes and with what was there before.
func timePiecewise(b *testing.B, conn *pgx.Conn, schema string, after, upTo int) (took time.Duration) {
	execute(b, conn, `DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw`)
	for _, table := range bulk {
		name := schema + "." + table[0]
		create(b, conn, table[0], name, `INCLUDING STORAGE INCLUDING INDEXES`)
		execute(b, conn, fmt.Sprintf(`INSERT INTO raw.%s SELECT * FROM %s WHERE %s <= %d ORDER BY %[3]s`, table[0], name, table[1], after))
	}
	for ; after < upTo; after += storetest.BatchSize {
		data := make([]string, len(bulk))
		for i, table := range bulk {
			data[i] = rowsOf(b, conn, schema, table, after, after+storetest.BatchSize)
		}
		begin := time.Now()
		execute(b, conn, `BEGIN`)
		for i, table := range bulk {
			load(b, conn, table[0], data[i])
		}
		execute(b, conn, `COMMIT`)
		took += time.Since(begin)
	}
	return took
}

// create makes a table in the likeness of another, with the room on its pages that
// LIKE leaves out.
func create(b *testing.B, conn *pgx.Conn, table, like, including string) {
	b.Helper()
	var options string
	err := conn.QueryRow(b.Context(), `
		SELECT coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') FROM pg_class WHERE oid = $1::text::regclass`, like).Scan(&options)
	if err != nil {
		b.Fatal(err)
	}
	execute(b, conn, `CREATE TABLE raw.`+table+` (LIKE `+like+` `+including+`) `+options)
}

func execute(b *testing.B, conn *pgx.Conn, statement string) {
	b.Helper()
	if _, err := conn.Exec(b.Context(), statement); err != nil {
		b.Fatal(err)
	}
}

// rowsOf are the rows of a table of bulk after a number, up to another, as COPY has
// them.
func rowsOf(b *testing.B, conn *pgx.Conn, schema string, table [2]string, after, upTo int) string {
	b.Helper()
	var data strings.Builder
	query := fmt.Sprintf(`COPY (SELECT * FROM %s.%s WHERE %s > %d AND %[3]s <= %[5]d ORDER BY %[3]s) TO STDOUT (FORMAT binary)`,
		schema, table[0], table[1], after, upTo)
	if _, err := conn.PgConn().CopyTo(b.Context(), &data, query); err != nil {
		b.Fatal(err)
	}
	return data.String()
}

func load(b *testing.B, conn *pgx.Conn, table, data string) {
	b.Helper()
	if _, err := conn.PgConn().CopyFrom(b.Context(), strings.NewReader(data), `COPY raw.`+table+` FROM STDIN (FORMAT binary)`); err != nil {
		b.Fatal(err)
	}
}
