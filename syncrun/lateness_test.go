package syncrun

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
	"edgesync/syncrun/schedule"
	"edgesync/syncrun/source"
)

// nothing is a source that answers at once.
type nothing struct{}

func (nothing) Discover(context.Context, source.Request, func(payload.Update) error) (source.Discovery, error) {
	return source.Discovery{Mode: payload.ModeSnapshot}, nil
}

// BenchmarkLateness30000 runs 10,000 tenants with three sources each, all of
// which come round every eight seconds, and measures how late each run begins
// against when it was due. It looks at the scheduler alone: from inside, because
// nobody outside knows when a run was due.
func BenchmarkLateness30000(b *testing.B) {
	const (
		tenants, each = 10_000, 3
		limitLate     = time.Second
		limitHeap     = 500 << 20
	)
	wanted := map[string]definition{}
	for i := range tenants * each {
		tenant := fmt.Sprintf("tenant-%05d", i/each)
		id := fmt.Sprintf("%s/source-%d", tenant, i%each)
		wanted[id] = definition{id: id, key: id, platform: true, source: payload.Source{
			Type: "nothing", Endpoint: "https://inventory.example.com/" + id, PollInterval: "8s", TenantID: tenant, TenantSlug: tenant,
			IntegrationSourceID: id, Credentials: map[string]string{"secret_key": "0123456789abcdef0123456789abcdef"},
		}}
	}
	for b.Loop() {
		late, heap := lateness(b, wanted, 30*time.Second)
		slices.Sort(late)
		p99 := late[len(late)*99/100]
		b.ReportMetric(float64(len(late)), "runs")
		b.ReportMetric(float64(p99.Microseconds())/1000, "p99-ms")
		b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "max-ms")
		b.ReportMetric(float64(heap)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(p99)/float64(limitLate), "of-limit-late")
		b.ReportMetric(float64(heap)/limitHeap, "of-limit-heap")
	}
}

func lateness(b *testing.B, wanted map[string]definition, length time.Duration) (late []time.Duration, heap uint64) {
	options := Options{Adapters: map[string]NewAdapter{"nothing": func(payload.Source, source.Options) (source.Adapter, error) { return nothing{}, nil }}}.withDefaults()
	ls := newLoops(options)
	var mu sync.Mutex
	due := make(map[string]time.Time, len(wanted))
	ls.pool = newPool(schedule.Limits{Total: options.Workers, PerTenant: options.WorkersPerTenant}, time.Now, func(ctx context.Context, id string) time.Time {
		began := time.Now()
		_, cancel, this, ok := ls.start(ctx, id)
		if !ok {
			b.Error("a source is gone")
			return time.Time{}
		}
		defer cancel()
		_, err := this.adapter.Discover(ctx, source.Request{}, nil)
		next := ls.finish(id, this, outbox.Run{Mode: payload.ModeSnapshot}, err)
		mu.Lock()
		defer mu.Unlock()
		if when, known := due[id]; known {
			late = append(late, began.Sub(when))
		}
		due[id] = next
		return next
	})
	ls.apply(wanted)
	ctx, cancel := context.WithTimeout(b.Context(), length)
	defer cancel()
	ls.pool.run(ctx)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	runtime.KeepAlive(ls)
	return late, m.HeapAlloc
}
