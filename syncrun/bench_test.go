package syncrun_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"edgesync/certs"
	emulator "edgesync/faker"
	"edgesync/onboarding"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/armis"
	"edgesync/syncrun/source/faker"
)

// sink takes streams and keeps nothing of them; what it says beside is the fake
// gateway's.
type sink struct {
	*fakeGateway
	packed        bool
	bytes, chunks atomic.Int64
}

func (s *sink) Hello(ctx context.Context, request *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error) {
	if s.packed {
		if err := grpc.SetHeader(ctx, packedHeader); err != nil {
			return nil, err
		}
	}
	return s.fakeGateway.Hello(ctx, request)
}

func (s *sink) StreamStatus(stream grpc.ClientStreamingServer[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]) error {
	if s.packed {
		if err := stream.SendHeader(packedHeader); err != nil {
			return err
		}
	}
	var buffer []byte
	for final := false; !final; {
		chunk, err := stream.Recv()
		if err != nil {
			return err
		}
		message := chunk.GetServices()[0].GetMessage()
		if payload.IsPacked(message) {
			if buffer, err = payload.Unpack(buffer, message, payload.ChunkMax); err != nil {
				return err
			}
			message = buffer
		}
		s.bytes.Add(int64(len(message)))
		s.chunks.Add(1)
		final = chunk.GetIsFinal()
	}
	return stream.SendAndClose(&monitoring.GatewayStatusResponse{Received: true})
}

// BenchmarkAgainstRawGRPC compares the way of devices from an adapter's page
// over the disk to the gateway with the bare sending of as many bytes in
// messages of the same size, in one run: both over mutual TLS on loopback, as
// the gateway has it, between the same two ends and with the same options. MB/s
// are of the JSON that the gateway then has in its hands, also where it came
// packed; from=page hands over updates that an adapter has made before.
func BenchmarkAgainstRawGRPC(b *testing.B) {
	const n = 200_000
	for _, c := range []struct {
		from    string
		packed  bool
		sources int
		devices int
	}{
		{"page", true, 1, n},
		{"page", true, 4, n},
		{"page", false, 1, n},
		{"page", false, 4, n},
		// What the adapters themselves take, the last with pages over HTTP.
		{"faker", true, 4, n},
		{"armis", true, 4, n / 4},
	} {
		name := fmt.Sprintf("from=%s/packed=%t/sources=%d", c.from, c.packed, c.sources)
		b.Run(name, func(b *testing.B) { againstRaw(b, c.from, c.packed, c.sources, c.devices/c.sources) })
	}
}

// reader is where the devices of a benchmark come from.
func reader(b *testing.B, from string, each int) adapterFunc {
	b.Helper()
	var adapter source.Adapter
	var err error
	switch from {
	case "page":
		page := fakerPage(b, 5000)
		return func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
			for i := range each {
				if err := emit(page[i%len(page)]); err != nil {
					return source.Discovery{}, err
				}
			}
			return source.Discovery{Devices: int64(each), Total: int64(each), Mode: payload.ModeSnapshot}, nil
		}
	case "faker":
		adapter, err = faker.New(payload.Source{Type: payload.TypeFaker, Settings: map[string]string{faker.SettingDevices: fmt.Sprint(each)}}, source.Options{})
	case "armis":
		var systems *emulator.Server
		if systems, err = emulator.New(emulator.Options{Armis: each}); err != nil {
			b.Fatal(err)
		}
		server := httptest.NewServer(systems)
		b.Cleanup(server.Close)
		adapter, err = armis.New(payload.Source{Type: payload.TypeArmis, Endpoint: server.URL, Credentials: map[string]string{
			payload.CredentialSecretKey: emulator.DemoSecret, payload.CredentialPageSize: "1000",
		}}, source.Options{})
	}
	if err != nil {
		b.Fatal(err)
	}
	return func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error) {
		return adapter.Discover(ctx, source.Request{}, emit)
	}
}

