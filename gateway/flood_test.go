package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"edgesync/gateway"
	"edgesync/proto/monitoring"
)

// wireCounter counts the bytes of messages as they came over the wire.
type wireCounter struct{ received atomic.Int64 }

func (c *wireCounter) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InPayload); ok {
		c.received.Add(int64(in.CompressedLength))
	}
}
func (c *wireCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c *wireCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *wireCounter) HandleConn(context.Context, stats.ConnStats)                       {}

// raw is a client that speaks HTTP/2 frame by frame, as no library would.
type raw struct {
	t    *testing.T
	conn net.Conn
	*http2.Framer
	headers bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	frames  chan http2.Frame // closed when the connection is
}

func (w *world) raw(certificate tls.Certificate) *raw {
	w.t.Helper()
	config := w.clientTLS(certificate)
	conn, err := tls.Dial("tcp", w.addr, config)
	must(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte(http2.ClientPreface))
	must(w.t, err)
	r := &raw{t: w.t, conn: conn, Framer: http2.NewFramer(conn, conn), next: 1, frames: make(chan http2.Frame, 1<<16)}
	r.encoder = hpack.NewEncoder(&r.headers)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(w.t, r.WriteSettings())
	go func() {
		defer close(r.frames)
		for {
			frame, err := r.ReadFrame()
			if err != nil {
				return
			}
			switch f := frame.(type) { // a frame is good only until the next is read
			case *http2.MetaHeadersFrame:
				copied := *f
				r.frames <- &copied
			case *http2.GoAwayFrame:
				copied := *f
				r.frames <- &copied
			}
		}
	}()
	return r
}

// open begins a call and returns its stream's id.
func (r *raw) open(method string) (uint32, error) {
	r.headers.Reset()
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":path", method}, {":authority", serverName},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		must(r.t, r.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	id := r.next
	r.next += 2
	return id, r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.headers.Bytes(), EndHeaders: true})
}

// grpcStatus waits for the trailers of a stream and returns its grpc-status.
func (r *raw) grpcStatus(id uint32) string {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case frame, ok := <-r.frames:
			if !ok {
				return "closed"
			}
			if h, ok := frame.(*http2.MetaHeadersFrame); ok && h.StreamID == id {
				for _, f := range h.Fields {
					if f.Name == "grpc-status" {
						return f.Value
					}
				}
			}
		case <-deadline:
			r.t.Fatal("no answer came")
		}
	}
}

// closed waits for the gateway to close the connection and returns the code of
// its GOAWAY, if it sent one.
func (r *raw) closed() (code http2.ErrCode, goAway bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case frame, ok := <-r.frames:
			if !ok {
				return code, goAway
			}
			if g, ok := frame.(*http2.GoAwayFrame); ok {
				code, goAway = g.ErrCode, true
			}
		case <-deadline:
			r.t.Fatal("the connection was not closed")
		}
	}
}

// unharmed checks that another tenant is served.
func (w *world) unharmed(c client) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	_, err := c.Hello(ctx, &monitoring.AgentHelloRequest{AgentId: "branch-sync"})
	must(w.t, err)
	must(w.t, send(ctx, c, chunk("branch-sync", 0, 1)))
}

func TestPingFloodIsCutOff(t *testing.T) {
	w := newWorld(t, nil)
	other := w.dial(w.edge("globex", "branch-sync"))
	w.unharmed(other)
	r := w.raw(w.edge("acme", "hq-sync"))
	for range 100 {
		if r.WritePing(false, [8]byte{1}) != nil {
			break
		}
	}
	if code, goAway := r.closed(); goAway && code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("the connection was closed with %v", code)
	}
	w.unharmed(other)
}

