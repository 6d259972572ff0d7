package storetest

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

const (
	growthBatch   = 5_000
	growthBatches = 4
)

// Growth reports what a device costs among so many stored ones, fresh and
// unchanged, as a share of what it costs among the first ten thousand: within
// 20 % of it is the promise. EDGESYNC_BENCH_DEVICES=1000000 goes up to the full
// size. ingest stores the devices from one number to another, as a run sees
// them, and returns the time that took.
func Growth(b *testing.B, ingest func(run, from, to int) time.Duration) {
	largest := 200_000
	if text := os.Getenv("EDGESYNC_BENCH_DEVICES"); text != "" {
		var err error
		if largest, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	at, first := 0, [2]time.Duration{}
	next := func(run int) time.Duration { return ingest(run, at, at+growthBatch) }
	for _, stored := range []int{10_000, 100_000, 200_000, 500_000, 1_000_000} {
		if stored > largest {
			break
		}
		for ; at < stored-growthBatches*growthBatch/2; at += growthBatch {
			next(1)
		}
		var cost [2]time.Duration
		for range growthBatches {
			cost[0] += next(1)
			cost[1] += next(2)
			at += growthBatch
		}
		if first[0] == 0 {
			first = cost
		}
		b.ReportMetric(float64(cost[0].Nanoseconds())/(growthBatches*growthBatch), fmt.Sprintf("ns/fresh-at-%d", stored))
		b.ReportMetric(100*cost[0].Seconds()/first[0].Seconds(), fmt.Sprintf("%%-fresh-at-%d", stored))
		b.ReportMetric(100*cost[1].Seconds()/first[1].Seconds(), fmt.Sprintf("%%-unchanged-at-%d", stored))
	}
}
