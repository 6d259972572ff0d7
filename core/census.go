package core

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// censusEvery is how often what is stored is counted, and censusShare how many
	// times longer than the counting took lies between two counts at least: with
	// thousands of tenants it reads thousands of files.
	censusEvery = time.Minute
	censusShare = 20
)

// Census counts tenants, sync services and sources by how they stand.
type Census struct {
	Tenants map[TenantState]int
	// Services are by status; one that was revoked, or was never heard of, is not
	// among those that are offline.
	Services map[string]int
	Sources  map[SourceHealth]int
	// Held are the sources whose retractions wait for an operator.
	Held int
}

// serviceNew is a service that was never heard of.
const serviceNew = "new"

// SourceHealth is how a source stands.
type SourceHealth string

// A source is disabled, or has not been read yet, or its last run failed, or it
// is well.
const (
	SourceDisabled SourceHealth = "disabled"
	SourcePending  SourceHealth = "pending"
	SourceFailing  SourceHealth = "failing"
	SourceWell     SourceHealth = "ok"
)

// TakeCensus counts.
func (c *Core) TakeCensus(ctx context.Context) (Census, error) {
	census := Census{Tenants: map[TenantState]int{}, Services: map[string]int{}, Sources: map[SourceHealth]int{}}
	services, err := c.Services(ctx, "", false)
	if err != nil {
		return census, err
	}
	for _, service := range services {
		switch {
		case service.State != ServiceActive:
			census.Services[string(ServiceRevoked)]++
		case service.LastHeartbeatAt.IsZero():
			census.Services[serviceNew]++
		default:
			census.Services[string(service.Status)]++
		}
	}
	return census, c.scopes(ctx, "", func(s scope) error {
		census.Tenants[s.tenant.State]++
		return s.store.View(ctx, func(tx TenantTx) error {
			sources, err := tx.Sources(ctx)
			if err != nil {
				return fmt.Errorf("count sources of tenant %s: %w", s.tenant.Slug, err)
			}
			holds, err := tx.Holds(ctx, "")
			held := map[string]bool{}
			for _, h := range holds {
				held[h.Source] = true
			}
			census.Held += len(held)
			for _, source := range sources {
				census.Sources[healthOf(source)]++
			}
			return err
		})
	})
}

func healthOf(source Source) SourceHealth {
	switch {
	case !source.Enabled:
		return SourceDisabled
	case source.Stats.TotalSyncs == 0:
		return SourcePending
	case source.Stats.ConsecutiveFailures > 0:
		return SourceFailing
	}
	return SourceWell
}

// KeepCensus counts now and then until ctx ends, for the Collector.
func (c *Core) KeepCensus(ctx context.Context) {
	failing := false
	for {
		began := time.Now()
		census, err := c.TakeCensus(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			c.metrics.census.latest.Store(&census)
			failing = false
		case !failing:
			failing = true
			c.log.Warn("count tenants, services and sources", "error", err)
		}
		if pause(ctx, max(censusEvery, censusShare*time.Since(began))) != nil {
			return
		}
	}
}

// censusMetrics are the gauges of the latest census; none before the first.
type censusMetrics struct{ latest atomic.Pointer[Census] }

var (
	tenantsGauge  = prometheus.NewDesc("edgesync_tenants", "Tenants by state, the platform's own with them.", []string{"state"}, nil)
	servicesGauge = prometheus.NewDesc("edgesync_services", "Sync services by status.", []string{"status"}, nil)
	sourcesGauge  = prometheus.NewDesc("edgesync_sources", "Integration sources by how they stand.", []string{"state"}, nil)
	heldGauge     = prometheus.NewDesc("edgesync_sources_held", "Integration sources whose retractions wait for an operator.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *censusMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{tenantsGauge, servicesGauge, sourcesGauge, heldGauge} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *censusMetrics) Collect(ch chan<- prometheus.Metric) {
	census := m.latest.Load()
	if census == nil {
		return
	}
	gauge(ch, tenantsGauge, census.Tenants, TenantActive, TenantSuspended, TenantRemoving)
	gauge(ch, servicesGauge, census.Services, string(StatusOnline), string(StatusDegraded), string(StatusOffline), string(ServiceRevoked), serviceNew)
	gauge(ch, sourcesGauge, census.Sources, SourceWell, SourceFailing, SourcePending, SourceDisabled)
	ch <- prometheus.MustNewConstMetric(heldGauge, prometheus.GaugeValue, float64(census.Held))
}

// gauge tells the counts of a census, those of nothing too.
func gauge[T ~string](ch chan<- prometheus.Metric, desc *prometheus.Desc, counts map[T]int, all ...T) {
	for _, label := range slices.Compact(slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(counts)), all...)))) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(counts[label]), string(label))
	}
}
