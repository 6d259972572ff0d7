package core_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/gateway"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/seal"
	"edgesync/store/sqlite"
)

var _ gateway.Platform = (*core.Core)(nil)

var operator = core.Actor{Name: "local:1000", Origin: "cli"}

// clock is a clock that moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a platform in a directory of the test's own.
type world struct {
	*core.Core
	t      testing.TB
	store  core.Store
	keyset *seal.Keyset
	clock  *clock
}

// newWorld opens an empty platform; bootstrapped makes one with its platform.
func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	keyset, err := seal.Create(filepath.Join(dir, "keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, keyset: keyset, clock: &clock{now: time.Now().Truncate(time.Second)}}
	w.reopen()
	return w
}

// reopen starts the platform anew on the same store.
func (w *world) reopen() {
	w.t.Helper()
	var err error
	if w.Core, err = w.open(w.store); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open(store core.Store) (*core.Core, error) {
	return core.New(w.t.Context(), w.options(store))
}

// options have a service answer as late as a busy machine lets it.
func (w *world) options(store core.Store) core.Options {
	return core.Options{Store: store, Keyset: w.keyset, Now: w.clock.Now, AnswerWithin: patience, ReconnectWithin: patience}
}

// patience is how long a test waits for what must come.
const patience = time.Minute

// processes opens further processes on the one store, which hear of each other.
func (w *world) processes() func() *core.Core {
	hub := core.NewHub()
	return func() *core.Core {
		w.t.Helper()
		options := w.options(w.store)
		options.Relay = hub
		c, err := core.New(w.t.Context(), options)
		if err != nil {
			w.t.Fatal(err)
		}
		return c
	}
}

func bootstrapped(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	if _, created, err := w.Bootstrap(t.Context(), operator, core.BootstrapInput{}); err != nil || !created {
		t.Fatalf("bootstrap: created %v, %v", created, err)
	}
	return w
}

func (w *world) tenant(slug string) core.Tenant {
	w.t.Helper()
	tenant, err := w.CreateTenant(w.t.Context(), operator, core.TenantInput{Slug: slug})
	if err != nil {
		w.t.Fatal(err)
	}
	return tenant
}

func csr(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// onboard records a service and returns the peer its certificate makes of it,
// as the gateway would see it.
func (w *world) onboard(tenant, name string) certs.Peer {
	w.t.Helper()
	done, err := w.Onboard(w.t.Context(), operator, core.OnboardInput{Tenant: tenant, Name: name, CSR: csr(w.t)})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.peer(done.Certificate)
}

func (w *world) peer(issued core.IssuedCertificate) certs.Peer {
	w.t.Helper()
	identity, err := w.Issuers().Identify(chain(w.t, issued.ChainPEM), w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return certs.Peer{Identity: identity, Addr: "192.0.2.7:4711"}
}

func chain(t testing.TB, text []byte) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, certificate)
	}
	return out
}

func (w *world) hello(peer certs.Peer) *monitoring.AgentHelloResponse {
	w.t.Helper()
	answer, err := w.Hello(w.t.Context(), peer, &monitoring.AgentHelloRequest{
		AgentId: peer.Component, Version: "1.2.3", Hostname: "edge-1", Os: "linux", Arch: "amd64", Capabilities: []string{"sync"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// platformSync onboards the platform's own service and lets it say Hello.
func (w *world) platformSync() certs.Peer {
	w.t.Helper()
	peer := w.onboard(core.DefaultPlatformSlug, core.PlatformSyncName)
	w.hello(peer)
	return peer
}

func (w *world) heartbeat(peer certs.Peer, reports ...payload.RunReport) {
	w.t.Helper()
	if err := w.Status(w.t.Context(), peer, []payload.Health{{Sources: reports}}); err != nil {
		w.t.Fatal(err)
	}
}

func armis(name string) core.SourceSpec {
	return core.SourceSpec{Name: name, Type: payload.TypeArmis, Endpoint: "https://armis.example.com"}
}

var armisKey = map[string][]byte{payload.CredentialSecretKey: []byte("canary-secret")}

func (w *world) source(tenant, name, service string) core.SourceView {
	w.t.Helper()
	source, err := w.CreateSource(w.t.Context(), operator, core.SourceInput{
		Tenant: tenant, Spec: armis(name), Service: service, Credentials: armisKey,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return source
}

func (w *world) service(tenant, ref string) core.Service {
	w.t.Helper()
	service, err := w.Service(w.t.Context(), tenant, ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return service
}

// config reads and decodes a service's configuration.
func (w *world) config(peer certs.Peer, have string) (*monitoring.AgentConfigResponse, payload.Config) {
	w.t.Helper()
	answer, err := w.Config(w.t.Context(), peer, &monitoring.AgentConfigRequest{AgentId: peer.Component, ConfigVersion: have})
	if err != nil {
		w.t.Fatal(err)
	}
	if answer.NotModified {
		return answer, payload.Config{}
	}
	config, err := payload.DecodeConfig(answer.ConfigJson)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, config
}

// device is an update of one Armis device.
func (w *world) device(source core.SourceView, id, mac, ip string) payload.Update {
	update := payload.Update{
		IP: ip, MAC: mac, Hostname: "host-" + id, Source: payload.TypeArmis,
		Timestamp: w.clock.Now(), IsAvailable: true,
		Metadata: map[string]string{payload.MetaArmisDeviceID: id},
	}
	if source.ID != uuid.Nil {
		update.Metadata[payload.MetaIntegrationSourceID] = source.ID.String()
	}
	return update
}

// ingest streams updates in chunks, as the gateway hands them over.
func (w *world) ingest(peer certs.Peer, stream payload.Stream, chunks ...[]payload.Update) error {
	i := 0
	if stream.TotalDevices == 0 {
		stream.TotalDevices = -1
	}
	return w.Ingest(w.t.Context(), peer, stream, chunked(chunks, &i))
}

// chunked hands chunks over from the i-th on.
func chunked(chunks [][]payload.Update, i *int) func(context.Context) (payload.Chunk, error) {
	return func(context.Context) (payload.Chunk, error) {
		if *i == len(chunks) {
			return payload.Chunk{}, io.EOF
		}
		chunk := payload.Chunk{Index: *i, Total: len(chunks), Final: *i == len(chunks)-1, Updates: chunks[*i]}
		*i++
		return chunk, nil
	}
}

func (w *world) count(tenant string) int64 {
	w.t.Helper()
	n, err := w.CountDevices(w.t.Context(), core.DeviceQuery{Tenant: tenant})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// eventTypes are the types of a tenant's events, oldest first.
func (w *world) events(tenant, prefix string) []core.TenantEvent {
	w.t.Helper()
	events, err := w.Events(w.t.Context(), core.EventQuery{Tenant: tenant, TypePrefix: prefix})
	if err != nil {
		w.t.Fatal(err)
	}
	return events
}

func hasEvent(events []core.TenantEvent, kind string) bool {
	return slices.ContainsFunc(events, func(e core.TenantEvent) bool { return e.Type == kind })
}

// wantCode fails unless err is core's own and of the code.
func wantCode(t testing.TB, err error, code codes.Code) {
	t.Helper()
	var told *core.Error
	if !errors.As(err, &told) {
		t.Fatalf("error %v is not to be told, want %s", err, code)
	}
	if told.Code != code {
		t.Fatalf("error %q has the code %s, want %s", told.Message, told.Code, code)
	}
}

var background = context.Background()
