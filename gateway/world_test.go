package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/gateway"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

const (
	trustDomain = "edgesync.local"
	serverName  = "agent-gateway.edgesync.local"
)

// world is a gateway that serves on loopback, with a platform behind it that
// only remembers, and the authorities to make clients of.
type world struct {
	t                  *testing.T
	root               *issue.Authority
	platformCA         *issue.Authority
	tenants            map[string]*issue.Authority
	ids                map[string]uuid.UUID
	issuers            *certs.Issuers
	platform           *memory
	server             *gateway.Server
	addr               string
	ahead              atomic.Int64 // how far the gateway's clock is ahead
	stop               context.CancelFunc
	served             chan error
	logs               *lockedBuffer
	serverCertificates atomic.Pointer[tls.Certificate]
}

func newWorld(t *testing.T, change func(*gateway.Limits)) *world {
	t.Helper()
	w := &world{
		t: t, tenants: map[string]*issue.Authority{}, ids: map[string]uuid.UUID{},
		platform: &memory{}, served: make(chan error, 1), logs: &lockedBuffer{},
	}
	w.authorities()
	limits := gateway.DefaultLimits()
	limits.Drain = patience
	if change != nil {
		change(&limits)
	}
	server, err := gateway.New(gateway.Options{
		Platform: w.platform, Issuers: w.issuers, Certificate: w.serverCertificates.Load,
		Logger: slog.New(slog.NewTextHandler(w.logs, nil)), Now: w.now, Limits: limits,
	})
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w.server, w.addr = server, listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.served <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-w.served; err != nil {
			t.Errorf("serve: %v", err)
		}
		w.served <- nil
	})
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) authorities() {
	w.t.Helper()
	root, err := issue.NewRoot(trustDomain, time.Now())
	must(w.t, err)
	w.root = root
	w.issuers, err = certs.NewIssuers(root.Certificate)
	must(w.t, err)
	w.platformCA, err = root.NewPlatformIntermediate("platform", time.Now())
	must(w.t, err)
	w.ids["platform"] = uuid.New()
	must(w.t, w.issuers.Add(certs.Issuer{TenantID: w.ids["platform"], Tenant: "platform", Platform: true, Certificate: w.platformCA.Certificate}))
	for _, slug := range []string{"acme", "globex"} {
		w.tenants[slug], err = root.NewTenantIntermediate(slug, time.Now())
		must(w.t, err)
		w.ids[slug] = uuid.New()
		must(w.t, w.issuers.Add(certs.Issuer{TenantID: w.ids[slug], Tenant: slug, Certificate: w.tenants[slug].Certificate}))
	}
	server := leaf(w.t, w.platformCA, issue.Leaf{
		Type: certs.TypeGateway, Tenant: "platform", Partition: "default", Component: "agent-gateway", ServerNames: []string{serverName},
	})
	w.serverCertificates.Store(&server)
}

func leaf(t *testing.T, authority *issue.Authority, template issue.Leaf) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	cert, err := authority.SignLeaf(csr, template, time.Now())
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{cert.Raw, authority.Certificate.Raw}, PrivateKey: key, Leaf: cert}
}

// edge is the certificate of a tenant's sync service.
func (w *world) edge(tenant, component string) tls.Certificate {
	w.t.Helper()
	return leaf(w.t, w.tenants[tenant], issue.Leaf{Type: certs.TypeSync, Tenant: tenant, Partition: "default", Component: component})
}

// saas is the certificate of the platform's own sync service.
func (w *world) saas() tls.Certificate {
	w.t.Helper()
	return leaf(w.t, w.platformCA, issue.Leaf{Type: certs.TypeSync, Tenant: "platform", Partition: "default", Component: "platform-sync"})
}

func (w *world) clientTLS(certificate tls.Certificate) *tls.Config {
	w.t.Helper()
	config, err := certs.ClientTLS(certs.EncodePEM(w.root.Certificate), func() *tls.Certificate { return &certificate }, serverName)
	must(w.t, err)
	return config
}

type client struct {
	monitoring.AgentGatewayServiceClient
	conn *grpc.ClientConn
}

func (w *world) dial(certificate tls.Certificate, options ...grpc.DialOption) client {
	w.t.Helper()
	options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(w.clientTLS(certificate))))
	conn, err := grpc.NewClient("passthrough:///"+w.addr, options...)
	must(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	return client{monitoring.NewAgentGatewayServiceClient(conn), conn}
}

