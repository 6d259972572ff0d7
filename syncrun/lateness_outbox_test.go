package syncrun

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"edgesync/onboarding"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun/schedule"
	"edgesync/syncrun/source"
)

// few is a source that answers at once with a few devices.
type few struct{ name string }

func (f few) Discover(_ context.Context, _ source.Request, emit func(payload.Update) error) (source.Discovery, error) {
	for i := range 3 {
		u := payload.Update{IP: fmt.Sprintf("10.0.0.%d", i), Hostname: f.name, Metadata: map[string]string{payload.MetaIntegrationID: fmt.Sprint(i)}}
		if err := emit(u); err != nil {
			return source.Discovery{}, err
		}
	}
	return source.Discovery{Devices: 3, Total: 3, Mode: payload.ModeSnapshot}, nil
}

// taker is a gateway that takes all it is sent.
type taker struct {
	monitoring.UnimplementedAgentGatewayServiceServer
	config  []byte
	streams atomic.Int64
}

func (g *taker) Hello(context.Context, *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error) {
	return &monitoring.AgentHelloResponse{Accepted: true}, nil
}

func (g *taker) GetConfig(_ context.Context, r *monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
	return &monitoring.AgentConfigResponse{NotModified: r.GetConfigVersion() == "1", ConfigVersion: "1", ConfigJson: g.config}, nil
}

func (g *taker) PushStatus(context.Context, *monitoring.GatewayStatusRequest) (*monitoring.GatewayStatusResponse, error) {
	return &monitoring.GatewayStatusResponse{Received: true}, nil
}

func (g *taker) StreamStatus(stream grpc.ClientStreamingServer[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]) error {
	for {
		chunk, err := stream.Recv()
		if err != nil {
			return err
		}
		if chunk.GetIsFinal() {
			g.streams.Add(1)
			return stream.SendAndClose(&monitoring.GatewayStatusResponse{Received: true})
		}
	}
}

// BenchmarkLatenessWithOutbox is the whole runtime of 10,000 tenants with three
// sources each, all of which come round every minute: every run goes over the
// disk, with its fsyncs, and over gRPC to a gateway in the same process. It
// measures how late each run begins against when it was due, once each source has
// run, and the live heap, that gateway's and the configuration's included.
func BenchmarkLatenessWithOutbox(b *testing.B) {
	const (
		tenants, each = 10_000, 3
		every         = time.Minute
		limitLate     = time.Second
		limitHeap     = 500 << 20
	)
	config := payload.Config{Scope: payload.ScopePlatform, Sources: map[string]payload.Source{}}
	for i := range tenants * each {
		tenant := fmt.Sprintf("tenant-%05d", i/each)
		key := fmt.Sprintf("%s/source-%d", tenant, i%each)
		config.Sources[key] = payload.Source{
			Type: "few", Endpoint: "https://inventory.example.com/" + key, PollInterval: every.String(), TenantID: tenant, TenantSlug: tenant,
			IntegrationSourceID: key, Credentials: map[string]string{"secret_key": "0123456789abcdef0123456789abcdef"},
		}
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		b.Fatal(err)
	}
	config.Sources = nil
	for b.Loop() {
		gateway := &taker{config: encoded}
		late, heap, took := runWithOutbox(b, gateway, 3*every)
		if len(late) < tenants*each {
			b.Fatalf("%d runs came round", len(late))
		}
		slices.Sort(late)
		p99 := late[len(late)*99/100]
		b.ReportMetric(float64(len(late)), "runs")
		b.ReportMetric(float64(gateway.streams.Load())/took.Seconds(), "runs-delivered/s")
		b.ReportMetric(float64(p99.Microseconds())/1000, "p99-ms")
		b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "max-ms")
		b.ReportMetric(float64(heap)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(p99)/float64(limitLate), "of-limit-late")
		b.ReportMetric(float64(heap)/limitHeap, "of-limit-heap")
	}
}

func runWithOutbox(b *testing.B, gateway *taker, length time.Duration) (late []time.Duration, heap uint64, took time.Duration) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer()
	monitoring.RegisterAgentGatewayServiceServer(server, gateway)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	r, err := New(Options{
		Config:    onboarding.MinimalConfig{AgentID: "platform-sync", GatewayAddr: listener.Addr().String()},
		Transport: insecure.NewCredentials(), DataDir: b.TempDir(),
		Adapters: map[string]NewAdapter{"few": func(s payload.Source, _ source.Options) (source.Adapter, error) { return few{s.Endpoint}, nil }},
	})
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	due := map[string]time.Time{}
	limits := schedule.Limits{Total: r.options.Workers, PerTenant: r.options.WorkersPerTenant}
	r.loops.pool = newPool(limits, time.Now, func(ctx context.Context, id string) time.Time {
		began := time.Now()
		next := r.discover(ctx, id)
		mu.Lock()
		defer mu.Unlock()
		if when, known := due[id]; known {
			late = append(late, began.Sub(when))
		}
		due[id] = next
		return next
	})
	ctx, cancel := context.WithCancel(b.Context())
	began := time.Now()
	time.AfterFunc(length, func() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = m.HeapAlloc
		cancel()
	})
	if err := r.Run(ctx); err != nil {
		b.Fatal(err)
	}
	return late, heap, time.Since(began)
}
