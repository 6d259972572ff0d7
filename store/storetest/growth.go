package storetest

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"edgesync/core"
)

// growthBatches is how many new batches are timed at each size, and growthRuns how
// often they come again: what a database puts off is paid by who comes next, so a
// kind is timed by itself and at length.
const growthBatches, growthRuns = 4, 5

// Growth reports what a device costs among so many stored ones, fresh and
// unchanged, as a share of what it costs among the first ten thousand: within
// 20 % of it is the promise. EDGESYNC_BENCH_DEVICES=1000000 goes up to the full
// size. The tenant's store is empty.
func Growth(b *testing.B, tenant core.TenantStore) {
	largest := 200_000
	if text := os.Getenv("EDGESYNC_BENCH_DEVICES"); text != "" {
		var err error
		if largest, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	at, first := 0, [2]time.Duration{}
	for _, stored := range []int{10_000, 100_000, 200_000, 500_000, 1_000_000} {
		if stored > largest {
			break
		}
		from := stored - growthBatches*BatchSize/2
		to := from + growthBatches*BatchSize
		TimeIngest(b, tenant, 1, at, from, 0)
		cost := [2]time.Duration{TimeIngest(b, tenant, 1, from, to, 0)}
		for run := range growthRuns {
			cost[1] += TimeIngest(b, tenant, 2+run, from, to, 0) / growthRuns
		}
		at = to
		if first[0] == 0 {
			first = cost
		}
		b.ReportMetric(float64(cost[0].Nanoseconds())/(growthBatches*BatchSize), fmt.Sprintf("ns/fresh-at-%d", stored))
		b.ReportMetric(100*cost[0].Seconds()/first[0].Seconds(), fmt.Sprintf("%%-fresh-at-%d", stored))
		b.ReportMetric(100*cost[1].Seconds()/first[1].Seconds(), fmt.Sprintf("%%-unchanged-at-%d", stored))
	}
}
