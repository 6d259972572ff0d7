package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/dire"
	"edgesync/store/sqlite"
)

// The measured promises of this store. Each is a ratio to something measured in
// the same run, on the same machine:
//
//	fresh ingest      at least 70 % of raw prepared inserts of the same rows
//	unchanged re-sync at least 5 times as fast as fresh
//	cost per device   within 20 % from 10,000 stored devices on
//
// EDGESYNC_BENCH_DEVICES=1000000 measures the last up to its full size.
const (
	benchDevices = 50_000
	benchBatch   = 5_000
)

// benchUpdates are things as an adapter maps them.
func benchUpdates(from, to, run int) dire.Batch {
	started := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(run) * time.Minute)
	b := dire.Batch{
		Source: "5d2f8b1e-0000-4000-8000-000000000001", SourceType: "armis", Confidence: 7, Partition: "default",
		Run: dire.Run{ID: fmt.Sprint("run-", run), Started: started}, Received: started.Add(time.Second),
	}
	for i := from; i < to; i++ {
		b.Updates = append(b.Updates, dire.Update{
			NativeID: fmt.Sprint(i + 1), Hostname: fmt.Sprintf("host-%07d.corp.example.com", i),
			MACs: []string{fmt.Sprintf("00:1b:21:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)},
			IPs:  []string{fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)}, SerialNumber: fmt.Sprintf("SN-%08d", i),
			Manufacturer: "Dell", Model: "Latitude 7440", OS: "Windows 11", DeviceType: "laptop", Site: "hq", Available: true,
			Metadata: map[string]string{
				"integration_type": "armis", "armis_device_id": fmt.Sprint(i + 1), "query_label": "all", "risk_level": "3",
			},
		})
	}
	return b
}

// ingestBatches takes things through probe, neighbourhood, plan and apply, a
// transaction a batch, and returns how long that took.
func ingestBatches(b *testing.B, tenant core.TenantStore, from, to, run int) time.Duration {
	b.Helper()
	rules := dire.DefaultRules()
	var took time.Duration
	for at := from; at < to; at += benchBatch {
		batch := benchUpdates(at, min(at+benchBatch, to), run)
		began := time.Now()
		err := tenant.Update(b.Context(), func(tx core.TenantTx) error {
			probe, err := rules.ProbeFor(batch)
			if err != nil {
				return err
			}
			near, err := tx.Neighbourhood(b.Context(), probe)
			if err != nil {
				return err
			}
			plan, err := rules.Plan(probe, near)
			if err != nil {
				return err
			}
			return tx.Apply(b.Context(), plan)
		})
		took += time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
	}
	return took
}

// rawTables are what an ingest fills, in the order it does.
var rawTables = []string{"assertion", "identifier", "standing", "device", "device_text"}

