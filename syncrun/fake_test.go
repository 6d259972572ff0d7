package syncrun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
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
	g.listener = bufconn.Listen(64 << 10)
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
	if request.GetConfigVersion() == version || g.settings.GetNotModified() {
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
