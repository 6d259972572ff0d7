package serve

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"edgesync/cmd/cmdutil"
)

// metricsHandler answers /metrics for Prometheus, /healthz while the process
// lives and /readyz while it serves: its listener opens and closes with the
// gateway's.
func metricsHandler(parts ...prometheus.Collector) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", cmdutil.MetricsHandler(parts...))
	for _, path := range []string{"GET /healthz", "GET /readyz"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	}
	return mux
}
