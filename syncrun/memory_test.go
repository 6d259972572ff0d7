package syncrun_test

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// maxGrowth is how much more heap a run of a hundred times the devices may take:
// a chunk or two on each leg of its way, for the small run has none that is full.
const maxGrowth = 32 << 20

// TestMemoryIsFlatWhateverTheSize compares the peak of the heap of a run of
// 2,000 devices with that of manyDevices, or of as many as EDGESYNC_DEVICES says.
func TestMemoryIsFlatWhateverTheSize(t *testing.T) {
	if testing.Short() {
		t.Skip("reads very many devices")
	}
	many := manyDevices
	if text := os.Getenv("EDGESYNC_DEVICES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		many = n
	}
	small := peakHeap(t, 2000)
	large := peakHeap(t, many)
	t.Logf("peak heap %d KiB with 2,000 devices, %d KiB with %d", small>>10, large>>10, many)
	if large > small+maxGrowth {
		t.Fatalf("the heap grew from %d to %d bytes", small, large)
	}
}

// peakHeap returns the most live heap seen while n devices go from an adapter to
// the gateway, measured after a collection so that garbage does not count.
func peakHeap(t *testing.T, n int) uint64 {
	w := newWorld(t)
	w.options.Logger = nil
	var peak atomic.Uint64
	measure := func() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak.Store(max(peak.Load(), m.HeapAlloc))
	}
	step := n / 10
	w.adapters["a"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
		for i := range n {
			if err := emit(device(i)); err != nil {
				return source.Discovery{}, err
			}
			if i%step == step-1 {
				measure()
			}
		}
		return source.Discovery{Devices: int64(n), Total: int64(n), Mode: payload.ModeSnapshot}, nil
	}
	w.configure("a")
	w.gateway.forget = true
	w.gateway.onChunk = func(_ context.Context, _ string, c *monitoring.GatewayStatusChunk) error {
		if c.GetChunkIndex()%5 == 0 || c.GetIsFinal() {
			measure()
		}
		return nil
	}
	w.options.Once = true
	w.run()
	defer w.cancel()
	select {
	case err := <-w.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Minute):
		t.Fatal("the run does not end")
	}
	w.gateway.kill()
	if ended := w.ended("a"); len(ended) != 1 || ended[0] != payload.ResultSuccess {
		t.Fatalf("ended %v", ended)
	}
	return peak.Load()
}

// BenchmarkPipeline is the whole way of a device: adapter, checks, disk, gRPC,
// and its decoding in the fake gateway, over an in-memory connection.
func BenchmarkPipeline(b *testing.B) {
	const n = 50_000
	for b.Loop() {
		w := newWorld(b)
		w.options.Logger, w.options.Once = nil, true
		w.options.Observe = func(syncrun.Event) {}
		w.adapters["a"] = devices(n)
		w.configure("a")
		w.gateway.forget = true
		w.run()
		if err := <-w.done; err != nil {
			b.Fatal(err)
		}
		w.cancel()
		w.gateway.kill()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "devices/s")
}
