package syncrun_test

import (
	"sync/atomic"
	"testing"
	"time"

	"edgesync/syncrun"
)

// TestClockThatJumpsADayIsToldOf, either way, and the next run is a run like any.
func TestClockThatJumpsADayIsToldOf(t *testing.T) {
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		simulateAlone(t, func(t *testing.T, w *world) {
			var offset atomic.Int64
			w.options.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
			w.adapters["a"] = devices(3)
			paced(w, "1m", "a")
			w.run()
			pass(5 * time.Minute)
			if n := w.count(syncrun.ClockJumped, ""); n != 0 {
				t.Errorf("%d alarms though nothing happened", n)
			}
			offset.Store(int64(jump))
			pass(5 * time.Minute)
			w.stop()
			if n := w.count(syncrun.ClockJumped, ""); n != 1 {
				t.Errorf("%d alarms", n)
			}
			for _, d := range w.gateway.got() {
				if len(d.updates) != 3 {
					t.Errorf("%d updates", len(d.updates))
				}
			}
		})
	}
}