func TestRapidResetsAreCutOff(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.StreamRate, l.StreamBurst = 50, 200 })
	other := w.dial(w.edge("globex", "branch-sync"))
	w.unharmed(other)
	r := w.raw(w.edge("acme", "hq-sync"))
	for range 20_000 {
		id, err := r.open(monitoring.AgentGatewayService_StreamStatus_FullMethodName)
		if err != nil || r.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	r.closed()
	if n := w.metric("refusals_total", "reason="+gateway.ReasonStreamRate); n == 0 {
		t.Error("nothing was counted")
	}
	w.unharmed(other)
	w.await("only the other's connection", func() bool { return w.metric("connections") == 1 && w.metric("streams") == 0 })
}

func TestFloodOfCallsIsRefusedForItsConnectionOnly(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.CallRate, l.CallBurst = 0.001, 5 })
	acme, other := w.dial(w.edge("acme", "hq-sync")), w.dial(w.edge("globex", "branch-sync"))
	hello := &monitoring.AgentHelloRequest{AgentId: "hq-sync"}
	for range 5 {
		_, err := acme.Hello(t.Context(), hello)
		must(t, err)
	}
	_, err := acme.Hello(t.Context(), hello)
	wantStatus(t, err, codes.ResourceExhausted, "too many calls")
	if len(status.Convert(err).Details()) != 1 {
		t.Error("the refusal has no RetryInfo: a client would take it for permanent")
	}
	wantStatus(t, send(t.Context(), acme, chunk("hq-sync", 0, 1)), codes.ResourceExhausted, "too many calls")
	w.unharmed(other)
}

// One byte at a time: a chunk that never becomes whole ends the stream.
func TestTricklingStreamIsEnded(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.StreamIdle = 3 * time.Second })
	other := w.dial(w.edge("globex", "branch-sync"))
	r := w.raw(w.edge("acme", "hq-sync"))
	id := r.trickle(monitoring.AgentGatewayService_StreamStatus_FullMethodName)
	w.unharmed(other)
	if got := r.grpcStatus(id); got != "4" {
		t.Errorf("the stream ended with grpc-status %s, want 4 (DeadlineExceeded)", got)
	}
}

// The same for a unary call, whose request gRPC itself reads.
func TestTricklingCallIsEnded(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.Arrival = 3 * time.Second })
	r := w.raw(w.edge("acme", "hq-sync"))
	id := r.trickle(monitoring.AgentGatewayService_PushStatus_FullMethodName)
	if got := r.grpcStatus(id); got != "1" && got != "4" {
		t.Errorf("the call ended with grpc-status %s, want 1 (Canceled) or 4 (DeadlineExceeded)", got)
	}
	w.unharmed(w.dial(w.edge("globex", "branch-sync")))
}

// trickle begins a call that announces a message of 1,000 bytes and sends it byte
// by byte, until the test ends.
func (r *raw) trickle(method string) uint32 {
	r.t.Helper()
	id, err := r.open(method)
	must(r.t, err)
	prefix := binary.BigEndian.AppendUint32([]byte{0}, 1000)
	must(r.t, r.WriteData(id, false, prefix))
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if r.WriteData(id, false, []byte{0}) != nil {
					return
				}
			}
		}
	}()
	r.t.Cleanup(func() { close(stop); <-done })
	return id
}

// A connection that never gets through its handshake is closed.
func TestSlowHandshakeIsCutOff(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.Handshake = 3 * time.Second })
	conn, err := net.Dial("tcp", w.addr)
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{22, 3, 1, 2}) // the beginning of a ClientHello
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Errorf("the connection stayed open: %v", err)
	}
	w.unharmed(w.dial(w.edge("globex", "branch-sync")))
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestComponentHasSoManyConnections(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.Connections = 2 })
	certificate := w.edge("acme", "hq-sync")
	hello := func(c client) error {
		_, err := c.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"})
		return err
	}
	first, second, third := w.dial(certificate), w.dial(certificate), w.dial(certificate)
	must(t, hello(first))
	must(t, hello(second))
	wantStatus(t, hello(third), codes.Unavailable, "")
	w.unharmed(w.dial(w.edge("globex", "branch-sync")))
	must(t, first.conn.Close())
	w.await("a free place", func() bool { return hello(w.dial(certificate)) == nil })
}