// rawLoad inserts what a tenant's file holds into another one with the schema of
// a tenant's: prepared statements, as many transactions as batches.
func rawLoad(b *testing.B, from, to string) time.Duration {
	b.Helper()
	source, err := sql.Open("sqlite", "file:"+from+"?mode=ro")
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	target, err := sql.Open("sqlite", "file:"+to+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"+
		"&_pragma=cache_size(-16384)&_pragma=wal_autocheckpoint(4096)&_pragma=temp_store(memory)")
	if err != nil {
		b.Fatal(err)
	}
	defer target.Close()
	target.SetMaxOpenConns(1)
	rows := map[string][][]any{}
	for _, table := range rawTables {
		rows[table] = readRows(b, source, table)
	}
	batches := (len(rows["assertion"]) + benchBatch - 1) / benchBatch
	began := time.Now()
	for batch := range batches {
		tx, err := target.Begin()
		if err != nil {
			b.Fatal(err)
		}
		for _, table := range rawTables {
			all := rows[table]
			part := all[len(all)*batch/batches : len(all)*(batch+1)/batches]
			insertRows(b, tx, table, part)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

func readRows(b *testing.B, db *sql.DB, table string) (rows [][]any) {
	b.Helper()
	order := "1"
	if table == "identifier" {
		order = "assertion"
	}
	found, err := db.Query("SELECT * FROM " + table + " ORDER BY " + order)
	if err != nil {
		b.Fatal(err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		b.Fatal(err)
	}
	for found.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			b.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func insertRows(b *testing.B, tx *sql.Tx, table string, rows [][]any) {
	b.Helper()
	if len(rows) == 0 {
		return
	}
	statement, err := tx.Prepare("INSERT INTO " + table + " VALUES (?" + strings.Repeat(", ?", len(rows[0])-1) + ")")
	if err != nil {
		b.Fatal(err)
	}
	defer statement.Close()
	for _, row := range rows {
		if _, err := statement.Exec(row...); err != nil {
			b.Fatal(err)
		}
	}
}

// place is a store in a directory of its own with one tenant.
func place(b *testing.B) (store *sqlite.Store, tenant core.TenantStore, path string) {
	b.Helper()
	dir, id := b.TempDir(), uuid.New()
	store = open(b, dir, sqlite.Options{})
	tenant, err := store.CreateTenant(context.Background(), id)
	if err != nil {
		b.Fatal(err)
	}
	return store, tenant, filepath.Join(dir, "tenants", id.String()+".db")
}

// BenchmarkIngest reports fresh ingest as a share of raw inserts, and unchanged
// re-sync as a multiple of fresh ingest.
func BenchmarkIngest(b *testing.B) {
	var fresh, unchanged, raw time.Duration
	for b.Loop() {
		store, tenant, path := place(b)
		fresh += ingestBatches(b, tenant, 0, benchDevices, 1)
		empty, _, target := place(b)
		if err := empty.Close(); err != nil {
			b.Fatal(err)
		}
		raw += rawLoad(b, path, target)
		unchanged += ingestBatches(b, tenant, 0, benchDevices, 2)
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
	per := float64(b.N * benchDevices)
	b.ReportMetric(100*float64(raw)/float64(fresh), "%-of-raw")
	b.ReportMetric(float64(fresh)/float64(unchanged), "unchanged-x-fresh")
	b.ReportMetric(float64(fresh.Nanoseconds())/per, "ns/fresh-device")
	b.ReportMetric(float64(unchanged.Nanoseconds())/per, "ns/unchanged-device")
	b.ReportMetric(float64(raw.Nanoseconds())/per, "ns/raw-device")
}

// BenchmarkGrowth reports what a device costs among so many stored ones, and
// that as a share of what it costs among the first ten thousand.
func BenchmarkGrowth(b *testing.B) {
	largest := 200_000
	if text := os.Getenv("EDGESYNC_BENCH_DEVICES"); text != "" {
		var err error
		if largest, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	const window = 20_000
	for b.Loop() {
		store, tenant, _ := place(b)
		ingestBatches(b, tenant, 0, 10_000, 1)
		stored, first := 10_000, [2]float64{}
		for {
			fresh := ingestBatches(b, tenant, stored, stored+window, 1)
			again := ingestBatches(b, tenant, stored, stored+window, 2)
			cost := [2]float64{float64(fresh.Nanoseconds()) / window, float64(again.Nanoseconds()) / window}
			if first[0] == 0 {
				first = cost
			}
			b.ReportMetric(cost[0], fmt.Sprintf("ns/fresh-at-%d", stored))
			b.ReportMetric(100*cost[0]/first[0], fmt.Sprintf("%%-fresh-at-%d", stored))
			b.ReportMetric(100*cost[1]/first[1], fmt.Sprintf("%%-unchanged-at-%d", stored))
			stored += window
			next := min(10*(stored-window), largest-window)
			if next <= stored {
				break
			}
			ingestBatches(b, tenant, stored, next, 1)
			stored = next
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
