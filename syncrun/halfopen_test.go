package syncrun_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
)

// wire is a connection that can fall silent: what is written to it is lost and
// nothing is read from it any more, and neither end is told.
type wire struct {
	net.Conn
	network *network
}

// network is what lies between a runtime and its gateway.
type network struct {
	mu      sync.Mutex
	swallow bool
	wires   []*wire
	dialled []time.Time
}

// dial makes wires of what is dialled; while all is swallowed, to no end.
func (n *network) dial(to func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		n.mu.Lock()
		n.dialled = append(n.dialled, time.Now())
		n.mu.Unlock()
		if n.silent() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		conn, err := to(ctx, address)
		if err != nil {
			return nil, err
		}
		w := &wire{Conn: conn, network: n}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.wires = append(n.wires, w)
		return w, nil
	}
}

func (n *network) silent() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.swallow
}

func (n *network) set(swallow bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.swallow = swallow
}

func (w *wire) Write(p []byte) (int, error) {
	if w.network.silent() {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		if err != nil || !w.network.silent() {
			return n, err
		}
	}
}

// TestHalfOpenConnectionIsNoticed: the connection falls silent in the middle of a
// stream, without anybody being told, and stays so for two minutes. Pings notice
// it long before the stream counts as stalled; the runtime dials anew, with
// pauses that grow, and the run arrives once, whole.
func TestHalfOpenConnectionIsNoticed(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		between := &network{}
		w.options.Dial = between.dial(w.gateway.dial)
		w.adapters["a"] = devices(large)
		w.chunked()
		w.configure("a")
		var fell time.Time
		w.gateway.onChunk = func(_ context.Context, _ string, c *monitoring.GatewayStatusChunk) error {
			if c.GetChunkIndex() == 3 && fell.IsZero() {
				fell = time.Now()
				between.set(true)
			}
			return nil
		}
		w.run()
		pass(2 * time.Minute)
		if fell.IsZero() || len(w.gateway.got()) != 0 {
			t.Fatalf("%d streams arrived over a silent connection", len(w.gateway.got()))
		}
		between.mu.Lock()
		dialled := between.dialled
		between.mu.Unlock()
		if len(dialled) < 2 || dialled[1].Sub(fell) > time.Minute {
			t.Fatalf("dialled at %v, the connection fell silent at %v", dialled, fell)
		}
		if len(dialled) > 15 {
			t.Errorf("dialled %d times in two minutes", len(dialled))
		}
		if w.count(syncrun.Disconnected, "") == 0 || w.count(syncrun.Retrying, "a") == 0 {
			t.Error("nobody was told that the gateway is away")
		}
		between.set(false)
		pass(2 * time.Minute)
		w.stop()
		got := w.gateway.got()
		if len(got) != 1 || len(got[0].updates) != large {
			t.Fatalf("%d streams arrived", len(got))
		}
		if told := w.gateway.told("a"); len(told) != 1 || told[0].Result != payload.ResultSuccess {
			t.Errorf("told %+v", told)
		}
		for _, one := range between.wires {
			_ = one.Close()
		}
	})
}
