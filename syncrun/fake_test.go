package syncrun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"edgesync/onboarding"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// delivered is one stream that the fake gateway has acknowledged.
type delivered struct {
	at       time.Time
	header   metadata.MD
	tenantID string
	chunks   [][]byte
	updates  []payload.Update
}

func (d delivered) run() string    { return d.head(payload.HeaderRunID) }
func (d delivered) source() string { return d.head(payload.HeaderSourceID) }
func (d delivered) mode() string   { return d.head(payload.HeaderMode) }

func (d delivered) head(key string) string {
	if values := d.header.Get(key); len(values) == 1 {
		return values[0]
	}
	return ""
}

// fakeGateway is the other end of the protocol. Its functions may be replaced
// to misbehave.
type fakeGateway struct {
	monitoring.UnimplementedAgentGatewayServiceServer

	mu       sync.Mutex
	listener *bufconn.Listener
	server   *grpc.Server
	config   []byte
	version  int
	calls    []string
	beats    []time.Time
	pushes   []*monitoring.GatewayStatusRequest
	reports  []payload.RunReport
	streams  []delivered
	hello    *monitoring.AgentHelloResponse
	settings *monitoring.AgentConfigResponse

	// forget keeps nothing of what arrives.
	forget bool
	// packs says of Hello, and confirms of a stream, that it reads packed
	// messages; packed counts those it got.
	packs, confirms bool
	packed          int

	onHello func() error
	onPush  pushFunc
	// onControl is the control stream; without it the gateway has none.
	onControl func(controlServer) error
	// onChunk is asked about each chunk of a stream.
	onChunk chunkFunc
}

func newFakeGateway() *fakeGateway {
	g := &fakeGateway{
		hello:    &monitoring.AgentHelloResponse{Accepted: true, GatewayId: "gw-1"},
		settings: &monitoring.AgentConfigResponse{},
	}
	g.configure(payload.ScopeTenant, nil)
	g.start()
	return g
}

func (g *fakeGateway) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener = bufconn.Listen(1 << 20)
	g.server = grpc.NewServer()
	monitoring.RegisterAgentGatewayServiceServer(g.server, g)
	server, listener := g.server, g.listener
	go func() { _ = server.Serve(listener) }()
}

// kill cuts every connection, as a crash would.
func (g *fakeGateway) kill() {
	g.mu.Lock()
	server := g.server
	g.mu.Unlock()
	server.Stop()
}

func (g *fakeGateway) dial(ctx context.Context, _ string) (net.Conn, error) {
	g.mu.Lock()
	listener := g.listener
	g.mu.Unlock()
	return listener.DialContext(ctx)
}

// configure replaces the sources; each gets its key as id.
func (g *fakeGateway) configure(scope string, sources map[string]payload.Source) {
	for key, s := range sources {
		if s.IntegrationSourceID == "" {
			s.IntegrationSourceID = "id-" + key
			sources[key] = s
		}
	}
	encoded, err := json.Marshal(payload.Config{SyncServiceID: "service-1", ComponentID: "hq-sync", Scope: scope, Sources: sources})
	if err != nil {
		panic(err)
	}
	g.configureRaw(encoded)
}

func (g *fakeGateway) configureRaw(config []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.config = config
	g.version++
}

// chunkFunc and pushFunc decide what becomes of a chunk and of a heartbeat.
type (
	chunkFunc func(ctx context.Context, source string, chunk *monitoring.GatewayStatusChunk) error
	pushFunc  func(*monitoring.GatewayStatusRequest) error
)

// misbehave replaces the functions while the gateway serves.
func (g *fakeGateway) misbehave(onPush pushFunc, onChunk chunkFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onPush, g.onChunk = onPush, onChunk
}

func (g *fakeGateway) behaviour() (pushFunc, chunkFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.onPush, g.onChunk
}

func (g *fakeGateway) called(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, name)
}

func (g *fakeGateway) Hello(ctx context.Context, _ *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error) {
	g.called("Hello")
	if g.packs {
		if err := grpc.SetHeader(ctx, packedHeader); err != nil {
			return nil, err
		}
	}
	if g.onHello != nil {
		if err := g.onHello(); err != nil {
			return nil, err
		}
	}
	return g.hello, nil
}

func (g *fakeGateway) GetConfig(_ context.Context, request *monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
	g.called("GetConfig")
	g.mu.Lock()
	defer g.mu.Unlock()
	version := fmt.Sprint("v", g.version)
	if request.GetConfigVersion() == version {
		return &monitoring.AgentConfigResponse{NotModified: true, ConfigVersion: version}, nil
	}
	return &monitoring.AgentConfigResponse{
		ConfigVersion: version, ConfigJson: g.config,
		HeartbeatIntervalSec: g.settings.GetHeartbeatIntervalSec(), ConfigPollIntervalSec: g.settings.GetConfigPollIntervalSec(),
	}, nil
}

