package syncrun_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// gathered returns every series of a runtime by name and label values.
func gathered(t testing.TB, runtime *syncrun.Runtime) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(runtime.Collector())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// TestCountersBalance: whatever becomes of a device, each stage counts it once.
func TestCountersBalance(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		found, runs := 0, 0
		w.adapters["a"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			runs++
			for i := range 1000 {
				d := device(i)
				if i%100 == 7 {
					d.IP, d.MAC, d.Metadata = "no address", "", nil
				}
				found++
				if err := emit(d); err != nil {
					return source.Discovery{}, err
				}
			}
			found += 5
			if runs%3 == 0 {
				return source.Discovery{Blacklisted: 5}, source.Errorf(source.ReasonServer, "status 500")
			}
			found += 3
			return source.Discovery{Devices: 995, Total: 1000, Blacklisted: 5, Unnamed: 3, Mode: payload.ModeSnapshot}, nil
		}
		paced(w, "1m", "a")
		w.gateway.onChunk = unavailable
		runtime := w.run()
		pass(10 * time.Minute)
		w.gateway.misbehave(nil, nil)
		pass(5 * time.Minute)
		w.stop()
		got := gathered(t, runtime)
		sum := 0.0
		for _, fate := range []string{"queued", "refused", "blacklisted", "unnamed", "failed"} {
			n := got["edgesync_run_devices_total "+fate]
			if n == 0 {
				t.Errorf("no devices are %s", fate)
			}
			sum += n
		}
		if sum != float64(found) || got["edgesync_run_devices_found_total"] != sum {
			t.Errorf("sources named %d devices, %v were counted: %v", found, sum, got)
		}
		taken, ended := got["edgesync_run_updates_taken_total"], got["edgesync_run_outbox_updates"]
		for _, fate := range []string{"acknowledged", "superseded", "withdrawn", "refused", "damaged"} {
			ended += got["edgesync_run_updates_total "+fate]
		}
		if taken != got["edgesync_run_devices_total queued"] || taken != ended || got["edgesync_run_updates_total acknowledged"] == 0 {
			t.Errorf("taken %v, ended %v: %v", taken, ended, got)
		}
		if got["edgesync_run_gateway_connected"] != 1 || got["edgesync_run_sources"] != 1 {
			t.Errorf("state is %v", got)
		}
	})
}

func TestRuntimeIsHealthyWhileItsSourcesHang(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = hangs
		w.configure("a")
		runtime := w.run()
		for range 10 {
			pass(10 * time.Minute)
			if err := runtime.Healthy(time.Second); err != nil {
				t.Error(err)
			}
		}
		w.stop()
	})
}