func againstRaw(b *testing.B, from string, packed bool, sources, each int) {
	w := newWorld(b)
	gateway := &sink{fakeGateway: w.gateway, packed: packed}
	a := newAuthorities(b)
	config := a.listen(b, gateway)
	w.options.Config, w.options.Transport, w.options.Dial = config, nil, nil
	w.options.Logger, w.options.Once = nil, true
	read := reader(b, from, each)
	var names []string
	for i := range sources {
		name := fmt.Sprint("source-", i)
		names = append(names, name)
		w.adapters[name] = read
	}
	w.configure(names...)
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
	var ourCPU, rawCPU time.Duration
	for b.Loop() {
		gateway.bytes.Store(0)
		gateway.chunks.Store(0)
		began, cpu := time.Now(), cpuTime(b)
		w.run()
		if err := <-w.done; err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		ourCPU += cpuTime(b) - cpu
		sent := gateway.bytes.Load()
		bytes += sent
		size := sent / gateway.chunks.Load()
		cpu = cpuTime(b)
		one := sendRaw(b, config, sent, size, 1)
		rawCPU += cpuTime(b) - cpu
		raw += min(one, sendRaw(b, config, sent, size, 2))
	}
	w.cancel()
	mb := func(took time.Duration) float64 { return float64(bytes) / 1e6 / took.Seconds() }
	b.ReportMetric(mb(ours), "MB/s")
	b.ReportMetric(mb(raw), "raw-MB/s")
	if sources == 1 {
		b.ReportMetric(mb(sending), "outbox-to-gateway-MB/s")
	}
	b.ReportMetric(mb(ours)/mb(raw), "of-raw")
	b.ReportMetric(float64(ourCPU)/float64(rawCPU), "cpu-of-raw")
	b.ReportMetric(float64(sources*each*b.N)/ours.Seconds(), "devices/s")
	b.ReportMetric(float64(bytes)/float64(sources*each*b.N), "bytes/device")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what this process has used of its processors: where others use them
// too, it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// fakerPage is what the faker source's adapter makes of so many devices.
func fakerPage(b *testing.B, n int) []payload.Update {
	b.Helper()
	adapter, err := faker.New(payload.Source{Type: payload.TypeFaker, Settings: map[string]string{faker.SettingDevices: fmt.Sprint(n)}}, source.Options{})
	if err != nil {
		b.Fatal(err)
	}
	page := make([]payload.Update, 0, n)
	_, err = adapter.Discover(b.Context(), source.Request{}, func(u payload.Update) error {
		page = append(page, u)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return page
}

// listen serves mTLS as the gateway does and returns the config of an edge host.
func (a authorities) listen(b *testing.B, gateway monitoring.AgentGatewayServiceServer) onboarding.MinimalConfig {
	b.Helper()
	issuers, err := certs.NewIssuers(a.root.Certificate)
	if err != nil {
		b.Fatal(err)
	}
	if err := issuers.Add(certs.Issuer{TenantID: uuid.New(), Tenant: "acme", Certificate: a.acme.Certificate}); err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	leaf := a.gatewayLeaf(b, gatewayName)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(certs.ServerTLS(issuers, func() *tls.Certificate { return leaf }, nil))),
		grpc.MaxRecvMsgSize(16<<20))
	monitoring.RegisterAgentGatewayServiceServer(server, gateway)
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(server.Stop)
	return a.host(b, listener.Addr().String())
}

// sendRaw sends so many bytes in messages of a size over some streams at once and returns how long it took.
func sendRaw(b *testing.B, config onboarding.MinimalConfig, bytes, size int64, streams int) time.Duration {
	b.Helper()
	own, err := config.ClientTLS()
	if err != nil {
		b.Fatal(err)
	}
	conn, err := grpc.NewClient(config.GatewayAddr, grpc.WithTransportCredentials(credentials.NewTLS(own)))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	var all errgroup.Group
	for range streams {
		all.Go(func() error { return sendStream(b.Context(), conn, bytes/int64(streams), size) })
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func sendStream(ctx context.Context, conn *grpc.ClientConn, bytes, size int64) error {
	message := make([]byte, size)
	stream, err := monitoring.NewAgentGatewayServiceClient(conn).StreamStatus(ctx)
	if err != nil {
		return err
	}
	for bytes > 0 {
		part := message[:min(int64(len(message)), bytes)]
		bytes -= int64(len(part))
		err := stream.Send(&monitoring.GatewayStatusChunk{
			AgentId: "hq-sync", IsFinal: bytes == 0, Services: []*monitoring.GatewayServiceStatus{{ServiceName: "sync", Source: "results", Message: part}},
		})
		if err != nil {
			return err
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}
