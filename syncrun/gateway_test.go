package syncrun_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/gateway"
	"edgesync/onboarding"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/syncrun"
)

const (
	gatewayName = "agent-gateway.edgesync.local"
	sourceID    = "0b6f3f0e-9d2b-4c1c-8b56-0a3b6f2f7c11"
)

// platform stands behind the real gateway and keeps what reaches it.
type platform struct {
	mu      sync.Mutex
	calls   []string
	peer    certs.Peer
	streams []payload.Stream
	updates int
	reports []payload.RunReport
}

func (p *platform) note(call string, peer certs.Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.peer = append(p.calls, call), peer
}

func (p *platform) Admit(context.Context, certs.Peer) error { return nil }

func (p *platform) Hello(_ context.Context, peer certs.Peer, _ *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error) {
	p.note("Hello", peer)
	return &monitoring.AgentHelloResponse{Accepted: true, HeartbeatIntervalSec: 30}, nil
}

func (p *platform) Config(_ context.Context, peer certs.Peer, _ *monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
	p.note("Config", peer)
	config, err := json.Marshal(payload.Config{Scope: payload.ScopeTenant, Sources: map[string]payload.Source{
		"a": {Type: "fake", Endpoint: "a", IntegrationSourceID: sourceID},
	}})
	return &monitoring.AgentConfigResponse{ConfigVersion: "1", ConfigJson: config}, err
}

func (p *platform) Status(_ context.Context, _ certs.Peer, health []payload.Health) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range health {
		p.reports = append(p.reports, h.Sources...)
	}
	return nil
}

func (p *platform) Ingest(ctx context.Context, _ certs.Peer, stream payload.Stream, next func(context.Context) (payload.Chunk, error)) error {
	for {
		chunk, err := next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.updates += len(chunk.Updates)
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = append(p.streams, stream)
	return nil
}

func (p *platform) Control(ctx context.Context, _ certs.Peer, _ *monitoring.ControlStreamHello,
	next func(context.Context) (*monitoring.ControlStreamRequest, error), _ func(*monitoring.ControlStreamResponse) error) error {
	_, err := next(ctx)
	return err
}

func (p *platform) Refused(context.Context, certs.Peer, string, string) {}

func (p *platform) OnRevocation(func(certs.Revocation)) (stop func()) { return func() {} }

// authorities are a root with a platform and a tenant below it.
type authorities struct{ root, own, acme *issue.Authority }

func newAuthorities(t testing.TB) authorities {
	t.Helper()
	now := time.Now()
	root, err := issue.NewRoot("edgesync.local", now)
	if err != nil {
		t.Fatal(err)
	}
	own, err := root.NewPlatformIntermediate("platform", now)
	if err != nil {
		t.Fatal(err)
	}
	acme, err := root.NewTenantIntermediate("acme", now)
	if err != nil {
		t.Fatal(err)
	}
	return authorities{root, own, acme}
}

func (a authorities) identity(t testing.TB, by *issue.Authority, leaf issue.Leaf) onboarding.Identity {
	t.Helper()
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := by.SignLeaf(csr, leaf, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	i := onboarding.Identity{Key: key}
	i.Chain = append(i.Chain, cert, by.Certificate)
	i.CAs = append(i.CAs, a.root.Certificate, by.Certificate)
	return i
}

// serve runs the real gateway, which shows the certificate, and returns the
// config of an edge host beside its files.
func (a authorities) serve(t *testing.T, behind gateway.Platform, shown *tls.Certificate) onboarding.MinimalConfig {
	t.Helper()
	issuers, err := certs.NewIssuers(a.root.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := issuers.Add(certs.Issuer{TenantID: uuid.New(), Tenant: "acme", Certificate: a.acme.Certificate}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := gateway.New(gateway.Options{Platform: behind, Issuers: issuers, Certificate: func() *tls.Certificate { return shown }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a.host(t, listener.Addr().String())
}

func (a authorities) host(t testing.TB, address string) onboarding.MinimalConfig {
	t.Helper()
	dir := t.TempDir()
	edge := a.identity(t, a.acme, issue.Leaf{Type: certs.TypeSync, Tenant: "acme", Partition: "default", Component: "hq-sync"})
	if err := onboarding.WriteIdentity(filepath.Join(dir, "certs"), edge); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config", "sync.json")
	if err := onboarding.WriteConfig(path, onboarding.NewConfig("hq-sync", "default", address, gatewayName)); err != nil {
		t.Fatal(err)
	}
	config, err := onboarding.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func (a authorities) gatewayLeaf(t testing.TB, names ...string) *tls.Certificate {
	t.Helper()
	return a.identity(t, a.own, issue.Leaf{
		Type: certs.TypeGateway, Tenant: "platform", Partition: "default", Component: "gateway", ServerNames: names,
	}).TLSCertificate()
}

func onceAgainst(t *testing.T, config onboarding.MinimalConfig, devicesFound int) error {
	t.Helper()
	w := newWorld(t)
	w.gateway.kill()
	w.adapters["a"] = devices(devicesFound)
	w.options.Config, w.options.Transport, w.options.Dial, w.options.Once = config, nil, nil, true
	w.options.GiveUp = time.Minute
	runtime, err := syncrun.New(w.options)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.Run(t.Context())
}

func TestRunOverMutualTLSWithTheRealGateway(t *testing.T) {
	a := newAuthorities(t)
	behind := &platform{}
	config := a.serve(t, behind, a.gatewayLeaf(t, gatewayName))
	if err := onceAgainst(t, config, 12345); err != nil {
		t.Fatal(err)
	}
	if len(behind.calls) < 2 || behind.calls[0] != "Hello" || behind.calls[1] != "Config" {
		t.Fatalf("calls %v", behind.calls)
	}
	if behind.peer.Tenant != "acme" || behind.peer.Component != "hq-sync" {
		t.Fatalf("peer %+v", behind.peer)
	}
	if len(behind.streams) != 1 || behind.updates != 12345 {
		t.Fatalf("%d updates in streams %+v", behind.updates, behind.streams)
	}
	s := behind.streams[0]
	if s.SourceID != sourceID || s.Mode != payload.ModeSnapshot || s.TotalDevices != 12345 || s.RunID == "" || s.RunStarted.IsZero() {
		t.Fatalf("stream %+v", s)
	}
	if len(behind.reports) != 1 || behind.reports[0].RunID != s.RunID || behind.reports[0].Result != payload.ResultSuccess {
		t.Fatalf("reports %+v", behind.reports)
	}
}

func TestServerThatIsNotTheGatewayIsRefused(t *testing.T) {
	a, foreign := newAuthorities(t), newAuthorities(t)
	tenantLeaf := a.identity(t, a.acme, issue.Leaf{Type: certs.TypeSync, Tenant: "acme", Partition: "default", Component: "evil"}).TLSCertificate()
	for name, shown := range map[string]*tls.Certificate{
		"another name":      a.gatewayLeaf(t, "other.example.com"),
		"a tenant's leaf":   tenantLeaf,
		"another authority": foreign.gatewayLeaf(t, gatewayName),
	} {
		t.Run(name, func(t *testing.T) {
			behind := &platform{}
			config := a.serve(t, behind, shown)
			err := onceAgainst(t, config, 1)
			if err == nil || len(behind.calls) != 0 {
				t.Fatalf("error %v, calls %v", err, behind.calls)
			}
			if !strings.Contains(err.Error(), "tls") && !strings.Contains(err.Error(), "x509") {
				t.Fatalf("error does not say why: %v", err)
			}
		})
	}
}
