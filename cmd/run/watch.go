package run

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"edgesync/cmd/cmdutil"
)

// patience is how long a check of health waits for something to move.
const patience = 10 * time.Second

// health is what tells whether the runtime works.
type health interface {
	Healthy(patience time.Duration) error
}

// watchHandler answers /metrics for Prometheus and /healthz while the runtime
// works.
func watchHandler(h health, parts ...prometheus.Collector) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", cmdutil.MetricsHandler(parts...))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.Healthy(patience); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

// watchdog tells the service manager that the runtime works for as long as it
// does.
func watchdog(ctx context.Context, n *notifier, h health) {
	n.Watch(ctx, func(every time.Duration) bool { return h.Healthy(min(patience, every)) == nil })
}
