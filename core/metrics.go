package core

import (
	"github.com/prometheus/client_golang/prometheus"

	"edgesync/dire"
)

// metrics counts what comes to the platform. Nothing is labelled by tenant: the
// number of series must not grow with them.
//
// received = stored + unchanged + superseded + refused + held + failed, of updates.
type metrics struct {
	received  prometheus.Counter
	outcome   *prometheus.CounterVec
	chunks    *prometheus.CounterVec
	reports   *prometheus.CounterVec
	beats     prometheus.Counter
	hellos    prometheus.Counter
	refused   *prometheus.CounterVec
	decisions *prometheus.CounterVec
	pushes    prometheus.Counter
	commands  *prometheus.CounterVec
	events    *prometheus.CounterVec
	pruned    prometheus.Counter
	exported  prometheus.Counter
	stored    prometheus.Histogram
	census    *censusMetrics
}

// Outcomes of a received update.
const (
	outcomeStored     = "stored"
	outcomeUnchanged  = "unchanged"
	outcomeSuperseded = "superseded"
	outcomeRefused    = "refused"
	outcomeHeld       = "held"
	outcomeFailed     = "failed"
)

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "edgesync", Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "edgesync", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		received:  counter("updates_received_total", "Device updates that arrived for ingestion."),
		outcome:   vector("updates_total", "Device updates by what became of them; they add up to those received.", "outcome"),
		chunks:    vector("chunks_total", "Chunks of updates by what became of them.", "outcome"),
		reports:   vector("run_reports_total", "Reports of discovery runs by what became of them.", "outcome"),
		beats:     counter("heartbeats_total", "Heartbeats of sync services."),
		hellos:    counter("hellos_total", "Hellos of sync services."),
		refused:   vector("refusals_total", "Refused operations of identified peers by reason.", "reason"),
		pushes:    counter("config_pushes_total", "Configurations pushed over a ControlStream."),
		commands:  vector("commands_total", "Commands to sync services, and reports of unknown ones, by what became of them.", "outcome"),
		decisions: vector("identity_decisions_total", "Decisions about identity, by kind.", "kind"),
		events:    vector("events_total", "Events recorded, by severity.", "severity"),
		pruned:    counter("events_pruned_total", "Events that were older than they are kept."),
		exported:  counter("events_exported_total", "Events handed to exports."),
		stored: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "edgesync", Name: "ingest_chunk_duration_seconds", Help: "How long it took until a chunk was stored, or was not, the wait for its tenant's turn included.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		census: &censusMetrics{},
	}
	// A series that is there from the start can be watched for its first event.
	for _, outcome := range []string{outcomeStored, outcomeUnchanged, outcomeSuperseded, outcomeRefused, outcomeHeld, outcomeFailed} {
		m.outcome.WithLabelValues(outcome)
	}
	for _, outcome := range []string{outcomeStored, outcomeRefused, outcomeFailed} {
		m.chunks.WithLabelValues(outcome)
	}
	for _, outcome := range []string{reportTaken, reportRepeated, reportIgnored} {
		m.reports.WithLabelValues(outcome)
	}
	for _, severity := range []Severity{SeverityInfo, SeverityWarning, SeverityError} {
		m.events.WithLabelValues(string(severity))
	}
	for _, reason := range []string{reasonNotAssigned, reasonForeignCommand} {
		m.refused.WithLabelValues(reason)
	}
	for _, outcome := range []string{"sent", "expired", "unknown"} {
		m.commands.WithLabelValues(outcome)
	}
	for _, kind := range []dire.DecisionKind{dire.DecisionMerge, dire.DecisionSplit, dire.DecisionAmbiguous, dire.DecisionChain, dire.DecisionRetraction, dire.DecisionReturn} {
		m.decisions.WithLabelValues(string(kind))
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.received, m.outcome, m.chunks, m.reports, m.beats, m.hellos, m.refused, m.decisions, m.pushes, m.commands,
		m.events, m.pruned, m.exported, m.stored, m.census}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, one := range m.all() {
		one.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, one := range m.all() {
		one.Collect(ch)
	}
}