func (g *fakeGateway) PushStatus(_ context.Context, request *monitoring.GatewayStatusRequest) (*monitoring.GatewayStatusResponse, error) {
	g.called("PushStatus")
	if onPush, _ := g.behaviour(); onPush != nil {
		if err := onPush(request); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beats = append(g.beats, time.Now())
	g.pushes = append(g.pushes, request)
	for _, s := range request.GetServices() {
		health, err := payload.DecodeHealth(s.GetMessage(), time.Now())
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		g.reports = append(g.reports, health.Sources...)
	}
	return &monitoring.GatewayStatusResponse{Received: true}, nil
}

func (g *fakeGateway) StreamStatus(stream grpc.ClientStreamingServer[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]) error {
	g.called("StreamStatus")
	header, _ := metadata.FromIncomingContext(stream.Context())
	d := delivered{header: header}
	if g.confirms {
		if err := stream.SendHeader(packedHeader); err != nil {
			return err
		}
	}
	final := false
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if problem := disorder(chunk, len(d.chunks), final); problem != "" {
			return status.Error(codes.InvalidArgument, problem)
		}
		final = chunk.GetIsFinal()
		if _, onChunk := g.behaviour(); onChunk != nil {
			if err := onChunk(stream.Context(), d.source(), chunk); err != nil {
				return err
			}
		}
		message := chunk.GetServices()[0].GetMessage()
		if payload.IsPacked(message) {
			g.mu.Lock()
			g.packed++
			g.mu.Unlock()
		}
		updates, err := payload.DecodeUpdates(unpack(message), time.Now())
		if err != nil {
			return err
		}
		if g.forget {
			d.chunks = append(d.chunks, nil)
			continue
		}
		d.chunks = append(d.chunks, message)
		d.updates = append(d.updates, updates...)
		d.tenantID = chunk.GetTenantId()
	}
	if !final {
		return status.Error(codes.InvalidArgument, "stream ended without its final chunk")
	}
	d.at = time.Now()
	g.mu.Lock()
	g.streams = append(g.streams, d)
	g.mu.Unlock()
	return stream.SendAndClose(&monitoring.GatewayStatusResponse{Received: true})
}

// packedHeader is how a gateway says that it reads packed messages.
var packedHeader = metadata.Pairs(payload.HeaderEncodings, payload.EncodingPacked)

// unpack is a results message in JSON, nothing where it cannot be read.
func unpack(message []byte) []byte {
	if payload.IsPacked(message) {
		message, _ = payload.Unpack(nil, message, payload.ChunkMax)
	}
	return message
}

func disorder(c *monitoring.GatewayStatusChunk, index int, final bool) string {
	switch {
	case final:
		return "the stream goes on after its final chunk"
	case c.GetAgentId() != "hq-sync":
		return "wrong agent_id"
	case int(c.GetChunkIndex()) != index || c.GetTotalChunks() <= c.GetChunkIndex():
		return fmt.Sprintf("chunk %d of %d comes as number %d", c.GetChunkIndex(), c.GetTotalChunks(), index)
	case c.GetIsFinal() != (c.GetChunkIndex() == c.GetTotalChunks()-1):
		return "the final mark is on the wrong chunk"
	case len(c.GetServices()) != 1 || c.GetServices()[0].GetSource() != "results" || c.GetServices()[0].GetServiceType() != "sync":
		return "it is no results message"
	case len(c.GetServices()[0].GetMessage()) > payload.ChunkMax:
		return "the chunk is too long"
	}
	return ""
}

func (g *fakeGateway) got() []delivered {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]delivered(nil), g.streams...)
}

// gotFrom returns the streams of one source.
func (g *fakeGateway) gotFrom(source string) []delivered {
	var list []delivered
	for _, d := range g.got() {
		if d.source() == "id-"+source {
			list = append(list, d)
		}
	}
	return list
}

// told returns the distinct reports of one source, in order.
func (g *fakeGateway) told(source string) []payload.RunReport {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []payload.RunReport
	seen := map[string]bool{}
	for _, r := range g.reports {
		if r.SourceID == "id-"+source && !seen[r.RunID] {
			seen[r.RunID] = true
			list = append(list, r)
		}
	}
	return list
}

func (g *fakeGateway) heartbeats() []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]time.Time(nil), g.beats...)
}

// adapterFunc is an adapter made of one function.
type adapterFunc func(ctx context.Context, emit func(payload.Update) error) (source.Discovery, error)

