package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

// BenchmarkIngest reports what 50,000 updates cost in batches of 5,000, from the
// updates to the commit: new ones, the same again, the same in another order among
// all that is stored, and with other addresses. Its measure is raw: the rows the new ones became, inserted with prepared statements
// in transactions as large and nothing looked up, into a copy of the file with the
// same indexes but for that of searches, which is written a batch at a time and
// takes a statement for a row ill.
func BenchmarkIngest(b *testing.B) {
	const batches = 10
	for _, stored := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			dir := b.TempDir()
			store := open(b, dir, sqlite.Options{})
			defer store.Close()
			var costs storetest.Costs
			for b.Loop() {
				id := uuid.New()
				tenant, err := store.CreateTenant(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				path := filepath.Join(dir, "tenants", id.String()+".db")
				storetest.TimeIngest(b, tenant, 1, 0, stored, 0)
				twin := copyFile(b, path)
				from, to := stored, stored+batches*storetest.BatchSize
				costs.Fresh += storetest.TimeIngest(b, tenant, 1, from, to, 0)
				costs.Raw += timeRaw(b, path, twin, from, to)
				costs.Unchanged += storetest.TimeIngest(b, tenant, 2, from, to, 0)
				costs.Shuffled += storetest.TimeShuffled(b, tenant, 3, to, to-from)
				costs.Changed += storetest.TimeIngest(b, tenant, 4, from, to, 1)
			}
			costs.Report(b, b.N*batches)
		})
	}
}

func connect(b *testing.B, path string) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate"+
		"&_pragma=cache_size(-16384)&_pragma=wal_autocheckpoint(4096)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func copyFile(b *testing.B, path string) string {
	db, twin := connect(b, path), filepath.Join(b.TempDir(), "twin.db")
	defer db.Close()
	if _, err := db.ExecContext(b.Context(), `VACUUM INTO ?`, twin); err != nil {
		b.Fatal(err)
	}
	copied := connect(b, twin)
	defer copied.Close()
	if _, err := copied.ExecContext(b.Context(), `DROP TRIGGER device_text_added`); err != nil {
		b.Fatal(err)
	}
	return twin
}

// bulk are the tables a batch fills, each with what its rows are numbered by.
var bulk = [][2]string{
	{"assertion", "id"}, {"device", "id"}, {"device_text", "id"}, {"fact", "assertion"}, {"identifier", "assertion"}, {"sighting", "block << 4"},
}

// timeRaw inserts into twin the rows from one number to another, in batches.
func timeRaw(b *testing.B, path, twin string, after, upTo int) (took time.Duration) {
	from, into := connect(b, path), connect(b, twin)
	defer from.Close()
	defer into.Close()
	for ; after < upTo; after += storetest.BatchSize {
		rows := make([][][]any, len(bulk))
		for i, table := range bulk {
			rows[i] = readRows(b, from, `SELECT * FROM `+table[0]+` WHERE `+table[1]+` BETWEEN ? AND ? ORDER BY `+table[1],
				after+1, after+storetest.BatchSize)
		}
		begin := time.Now()
		insert(b, into, rows)
		took += time.Since(begin)
	}
	return took
}

// insert inserts rows of the tables of bulk in one transaction.
func insert(b *testing.B, into *sql.DB, rows [][][]any) {
	tx, err := into.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	for i, table := range bulk {
		statement, err := tx.PrepareContext(b.Context(), `INSERT INTO `+table[0]+` VALUES (?`+strings.Repeat(", ?", len(rows[i][0])-1)+`)`)
		if err != nil {
			b.Fatal(err)
		}
		for _, row := range rows[i] {
			if _, err := statement.ExecContext(b.Context(), row...); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

func readRows(b *testing.B, db *sql.DB, query string, args ...any) (all [][]any) {
	rows, err := db.QueryContext(b.Context(), query, args...)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		b.Fatal(err)
	}
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			b.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return all
}
