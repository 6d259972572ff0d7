package sqlite_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/store/sqlite"
)

// BenchmarkGrowth reports what a device costs among so many stored ones, fresh
// and unchanged, as a share of what it costs among the first ten thousand:
// within 20 % of it is the promise. EDGESYNC_BENCH_DEVICES=1000000 goes up to
// the full size.
func BenchmarkGrowth(b *testing.B) {
	largest := 200_000
	if text := os.Getenv("EDGESYNC_BENCH_DEVICES"); text != "" {
		var err error
		if largest, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		store := open(b, b.TempDir(), sqlite.Options{})
		tenant, err := store.CreateTenant(b.Context(), uuid.New())
		if err != nil {
			b.Fatal(err)
		}
		const batches = 4
		at, first := 0, [2]time.Duration{}
		for _, stored := range []int{10_000, 100_000, 200_000, 500_000, 1_000_000} {
			if stored > largest {
				break
			}
			for ; at < stored-batches*batchSize/2; at += batchSize {
				timeIngest(b, tenant, 1, at, 0)
			}
			var cost [2]time.Duration
			for range batches {
				cost[0] += timeIngest(b, tenant, 1, at, 0)
				cost[1] += timeIngest(b, tenant, 2, at, 0)
				at += batchSize
			}
			if first[0] == 0 {
				first = cost
			}
			b.ReportMetric(float64(cost[0].Nanoseconds())/(batches*batchSize), fmt.Sprintf("ns/fresh-at-%d", stored))
			b.ReportMetric(100*cost[0].Seconds()/first[0].Seconds(), fmt.Sprintf("%%-fresh-at-%d", stored))
			b.ReportMetric(100*cost[1].Seconds()/first[1].Seconds(), fmt.Sprintf("%%-unchanged-at-%d", stored))
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
