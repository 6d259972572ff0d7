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

// growthRest is what the disk gets to write what filled the store, before anything is
// timed: many take a few gigabytes at once and are slow after that.
const growthRest = 15 * time.Second

// Growth reports what a device costs among so many stored ones, fresh and
// unchanged, as a share of what it costs among the first ten thousand: within
// 20 % of it is the promise. The rows themselves cost more to load where there are
// more, whoever loads them: what is fresh is reported as a share of that, too. raw
// gets ready to load what comes next, and then loads the devices of some numbers.
// EDGESYNC_BENCH_DEVICES=1000000 goes up to the full size. The tenant's store is
// empty.
func Growth(b *testing.B, tenant core.TenantStore, raw func() func(after, upTo int) time.Duration) {
	largest := 200_000
	if text := os.Getenv("EDGESYNC_BENCH_DEVICES"); text != "" {
		var err error
		if largest, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	at, first := 0, growthCost{}
	for _, stored := range []int{10_000, 100_000, 200_000, 500_000, 1_000_000} {
		if stored > largest {
			break
		}
		from := stored - growthBatches*BatchSize/2
		to := from + growthBatches*BatchSize
		TimeIngest(b, tenant, 1, at, from, 0)
		load := raw()
		time.Sleep(growthRest)
		cost := growthCost{fresh: TimeIngest(b, tenant, 1, from, to, 0).Seconds()}
		cost.raw = load(from, to).Seconds()
		for run := range growthRuns {
			cost.unchanged += TimeIngest(b, tenant, 2+run, from, to, 0).Seconds() / growthRuns
		}
		at = to
		if first.fresh == 0 {
			first = cost
		}
		report := func(value float64, unit string) { b.ReportMetric(value, fmt.Sprintf("%s-at-%d", unit, stored)) }
		report(cost.fresh*1e9/(growthBatches*BatchSize), "ns/fresh")
		report(100*cost.fresh/first.fresh, "%-fresh")
		report(100*cost.unchanged/first.unchanged, "%-unchanged")
		report(cost.raw/cost.fresh, "raw/fresh")
		report(100*(cost.fresh/cost.raw)/(first.fresh/first.raw), "%-fresh/raw")
	}
}

// growthCost is the time of the batches at one size, in seconds.
type growthCost struct{ fresh, unchanged, raw float64 }
