package syncrun_test

import (
	"encoding/json"
	"testing"
	"time"

	"edgesync/proto/payload"
)

// setBack gives the platform another epoch, as a restore from a backup does.
func (w *world) setBack(sources map[string]payload.Source, epoch string) {
	w.t.Helper()
	config, err := json.Marshal(payload.Config{
		SyncServiceID: "service-1", ComponentID: "hq-sync", Scope: payload.ScopeTenant, PlatformEpoch: epoch, Sources: sources,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.gateway.configureRaw(config)
}

// wholes are the runs of a source in their order: true for one that read it whole.
func (w *world) wholes(key string) (all []bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, request := range w.asked[key] {
		all = append(all, request.Since.IsZero())
	}
	return all
}

// TestRestoredPlatformIsToldEverythingAgain: what was acknowledged after the
// backup is known to nobody, so that changes alone would not do.
func TestRestoredPlatformIsToldEverythingAgain(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.adapters["a"] = changing
		w.gateway.settings.ConfigPollIntervalSec = 60
		sources := w.configure("a")
		a := sources["a"]
		a.PollInterval, a.DiscoveryInterval = "10m", "6h"
		sources["a"] = a
		w.gateway.configure(payload.ScopeTenant, sources)
		w.run()
		pass(25 * time.Minute)
		w.setBack(sources, "epoch-1")
		pass(2 * time.Minute)
		if got := w.wholes("a"); len(got) != 4 || !got[0] || got[1] || got[2] || !got[3] {
			t.Errorf("runs that read all: %v, want the first and the one after the restore", got)
		}
		// Nothing new is no other epoch; the pace is that of before.
		w.setBack(sources, "epoch-1")
		pass(20 * time.Minute)
		// What starts on the cached configuration knows the epoch of that.
		w.restart()
		pass(time.Minute)
		w.setBack(sources, "epoch-2")
		pass(2 * time.Minute)
		w.stop()
		got := w.wholes("a")
		if n := len(got); n != 8 || got[4] || got[5] || !got[6] || !got[7] {
			t.Errorf("runs that read all: %v", got)
		}
	})
}
