package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/store/sqlite"
)

const batchSize = 5000

// BenchmarkIngest reports what a batch of 5,000 updates costs from the updates to
// the commit: new ones, the same again, and with other addresses. Its measure is
// raw: the rows the new ones became, inserted with prepared statements and
// nothing looked up, into a copy of the file with the same indexes but for that
// of searches, which is written a batch at a time and takes a statement for a row
// ill.
func BenchmarkIngest(b *testing.B) {
	for _, stored := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			dir, id := b.TempDir(), uuid.New()
			store := open(b, dir, sqlite.Options{})
			defer store.Close()
			tenant, err := store.CreateTenant(b.Context(), id)
			if err != nil {
				b.Fatal(err)
			}
			path := filepath.Join(dir, "tenants", id.String()+".db")
			timeIngest(b, tenant, 1, 0, stored, 0)
			from := stored
			var fresh, unchanged, changed, raw time.Duration
			for b.Loop() {
				twin := copyFile(b, path)
				fresh += timeIngest(b, tenant, 1, from, from+batchSize, 0)
				raw += timeRaw(b, path, twin)
				unchanged += timeIngest(b, tenant, 2, from, from+batchSize, 0)
				changed += timeIngest(b, tenant, 3, from, from+batchSize, 1)
				from += batchSize
			}
			for name, total := range map[string]time.Duration{"fresh": fresh, "unchanged": unchanged, "changed": changed, "raw": raw} {
				b.ReportMetric(total.Seconds()*1000/float64(b.N), name+"-ms")
			}
			b.ReportMetric(fresh.Seconds()/raw.Seconds(), "fresh/raw")
			b.ReportMetric(unchanged.Seconds()/raw.Seconds(), "unchanged/raw")
			b.ReportMetric(float64(b.N*batchSize)/fresh.Seconds(), "fresh/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// timeIngest is the time of the batches, not of making up their updates.
func timeIngest(b *testing.B, tenant core.TenantStore, run, from, to, epoch int) (took time.Duration) {
	for ; from < to; from += batchSize {
		updates := inventory(from, from+batchSize, epoch)
		begin := time.Now()
		if _, err := ingest(b.Context(), tenant, armis, run, updates); err != nil {
			b.Fatal(err)
		}
		took += time.Since(begin)
	}
	return took
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
	{"assertion", "id"}, {"device", "id"}, {"device_text", "id"}, {"fact", "assertion"}, {"identifier", "assertion"},
}

// timeRaw inserts the rows that twin lacks.
func timeRaw(b *testing.B, path, twin string) time.Duration {
	from, into := connect(b, path), connect(b, twin)
	defer from.Close()
	defer into.Close()
	rows := make([][][]any, len(bulk))
	for i, table := range bulk {
		var last int64
		if err := into.QueryRowContext(b.Context(), `SELECT coalesce(max(`+table[1]+`), 0) FROM `+table[0]).Scan(&last); err != nil {
			b.Fatal(err)
		}
		rows[i] = readRows(b, from, `SELECT * FROM `+table[0]+` WHERE `+table[1]+` > ? ORDER BY `+table[1], last)
	}
	begin := time.Now()
	tx, err := into.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	for i, table := range bulk {
		insert, err := tx.PrepareContext(b.Context(), `INSERT INTO `+table[0]+` VALUES (?`+strings.Repeat(", ?", len(rows[i][0])-1)+`)`)
		if err != nil {
			b.Fatal(err)
		}
		for _, row := range rows[i] {
			if _, err := insert.ExecContext(b.Context(), row...); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
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
