package core_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"edgesync/proto/payload"
)

// BenchmarkBurst reports how much sooner small chunks are stored that come in many
// streams at once than the same in one stream, whose chunks come one by one.
func BenchmarkBurst(b *testing.B) {
	const streams, chunks, size = 32, 10, 50
	var alone, together time.Duration
	for b.Loop() {
		for _, at := range []int{1, streams} {
			w := bootstrapped(b)
			w.tenant("acme")
			peer := w.onboard("acme", "hq")
			w.hello(peer)
			source := w.source("acme", "armis", "hq")
			shares := make([][][]payload.Update, streams)
			for i := range shares {
				for j := range chunks {
					from := (i*chunks + j) * size
					shares[i] = append(shares[i], w.devices(source, from, from+size))
				}
			}
			var all errgroup.Group
			all.SetLimit(at)
			began := time.Now()
			for i, share := range shares {
				all.Go(func() error { return w.ingest(peer, stream(source, fmt.Sprint("run-", i)), share...) })
			}
			if err := all.Wait(); err != nil {
				b.Fatal(err)
			}
			if took := time.Since(began); at == 1 {
				alone += took
			} else {
				together += took
			}
			if n := w.count("acme"); n != streams*chunks*size {
				b.Fatalf("%d devices", n)
			}
		}
	}
	b.ReportMetric(alone.Seconds()/together.Seconds(), "alone/together")
	b.ReportMetric(float64(b.N*streams*chunks)/together.Seconds(), "chunks/s")
	b.ReportMetric(0, "ns/op")
}
