package syncrun_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// sink takes streams and keeps nothing of them; what it says beside is the fake
// gateway's.
type sink struct {
	*fakeGateway
	bytes int64
}

func (s *sink) StreamStatus(stream grpc.ClientStreamingServer[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]) error {
	for final := false; !final; {
		chunk, err := stream.Recv()
		if err != nil {
			return err
		}
		s.bytes += int64(len(chunk.GetServices()[0].GetMessage()))
		final = chunk.GetIsFinal()
	}
	return stream.SendAndClose(&monitoring.GatewayStatusResponse{Received: true})
}

// BenchmarkAgainstRawGRPC compares the way of devices from an adapter's page
// over the disk to the gateway with the bare sending of as many bytes in
// messages of the same size, over TCP on loopback, in one run.
func BenchmarkAgainstRawGRPC(b *testing.B) {
	const n = 200_000
	w := newWorld(b)
	gateway := &sink{fakeGateway: w.gateway}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer()
	monitoring.RegisterAgentGatewayServiceServer(server, gateway)
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(server.Stop)
	w.options.Logger, w.options.Once = nil, true
	w.options.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	}
	page := make([]payload.Update, 1000)
	for i := range page {
		page[i] = device(i)
	}
	w.adapters["a"] = func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
		for i := range n {
			if err := emit(page[i%len(page)]); err != nil {
				return source.Discovery{}, err
			}
		}
		return source.Discovery{Devices: n, Total: n, Mode: payload.ModeSnapshot}, nil
	}
	w.configure("a")
	var ours, raw, sending time.Duration
	var bytes int64
	var spooled time.Time
	w.options.Observe = func(e syncrun.Event) {
		switch e.Kind {
		case syncrun.Spooled:
			spooled = e.Time
		case syncrun.RunEnded:
			sending += e.Time.Sub(spooled)
		}
	}
	for b.Loop() {
		gateway.bytes = 0
		began := time.Now()
		w.run()
		if err := <-w.done; err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		bytes += gateway.bytes
		raw += sendRaw(b, listener.Addr().String(), gateway.bytes)
	}
	w.cancel()
	mb := func(took time.Duration) float64 { return float64(bytes) / 1e6 / took.Seconds() }
	b.ReportMetric(mb(ours), "MB/s")
	b.ReportMetric(mb(raw), "raw-MB/s")
	b.ReportMetric(mb(sending), "outbox-to-gateway-MB/s")
	b.ReportMetric(mb(ours)/mb(raw), "of-raw")
	b.ReportMetric(float64(n)*float64(b.N)/ours.Seconds(), "devices/s")
}

// sendRaw sends bytes in one stream and returns how long it took.
func sendRaw(b *testing.B, addr string, bytes int64) time.Duration {
	b.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	message := make([]byte, payload.ChunkTarget)
	began := time.Now()
	stream, err := monitoring.NewAgentGatewayServiceClient(conn).StreamStatus(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for bytes > 0 {
		part := message[:min(int64(len(message)), bytes)]
		bytes -= int64(len(part))
		err := stream.Send(&monitoring.GatewayStatusChunk{
			AgentId: "hq-sync", IsFinal: bytes == 0, Services: []*monitoring.GatewayServiceStatus{{ServiceName: "sync", Source: "results", Message: part}},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