// metric is the sum of a counter or gauge over the series with these labels.
func (w *world) metric(name string, labels ...string) float64 {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	must(w.t, registry.Register(w.server.Collector()))
	families, err := registry.Gather()
	must(w.t, err)
	var sum float64
	for _, family := range families {
		if family.GetName() != "edgesync_gateway_"+name {
			continue
		}
		for _, metric := range family.GetMetric() {
			has := map[string]bool{}
			for _, label := range metric.GetLabel() {
				has[label.GetName()+"="+label.GetValue()] = true
			}
			all := true
			for _, label := range labels {
				all = all && has[label]
			}
			if all {
				sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// patience is how long a test waits for what must come.
const patience = time.Minute

// await polls until ok or a deadline.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			w.t.Fatalf("gave up waiting for %s", what)
		case <-tick.C:
		}
	}
}

// memory is a Platform that remembers.
type memory struct {
	mu       sync.Mutex
	chunks   []payload.Chunk
	streams  []payload.Stream
	peers    []certs.Peer
	complete int
	health   [][]payload.Health
	refused  []string

	admit  func(certs.Peer) error
	config func(*monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error)
	status func(context.Context) error
	// stored is called after each chunk was stored.
	stored func(ctx context.Context, chunk payload.Chunk) error
	// ingest replaces what is done with a stream.
	ingest func(context.Context, func(context.Context) (payload.Chunk, error)) error
	// ingested replaces the result of an ingestion that went through.
	ingested func() error
	// revoke tells the gateway of a revocation.
	revoke func(certs.Revocation)
	// control is what is done with a ControlStream; without it everything said is
	// remembered until the client ends it.
	control func(context.Context, controlled) error
	said    []*monitoring.ControlStreamRequest
	hellos  []*monitoring.ControlStreamHello
}

func (m *memory) OnRevocation(tell func(certs.Revocation)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revoke = tell
	return func() {}
}

// controlled is one ControlStream as the platform gets it.
type controlled struct {
	peer  certs.Peer
	hello *monitoring.ControlStreamHello
	next  func(context.Context) (*monitoring.ControlStreamRequest, error)
	send  func(*monitoring.ControlStreamResponse) error
}

func (m *memory) Control(ctx context.Context, peer certs.Peer, hello *monitoring.ControlStreamHello,
	next func(context.Context) (*monitoring.ControlStreamRequest, error), send func(*monitoring.ControlStreamResponse) error) error {
	m.remember(peer)
	m.mu.Lock()
	m.hellos = append(m.hellos, hello)
	control := m.control
	m.mu.Unlock()
	if control != nil {
		return control(ctx, controlled{peer, hello, next, send})
	}
	for {
		message, err := next(ctx)
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.said = append(m.said, message)
		m.mu.Unlock()
	}
}

func (m *memory) Admit(_ context.Context, peer certs.Peer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.admit != nil {
		return m.admit(peer)
	}
	return nil
}

func (m *memory) setAdmit(admit func(certs.Peer) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.admit = admit
}

func (m *memory) Hello(_ context.Context, peer certs.Peer, request *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error) {
	m.remember(peer)
	return &monitoring.AgentHelloResponse{
		Accepted: true, AgentId: request.GetAgentId(), TenantId: peer.TenantID.String(), TenantSlug: peer.Tenant,
	}, nil
}

func (m *memory) remember(peer certs.Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = append(m.peers, peer)
}

func (m *memory) Config(_ context.Context, peer certs.Peer, request *monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
	m.remember(peer)
	if m.config != nil {
		return m.config(request)
	}
	return &monitoring.AgentConfigResponse{NotModified: true}, nil
}

func (m *memory) Status(ctx context.Context, peer certs.Peer, health []payload.Health) error {
	m.remember(peer)
	m.mu.Lock()
	m.health = append(m.health, health)
	m.mu.Unlock()
	if m.status != nil {
		return m.status(ctx)
	}
	return nil
}

func (m *memory) Ingest(ctx context.Context, peer certs.Peer, stream payload.Stream, next func(context.Context) (payload.Chunk, error)) error {
	m.remember(peer)
	m.mu.Lock()
	m.streams = append(m.streams, stream)
	m.mu.Unlock()
	if m.ingest != nil {
		return m.ingest(ctx, next)
	}
	for {
		chunk, err := next(ctx)
		if errors.Is(err, io.EOF) {
			m.mu.Lock()
			m.complete++
			m.mu.Unlock()
			if m.ingested != nil {
				return m.ingested()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("ingest: %w", err)
		}
		m.mu.Lock()
		m.chunks = append(m.chunks, chunk)
		m.mu.Unlock()
		if m.stored != nil {
			if err := m.stored(ctx, chunk); err != nil {
				return err
			}
		}
	}
}

func (m *memory) Refused(_ context.Context, peer certs.Peer, operation, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = append(m.refused, fmt.Sprintf("%s/%s %s %s", peer.Tenant, peer.Component, operation, reason))
}

func (m *memory) snapshot() (chunks []payload.Chunk, complete int, refused []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]payload.Chunk(nil), m.chunks...), m.complete, append([]string(nil), m.refused...)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// update is one valid update as JSON.
func update(ip string) string {
	return `{"ip":"` + ip + `","source":"armis","timestamp":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
}

func results(message string) *monitoring.GatewayServiceStatus {
	return &monitoring.GatewayServiceStatus{ServiceName: "sync", ServiceType: "sync", Source: "results", Available: true, Message: []byte(message)}
}

// chunk is the message at index of total, final if it is the last, with one update.
func chunk(agent string, index, total int32) *monitoring.GatewayStatusChunk {
	return &monitoring.GatewayStatusChunk{
		AgentId: agent, ChunkIndex: index, TotalChunks: total, IsFinal: index == total-1,
		Services: []*monitoring.GatewayServiceStatus{results("[" + update(fmt.Sprintf("10.0.0.%d", index+1)) + "]")},
	}
}

// send streams messages and returns the answer's error.
func send(ctx context.Context, c client, messages ...*monitoring.GatewayStatusChunk) error {
	stream, err := c.StreamStatus(ctx)
	if err != nil {
		return err
	}
	for _, message := range messages {
		if err := stream.Send(message); err != nil {
			break // the status is in the answer
		}
	}
	answer, err := stream.CloseAndRecv()
	if err == nil && !answer.GetReceived() {
		return errors.New("the answer is not received")
	}
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus checks an error's code and a part of its text.
func wantStatus(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		t.Errorf("got %v, want %v with %q", err, code, text)
	}
}