func (f adapterFunc) Discover(ctx context.Context, request source.Request, emit func(payload.Update) error) (source.Discovery, error) {
	return f(context.WithValue(ctx, requested{}, request), emit)
}

// requested is the key of the request in an adapterFunc's context.
type requested struct{}

// listening is an adapter that notes what it is asked for.
type listening struct {
	source.Adapter
	w    *world
	name string
}

func (l listening) Discover(ctx context.Context, request source.Request, emit func(payload.Update) error) (source.Discovery, error) {
	l.w.mu.Lock()
	l.w.asked[l.name] = append(l.w.asked[l.name], request)
	l.w.mu.Unlock()
	return l.Adapter.Discover(ctx, request, emit)
}

func device(i int) payload.Update {
	return payload.Update{
		IP: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), Hostname: fmt.Sprintf("host-%d", i), Timestamp: time.Now(), IsAvailable: true, Confidence: 7,
		Metadata: map[string]string{payload.MetaIntegrationID: fmt.Sprint(i), payload.MetaModel: "Model X", payload.MetaOperatingSystem: "Linux"},
	}
}

// devices finds n devices at once.
func devices(n int) adapterFunc {
	return func(_ context.Context, emit func(payload.Update) error) (source.Discovery, error) {
		for i := range n {
			if err := emit(device(i)); err != nil {
				return source.Discovery{Devices: int64(i)}, err
			}
		}
		return source.Discovery{Devices: int64(n), Total: int64(n), Mode: payload.ModeSnapshot}, nil
	}
}

// world is a runtime with its fake gateway.
type world struct {
	t       testing.TB
	gateway *fakeGateway
	options syncrun.Options
	// adapters by the endpoint of their source; asked is each one's requests.
	adapters map[string]adapterFunc
	asked    map[string][]source.Request
	made     []string
	cancel   context.CancelFunc
	done     chan error

	mu     sync.Mutex
	events []syncrun.Event
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, gateway: newFakeGateway(), adapters: map[string]adapterFunc{}, asked: map[string][]source.Request{}, done: make(chan error, 1)}
	w.options = syncrun.Options{
		Config:    onboarding.MinimalConfig{AgentID: "hq-sync", Partition: "default", GatewayAddr: "gateway:50052"},
		Transport: insecure.NewCredentials(), Dial: w.gateway.dial, DataDir: dataDir(t),
		Adapters: map[string]syncrun.NewAdapter{"fake": w.adapter},
		Logger:   slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: func(e syncrun.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	return w
}

// dataDir is a directory in memory, where there is one: what most of these tests
// would wait for is the disk. That it holds what it was given is for others.
func dataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "edgesync-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// large is a run of about ten chunks.
const large = 2000

// chunked makes runs of large devices ones of many chunks.
func (w *world) chunked() { w.options.ChunkTarget = payload.ChunkTarget / 10 }

func (w *world) adapter(s payload.Source, _ source.Options) (source.Adapter, error) {
	w.made = append(w.made, s.Endpoint)
	a, ok := w.adapters[s.Endpoint]
	if !ok {
		return nil, fmt.Errorf("read endpoint: %q is none", s.Endpoint)
	}
	return listening{a, w, s.Endpoint}, nil
}

// configure gives the runtime one source per adapter that was named.
func (w *world) configure(names ...string) map[string]payload.Source {
	sources := map[string]payload.Source{}
	for _, name := range names {
		sources[name] = payload.Source{Type: "fake", Endpoint: name, TenantID: "tenant-" + name, TenantSlug: name}
	}
	w.gateway.configure(payload.ScopeTenant, sources)
	return sources
}

func (w *world) run() *syncrun.Runtime {
	runtime, err := syncrun.New(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.done <- runtime.Run(ctx) }()
	return runtime
}

// stop ends the runtime, which must leave nothing behind.
func (w *world) stop() {
	w.t.Helper()
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Errorf("run: %v", err)
	}
	w.gateway.kill()
	w.wantNoSpool()
}

func (w *world) wantNoSpool() {
	w.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(w.options.DataDir, "outbox", "*.part")); len(left) != 0 {
		w.t.Errorf("left unfinished runs %v", left)
	}
}

// ended returns the results of a source's runs, in order.
func (w *world) ended(key string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, e := range w.events {
		if e.Kind == syncrun.RunEnded && e.Source == key {
			list = append(list, e.Result)
		}
	}
	return list
}

func (w *world) count(kind syncrun.Kind, key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Kind == kind && e.Source == key {
			n++
		}
	}
	return n
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// simulate runs a test on a clock of its own, which moves when all else waits,
// beside other tests.
func simulate(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	simulateAlone(t, test)
}

func simulateAlone(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

// pass lets simulated time go by and everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
