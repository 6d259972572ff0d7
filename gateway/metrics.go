package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"edgesync/certs"
)

// metrics are the gateway's counters. None has a label a client can choose.
type metrics struct {
	calls       *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	handshakes  *prometheus.CounterVec
	ignored     *prometheus.CounterVec
	chunks      prometheus.Counter
	updates     prometheus.Counter
	connections prometheus.Gauge
	streams     prometheus.Gauge
	controls    prometheus.Gauge
	control     *prometheus.CounterVec
}

// watched are the refusals that ask for somebody to look.
var watched = []string{
	certs.ReasonExpired, certs.ReasonRevoked, certs.ReasonUnknownIssuer, certs.ReasonBadName, ReasonAgentIDMismatch, ReasonTenantMismatch,
	ReasonTypeNotAdmitted, ReasonBadUpdate, ReasonCallRate, ReasonTooManyStreams,
}

func newMetrics() *metrics {
	name := func(n string) string { return prometheus.BuildFQName("edgesync", "gateway", n) }
	vec := func(n, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name(n), Help: help}, labels)
	}
	m := &metrics{
		calls:       vec("rpcs_total", "Calls answered, by method and gRPC code.", "method", "code"),
		refusals:    vec("refusals_total", "Connections and calls refused, by reason.", "reason"),
		handshakes:  vec("handshakes_total", "TLS handshakes, by result.", "result"),
		ignored:     vec("claims_ignored_total", "Claims in requests that the certificate contradicts and that were ignored.", "claim"),
		chunks:      prometheus.NewCounter(prometheus.CounterOpts{Name: name("chunks_total"), Help: "Chunks handed to ingestion."}),
		updates:     prometheus.NewCounter(prometheus.CounterOpts{Name: name("updates_total"), Help: "Device updates handed to ingestion."}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: name("connections"), Help: "Connections open."}),
		streams:     prometheus.NewGauge(prometheus.GaugeOpts{Name: name("streams"), Help: "StreamStatus calls in flight."}),
		controls:    prometheus.NewGauge(prometheus.GaugeOpts{Name: name("control_streams"), Help: "ControlStream calls open."}),
		control:     vec("control_messages_total", "Messages of ControlStream calls, by direction.", "direction"),
	}
	// A series that is there from the start can be watched for its first event.
	for _, reason := range watched {
		m.refusals.WithLabelValues(reason)
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.calls, m.refusals, m.handshakes, m.ignored, m.chunks, m.updates, m.connections, m.streams,
		m.controls, m.control}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}

// count counts a refusal.
func (s *Server) count(reason string) { s.metrics.refusals.WithLabelValues(reason).Inc() }
