package cmdutil

import (
	"crypto/tls"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MetricsHandler answers with what the parts count, and with what every process
// tells of itself.
func MetricsHandler(parts ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	registry.MustRegister(parts...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

func buildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "edgesync_build_info", Help: "1, of this version.",
		ConstLabels: prometheus.Labels{"version": Version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// CertificateExpiry tells when a certificate ends, asked with each scrape; 0
// while there is none.
func CertificateExpiry(name, help string, certificate func() *tls.Certificate) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		held := certificate()
		if held == nil || held.Leaf == nil {
			return 0
		}
		return float64(held.Leaf.NotAfter.Unix())
	})
}
