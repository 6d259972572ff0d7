package core_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"edgesync/core"
)

// slowStore stops every change of a tenant until it is let go.
type slowStore struct {
	core.Store
	inside, leave chan struct{}
}

func (s *slowStore) Tenant(ctx context.Context, id uuid.UUID) (core.TenantStore, error) {
	store, err := s.Store.Tenant(ctx, id)
	return slowTenant{store, s}, err
}

type slowTenant struct {
	core.TenantStore
	s *slowStore
}

func (t slowTenant) Update(ctx context.Context, fn func(core.TenantTx) error) error {
	t.s.inside <- struct{}{}
	<-t.s.leave
	return t.TenantStore.Update(ctx, fn)
}

// gather reads what a collector has counted, by name and label value.
func gather(t *testing.T, collector prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += "/" + label.GetValue()
			}
			counts[name] = metric.GetCounter().GetValue()
		}
	}
	return counts
}
