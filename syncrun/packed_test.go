package syncrun_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// TestMessagesArePackedForAGatewayThatReadsThem, and for no other: what one
// gateway said with Hello is not believed of the one that takes the stream.
func TestMessagesArePackedForAGatewayThatReadsThem(t *testing.T) {
	for name, c := range map[string]struct {
		packs, confirms bool
		devices         int
		packed          bool
	}{
		"one of ours":           {true, true, 5 * large, true},
		"a small run":           {true, true, 5, false},
		"a foreign one":         {false, false, 5 * large, false},
		"another than said so":  {true, false, 5 * large, false},
		"one that said nothing": {false, true, 5 * large, false},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				w.adapters["a"] = devices(c.devices)
				w.chunked()
				w.gateway.packs, w.gateway.confirms = c.packs, c.confirms
				w.configure("a")
				w.run()
				pass(time.Minute)
				w.stop()
				got := w.gateway.got()
				if len(got) != 1 || len(got[0].updates) != c.devices || got[0].mode() != payload.ModeSnapshot {
					t.Fatalf("%d streams", len(got))
				}
				if w.gateway.packed != 0 != c.packed || c.packed && w.gateway.packed != len(got[0].chunks) {
					t.Errorf("%d of %d messages came packed", w.gateway.packed, len(got[0].chunks))
				}
				if m := got[0].updates[0].SyncMeta; m == nil || m.SyncRunID != got[0].run() || m.RunStarted == nil {
					t.Errorf("sync_meta is %+v", m)
				}
			})
		})
	}
}

// TestRefusedChunkOfAPackedRunIsSetAside: the parts go again, plain, each alone.
func TestRefusedChunkOfAPackedRunIsSetAside(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		const n = 5 * large
		w.adapters["a"] = devices(n)
		w.chunked()
		w.gateway.packs, w.gateway.confirms = true, true
		w.configure("a")
		w.gateway.onChunk = func(_ context.Context, _ string, c *monitoring.GatewayStatusChunk) error {
			if strings.Contains(string(unpack(c.GetServices()[0].GetMessage())), `"hostname":"host-999"`) {
				return status.Error(codes.InvalidArgument, "update 7: no")
			}
			return nil
		}
		w.run()
		pass(time.Minute)
		w.stop()
		updates := 0
		for _, d := range w.gateway.got() {
			updates += len(d.updates)
		}
		told := w.gateway.told("a")
		if updates < n/2 || updates == n || len(told) != 1 || told[0].Result != payload.ResultPartial || told[0].Devices != int64(updates) {
			t.Fatalf("%d updates, told %+v", updates, told)
		}
	})
}
