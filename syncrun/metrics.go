package syncrun

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"edgesync/proto/payload"
	"edgesync/proto/shell"
	"edgesync/syncrun/outbox"
)

// metrics count what goes through the runtime. Nothing is labelled by tenant or
// source: the number of series must not grow with them.
//
// Of devices: found = queued + refused + blacklisted + unnamed + failed, once the
// runs under way have ended. Of updates in the outbox: taken = acknowledged + superseded +
// withdrawn + refused + damaged + waiting, over all processes that used it.
type metrics struct {
	found   prometheus.Counter
	devices *prometheus.CounterVec
	runs    *prometheus.CounterVec
	alarms  prometheus.Counter
	lasted  prometheus.Histogram
	// box is the outbox while the runtime runs.
	box atomic.Pointer[outbox.Outbox]
	// connected and full are the state as events tell it.
	connected, full atomic.Bool
	sources         atomic.Int64
}

// What became of a device that a source named.
const (
	fateQueued      = "queued"
	fateRefused     = "refused"
	fateBlacklisted = "blacklisted"
	fateUnnamed     = "unnamed"
	// fateFailed is that its run failed before it was taken.
	fateFailed = "failed"
)

func metricName(name string) string { return prometheus.BuildFQName("edgesync", "run", name) }

var (
	updatesTaken = prometheus.NewDesc(metricName("updates_taken_total"), "Updates the outbox has taken, over all processes that used it.", nil, nil)
	updatesEnded = prometheus.NewDesc(metricName("updates_total"), "Updates of the outbox by what became of them; with those that wait they add up to those taken.", []string{"outcome"}, nil)
	outboxUsed   = prometheus.NewDesc(metricName("outbox_bytes"), "Disk taken by the outbox.", nil, nil)
	outboxLimit  = prometheus.NewDesc(metricName("outbox_limit_bytes"), "Disk the outbox may take.", nil, nil)
	outboxOldest = prometheus.NewDesc(metricName("outbox_oldest_timestamp_seconds"), "When the oldest of the runs that wait was read, in unix time; now if none waits.", nil, nil)
	outboxRuns   = prometheus.NewDesc(metricName("outbox_runs"), "Runs that wait for the gateway.", nil, nil)
	outboxWaits  = prometheus.NewDesc(metricName("outbox_updates"), "Updates that wait for the gateway.", nil, nil)
	outboxIsFull = prometheus.NewDesc(metricName("outbox_full"), "1 while no source is read because the outbox has no room.", nil, nil)
	gatewayUp    = prometheus.NewDesc(metricName("gateway_connected"), "1 while the gateway answers.", nil, nil)
	sourceCount  = prometheus.NewDesc(metricName("sources"), "Sources in the configuration.", nil, nil)
)

func newMetrics() *metrics {
	m := &metrics{
		found: prometheus.NewCounter(prometheus.CounterOpts{Name: metricName("devices_found_total"), Help: "Devices that sources named; what became of them adds up to it once their runs have ended."}),
		devices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricName("devices_total"), Help: "Devices that sources named by what became of them.",
		}, []string{"outcome"}),
		runs:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("runs_total"), Help: "Runs of sources by result."}, []string{"result"}),
		alarms: prometheus.NewCounter(prometheus.CounterOpts{Name: metricName("outbox_alarms_total"), Help: "How often the outbox ran full."}),
		lasted: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricName("duration_seconds"), Help: "How long runs took from their beginning to the gateway's word, or to their failure.",
			Buckets: []float64{.1, .5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600},
		}),
	}
	// A series that is there from the start can be watched for its first event.
	for _, fate := range []string{fateQueued, fateRefused, fateBlacklisted, fateUnnamed, fateFailed} {
		m.devices.WithLabelValues(fate)
	}
	for _, result := range []string{payload.ResultSuccess, payload.ResultPartial, payload.ResultFailed, payload.ResultTimeout, payload.ResultSuperseded} {
		m.runs.WithLabelValues(result)
	}
	return m
}

// count adds devices of a run that is read.
func (m *metrics) count(fate string, n int64) {
	if n > 0 {
		m.devices.WithLabelValues(fate).Add(float64(n))
	}
}

// see keeps the state that events tell of.
func (m *metrics) see(e Event) {
	switch e.Kind {
	case Connected:
		m.connected.Store(true)
	case Disconnected:
		m.connected.Store(false)
	case Configured:
		m.sources.Store(int64(len(e.Sources)))
	case RunEnded:
		m.runs.WithLabelValues(e.Result).Inc()
	case OutboxFull:
		m.full.Store(true)
		m.alarms.Inc()
	case OutboxRoom:
		m.full.Store(false)
	}
}

// kept are the metrics that are counted here.
func (m *metrics) kept() []prometheus.Collector {
	return []prometheus.Collector{m.found, m.devices, m.runs, m.alarms, m.lasted}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, one := range m.kept() {
		one.Describe(ch)
	}
	for _, desc := range []*prometheus.Desc{updatesTaken, updatesEnded, outboxUsed, outboxLimit, outboxOldest, outboxRuns, outboxWaits, outboxIsFull, gatewayUp, sourceCount} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, one := range m.kept() {
		one.Collect(ch)
	}
	gauge := func(desc *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	gauge(outboxIsFull, number(m.full.Load()))
	gauge(gatewayUp, number(m.connected.Load()))
	gauge(sourceCount, float64(m.sources.Load()))
	box := m.box.Load()
	if box == nil {
		return
	}
	used, runs := box.Stats()
	gauge(outboxUsed, float64(used))
	gauge(outboxLimit, float64(box.MaxBytes()))
	gauge(outboxOldest, float64(box.Oldest().UnixMilli())/1000)
	gauge(outboxRuns, float64(runs))
	totals := box.Totals()
	gauge(outboxWaits, float64(totals.Waiting()))
	ch <- prometheus.MustNewConstMetric(updatesTaken, prometheus.CounterValue, float64(totals.Taken))
	for outcome, n := range map[string]int64{
		"acknowledged": totals.Acknowledged, "superseded": totals.Superseded, "withdrawn": totals.Withdrawn,
		"refused": totals.Refused, "damaged": totals.Damaged,
	} {
		ch <- prometheus.MustNewConstMetric(updatesEnded, prometheus.CounterValue, float64(n), outcome)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Collector counts what the runtime does, for Prometheus.
func (r *Runtime) Collector() prometheus.Collector { return r.metrics }

// observe tells everybody of a step.
func (r *Runtime) observe(e Event) {
	r.metrics.see(e)
	r.options.Observe(e)
}

// Healthy says why the runtime does not work, or nil. What is away or full is no
// such reason: it is waited for.
func (r *Runtime) Healthy(patience time.Duration) error {
	moved := make(chan struct{})
	go func() {
		// Whoever hangs holds one of these.
		r.loops.has("")
		r.loops.pool.late()
		r.deliveries.late()
		if box := r.metrics.box.Load(); box != nil {
			box.Stats()
		}
		close(moved)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-moved:
	case <-timer.C:
		return fmt.Errorf("check runtime: nothing moved for %s", shell.Duration(patience))
	}
	for _, p := range []*pool{r.loops.pool, r.deliveries} {
		if late := p.late(); late > maxLate {
			return errors.New("check runtime: what is due is not begun")
		}
	}
	return nil
}

// maxLate is how late a pool with free places may be before it counts as stuck.
const maxLate = time.Minute
