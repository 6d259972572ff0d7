package postgres_test

import (
	"fmt"
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
// updates to the commit: new ones, the same again, and with other addresses. Its
// measure is raw: the rows the new ones became, copied into empty tables in one
// go, and the indexes built afterwards.
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
			var costs storetest.Costs
			for b.Loop() {
				id := uuid.New()
				tenant, err := store.CreateTenant(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				storetest.TimeIngest(b, tenant, 1, 0, stored, 0)
				from, to := stored, stored+batches*storetest.BatchSize
				costs.Fresh += storetest.TimeIngest(b, tenant, 1, from, to, 0)
				schema, _ := store.SchemaOf(id)
				costs.Raw += timeRaw(b, conn, schema, from)
				costs.Unchanged += storetest.TimeIngest(b, tenant, 2, from, to, 0)
				costs.Changed += storetest.TimeIngest(b, tenant, 3, from, to, 1)
			}
			costs.Report(b, b.N*batches)
		})
	}
}

// bulk are the tables a batch fills, each with what its rows are numbered by.
var bulk = [][2]string{
	{"assertion", "id"}, {"device", "id"}, {"device_text", "id"}, {"fact", "assertion"}, {"identifier", "assertion"},
}

// timeRaw copies the rows after a number into tables of their own, in the binary
// format as they come out of the store, and then builds the indexes.
func timeRaw(b *testing.B, conn *pgx.Conn, schema string, after int) (took time.Duration) {
	do := func(statement string) {
		b.Helper()
		if _, err := conn.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	do(`DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw`)
	for _, table := range bulk {
		name := schema + "." + table[0]
		do(`CREATE TABLE raw.` + table[0] + ` (LIKE ` + name + ` INCLUDING STORAGE)`)
		var data strings.Builder
		query := fmt.Sprintf(`COPY (SELECT * FROM %s WHERE %s > %d ORDER BY %s) TO STDOUT (FORMAT binary)`, name, table[1], after, table[1])
		if _, err := conn.PgConn().CopyTo(b.Context(), &data, query); err != nil {
			b.Fatal(err)
		}
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
		if _, err := conn.PgConn().CopyFrom(b.Context(), strings.NewReader(data.String()), `COPY raw.`+table[0]+` FROM STDIN (FORMAT binary)`); err != nil {
			b.Fatal(err)
		}
		for _, index := range indexes {
			do(index)
		}
		took += time.Since(begin)
	}
	return took
}
