package storetest

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"edgesync/core"
)

// growthBatches is how many batches are timed at each size.
const growthBatches = 4

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
	next := func(run int) time.Duration { return TimeIngest(b, tenant, run, at, at+BatchSize, 0) }
	for _, stored := range []int{10_000, 100_000, 200_000, 500_000, 1_000_000} {
		if stored > largest {
			break
		}
		for ; at < stored-growthBatches*BatchSize/2; at += BatchSize {
			next(1)
		}
		var cost [2]time.Duration
		for range growthBatches {
			cost[0] += next(1)
			cost[1] += next(2)
			at += BatchSize
		}
		if first[0] == 0 {
			first = cost
		}
		b.ReportMetric(float64(cost[0].Nanoseconds())/(growthBatches*BatchSize), fmt.Sprintf("ns/fresh-at-%d", stored))
		b.ReportMetric(100*cost[0].Seconds()/first[0].Seconds(), fmt.Sprintf("%%-fresh-at-%d", stored))
		b.ReportMetric(100*cost[1].Seconds()/first[1].Seconds(), fmt.Sprintf("%%-unchanged-at-%d", stored))
	}
}
