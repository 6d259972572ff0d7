package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"edgesync/core"
	"edgesync/onboarding"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// edge is a sync service somewhere, with its files.
type edge struct {
	p         *platform
	service   core.Service
	config    onboarding.MinimalConfig
	component string
	dir       string
	identity  onboarding.Identity
}

// onboard adds a sync service as an operator does: the key stays on this side.
func (p *platform) onboard(tenant, name string) *edge {
	p.t.Helper()
	key, csr, err := onboarding.NewKeyAndCSR()
	must(p.t, err)
	out, err := p.core.Onboard(p.t.Context(), operator, core.OnboardInput{Tenant: tenant, Name: name, CSR: csr, GatewayAddr: p.addr})
	must(p.t, err)
	e := &edge{p: p, service: out.Service, component: out.Service.ComponentID, identity: onboarding.Identity{
		Key: key, Chain: decode(p.t, out.Certificate.ChainPEM), CAs: decode(p.t, out.Certificate.CAChainPEM), CAURL: out.CAURL,
	}}
	dir := filepath.Join(p.t.TempDir(), "edge")
	must(p.t, onboarding.WriteIdentity(filepath.Join(dir, onboarding.CertDir), e.identity))
	path := filepath.Join(dir, filepath.FromSlash(onboarding.ConfigFile))
	e.dir = dir
	must(p.t, onboarding.WriteConfig(path, onboarding.NewConfig(e.component, out.Service.Partition, out.GatewayAddr, out.GatewayServerName)))
	e.config, err = onboarding.LoadConfig(path)
	must(p.t, err)
	return e
}

// saas is the platform's own sync service.
func (p *platform) saas() *edge {
	p.t.Helper()
	info, err := p.core.PlatformInfo(p.t.Context())
	must(p.t, err)
	services, err := p.core.Services(p.t.Context(), info.Slug, false)
	must(p.t, err)
	for _, service := range services {
		if service.IsPlatformSync {
			return p.onboard(info.Slug, service.Name)
		}
	}
	p.t.Fatal("the platform has no sync service")
	return nil
}

// client dials the gateway with the edge's own files, until the test ends.
func (e *edge) client() monitoring.AgentGatewayServiceClient {
	e.p.t.Helper()
	client, hangUp := e.dial()
	e.p.t.Cleanup(hangUp)
	return client
}

// dial is client until hangUp. What is done over and over hangs up: a component has
// few connections.
func (e *edge) dial() (client monitoring.AgentGatewayServiceClient, hangUp func()) {
	t := e.p.t
	t.Helper()
	config, err := e.config.ClientTLS()
	must(t, err)
	config.Time = e.p.clock.now
	conn, err := grpc.NewClient("passthrough:///"+e.p.addr, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	must(t, err)
	return monitoring.NewAgentGatewayServiceClient(conn), func() { _ = conn.Close() }
}

func (e *edge) hello() *monitoring.AgentHelloResponse {
	e.p.t.Helper()
	client, hangUp := e.dial()
	defer hangUp()
	answer, err := client.Hello(e.p.t.Context(), &monitoring.AgentHelloRequest{
		AgentId: e.component, Version: "1.2.3", Capabilities: []string{"sync"}, Hostname: "edge-host", Os: "linux", Arch: "amd64",
	})
	must(e.p.t, err)
	return answer
}

// getConfig is the service's configuration and its version.
func (e *edge) getConfig() (payload.Config, string) {
	e.p.t.Helper()
	client, hangUp := e.dial()
	defer hangUp()
	answer, err := client.GetConfig(e.p.t.Context(), &monitoring.AgentConfigRequest{AgentId: e.component})
	must(e.p.t, err)
	config, err := payload.DecodeConfig(answer.GetConfigJson())
	must(e.p.t, err)
	return config, answer.GetConfigVersion()
}

func (e *edge) heartbeat(health ...payload.Health) error {
	services := []*monitoring.GatewayServiceStatus{}
	for _, h := range append([]payload.Health{}, health...) {
		message, err := json.Marshal(h)
		must(e.p.t, err)
		services = append(services, &monitoring.GatewayServiceStatus{ServiceName: "sync", ServiceType: "sync", Source: "status", Available: true, Message: message})
	}
	if len(services) == 0 {
		services = append(services, &monitoring.GatewayServiceStatus{ServiceName: "sync", ServiceType: "sync", Source: "status", Available: true})
	}
	client, hangUp := e.dial()
	defer hangUp()
	answer, err := client.PushStatus(e.p.t.Context(), &monitoring.GatewayStatusRequest{AgentId: e.component, Services: services})
	if err == nil && !answer.GetReceived() {
		return errors.New("not received")
	}
	return err
}

// stream is one StreamStatus call as a test wants it.
type stream struct {
	tenant core.Tenant
	source uuid.UUID
	runID  string
	mode   string
	chunks [][]payload.Update
	// announced sends how many devices there are in all.
	announced bool
	// started sends when the run began.
	started time.Time
	// edit may change each message before it is sent.
	edit func(*monitoring.GatewayStatusChunk)
}

func (e *edge) push(s stream) error {
	e.p.t.Helper()
	return e.pushIn(e.p.t.Context(), s)
}

func (e *edge) pushIn(ctx context.Context, s stream) error {
	t := e.p.t
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for header, value := range map[string]string{
		payload.HeaderRunID: s.runID, payload.HeaderMode: s.mode,
	} {
		if value != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, header, value)
		}
	}
	if s.announced {
		total := 0
		for _, updates := range s.chunks {
			total += len(updates)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, payload.HeaderTotalDevices, strconv.Itoa(total))
	}
	if !s.started.IsZero() {
		ctx = metadata.AppendToOutgoingContext(ctx, payload.HeaderRunStarted, s.started.Format(time.RFC3339Nano))
	}
	if s.source != uuid.Nil {
		ctx = metadata.AppendToOutgoingContext(ctx, payload.HeaderSourceID, s.source.String())
	}
	client, hangUp := e.dial()
	defer hangUp()
	call, err := client.StreamStatus(ctx)
	if err != nil {
		return err
	}
	for i, updates := range s.chunks {
		message := chunkOf(t, e.component, i, len(s.chunks), updates...)
		if s.tenant.ID != uuid.Nil {
			message.TenantId, message.TenantSlug = s.tenant.ID.String(), s.tenant.Slug
		}
		if s.edit != nil {
			s.edit(message)
		}
		if err := call.Send(message); err != nil {
			break // The answer says why.
		}
	}
	answer, err := call.CloseAndRecv()
	if err == nil && !answer.GetReceived() {
		return errors.New("not received")
	}
	return err
}

// chunkOf is one message of a stream.
func chunkOf(t testing.TB, component string, index, total int, updates ...payload.Update) *monitoring.GatewayStatusChunk {
	t.Helper()
	data, err := json.Marshal(append([]payload.Update{}, updates...))
	must(t, err)
	return &monitoring.GatewayStatusChunk{
		AgentId: component, ChunkIndex: int32(index), TotalChunks: int32(total), IsFinal: index == total-1,
		Services: []*monitoring.GatewayServiceStatus{{ServiceName: "sync", ServiceType: "sync", Source: "results", Available: true, Message: data}},
	}
}
