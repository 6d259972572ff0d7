package serve

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"edgesync/cmd/cmdutil"
)

// metricsHandler answers /metrics for Prometheus, /healthz while the process lives
// and /readyz while it serves: its listener opens and closes with the gateway's, and
// the store answers.
func metricsHandler(ready *readiness, parts ...prometheus.Collector) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", cmdutil.MetricsHandler(parts...))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !ready.check(r.Context()) {
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

const (
	// readyWithin is how long the store may take: probes wait a second.
	readyWithin = 800 * time.Millisecond
	// readyFor is how long an answer holds, so that asking costs the store little,
	// however many do.
	readyFor = time.Second
)

// readiness is whether the store answers.
type readiness struct {
	ping func(context.Context) error

	mu    sync.Mutex
	at    time.Time
	ready bool
}

func (r *readiness) check(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || time.Since(r.at) >= readyFor {
		// Who asked first may leave while others wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
		defer cancel()
		r.ready = r.ping(ctx) == nil
		r.at = time.Now()
	}
	return r.ready
}
