// Package e2e_test proves promises of docs/SPEC.md through the real parts: a
// bootstrapped platform on SQLite, the gateway over TLS on loopback, and
// clients with identities the platform issued. What is proved through the
// program itself stands in the scripts of cmd/testdata.
package e2e_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/admin"
	"edgesync/certs"
	"edgesync/core"
	"edgesync/gateway"
	"edgesync/onboarding"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/seal"
	"edgesync/store/postgres"
	"edgesync/store/sqlite"
)

var operator = core.Actor{Name: "local:0", Origin: "cli"}

// clock is real time plus what a test has let pass.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// platform is a whole platform that serves.
type platform struct {
	t   testing.TB
	dir string
	// database is where the platform is, when not in dir.
	database string
	clock    *clock
	core     *core.Core
	store    core.Store
	// wrap, if set, stands between core and the store.
	wrap   func(core.Store) core.Store
	keys   *seal.Keyset
	tracer *tracing.Tracer
	// reconnect, if set, is how long a service that is not connected has to answer.
	reconnect time.Duration
	// askNobody has traces leave it at what is stored.
	askNobody bool
	addr      string
	// caAddr is localhost and the enrolment CA's port, the same after a restart.
	caAddr string
	// adminAddr is that of the administration API over mTLS.
	adminAddr string
	stop      func()
	// certificate is the gateway's own, caCertificate the enrolment CA's.
	certificate, caCertificate atomic.Pointer[tls.Certificate]
}

// newPlatform bootstraps a platform and serves its gateway until the test ends.
func newPlatform(t testing.TB) *platform {
	t.Helper()
	p := &platform{t: t, dir: t.TempDir(), clock: &clock{}}
	p.serve(true)
	t.Cleanup(func() { p.stop() })
	return p
}

// oldPlatform is one that was bootstrapped, with a tenant, 25 days ago.
func oldPlatform(t *testing.T, tenant string) *platform {
	t.Helper()
	const age = 25 * 24 * time.Hour
	p := pastPlatform(t, age, tenant)
	p.clock.pass(age)
	return p
}

// pastPlatform is one whose clock is behind, with a tenant.
func pastPlatform(t *testing.T, age time.Duration, tenant string) *platform {
	t.Helper()
	p := &platform{t: t, dir: t.TempDir(), clock: &clock{offset: -age}}
	p.serve(true)
	t.Cleanup(func() { p.stop() })
	p.tenant(tenant)
	return p
}

// serve opens the state and serves it; restart calls it again on the same state.
func (p *platform) serve(bootstrap bool) {
	t := p.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	store := p.open(ctx)
	if p.wrap != nil {
		store = p.wrap(store)
	}
	keyset, err := seal.OpenOrCreate(filepath.Join(p.dir, "keyset.json"))
	must(t, err)
	p.core, err = core.New(ctx, core.Options{
		Store: store, Keyset: keyset, Now: p.clock.now, Logger: slog.New(slog.DiscardHandler), AnswerWithin: patience, ReconnectWithin: cmp.Or(p.reconnect, patience),
	})
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	caListener := p.listenCA()
	if p.addr = listener.Addr().String(); bootstrap {
		_, _, err = p.core.Bootstrap(ctx, operator, core.BootstrapInput{GatewayAddr: p.addr, CAAddr: p.caAddr})
		must(t, err)
	}
	p.store, p.keys = store, keyset
	p.certificate.Store(p.serverCertificate(ctx, p.core.IssueGateway))
	// A rotation has the gateway take a new certificate, as serve does.
	forget := p.core.OnAuthorities(func() {
		certificate, err := issueServer(ctx, p.core.IssueGateway)
		if err == nil {
			p.certificate.Store(certificate)
		} else if ctx.Err() == nil {
			t.Errorf("renew the gateway's certificate: %v", err)
		}
	})
	server, err := gateway.New(gateway.Options{
		Platform: p.core, Issuers: p.core.Issuers(), Certificate: p.certificate.Load,
		Logger: slog.New(slog.DiscardHandler), Now: p.clock.now, Tracer: p.tracer,
	})
	must(t, err)
	enrolment := p.enrolmentCA(ctx)
	administration, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.adminAddr = administration.Addr().String()
	done := make(chan error, 4)
	go func() { done <- server.Serve(ctx, listener) }()
	go func() { done <- enrolment.Serve(ctx, caListener) }()
	go func() {
		done <- admin.NewServer(p.core, slog.New(slog.DiscardHandler)).ServeTLS(ctx, administration, p.certificate.Load)
	}()
	go func() { done <- p.core.Follow(ctx) }()
	p.stop = sync.OnceFunc(func() {
		forget()
		cancel()
		for range 4 {
			if err := <-done; err != nil {
				t.Errorf("serve: %v", err)
			}
		}
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
}

func (p *platform) open(ctx context.Context) core.Store {
	p.t.Helper()
	if p.database != "" {
		store, err := postgres.Open(ctx, p.database, postgres.Options{})
		must(p.t, err)
		return store
	}
	store, err := sqlite.Open(ctx, p.dir, sqlite.Options{})
	must(p.t, err)
	return store
}

func (p *platform) restart() {
	p.t.Helper()
	p.stop()
	p.serve(false)
}

// issueOf is IssueGateway or IssueCA.
type issueOf func(context.Context, core.Actor, []byte) (core.IssuedCertificate, error)

func (p *platform) serverCertificate(ctx context.Context, issue issueOf) *tls.Certificate {
	p.t.Helper()
	certificate, err := issueServer(ctx, issue)
	must(p.t, err)
	return certificate
}

func issueServer(ctx context.Context, issue issueOf) (*tls.Certificate, error) {
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		return nil, err
	}
	issued, err := issue(ctx, operator, csr)
	if err != nil {
		return nil, err
	}
	chain, err := certs.DecodePEM(issued.ChainPEM)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: raw(chain), PrivateKey: key, Leaf: chain[0]}, nil
}

func (p *platform) tenant(slug string) core.Tenant {
	p.t.Helper()
	tenant, err := p.core.CreateTenant(p.t.Context(), operator, core.TenantInput{Slug: slug})
	must(p.t, err)
	return tenant
}

// rewire has an edge dial the platform where it listens since its restart.
func (p *platform) rewire(edges ...*edge) {
	for _, e := range edges {
		e.config.GatewayAddr = p.addr
	}
}

// patience is how long a test waits for what must come. What is promised to come
// at once, as the end of who is revoked, gets atOnce.
const patience, atOnce = time.Minute, time.Second

// await polls until ok or a deadline.
func (p *platform) await(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			p.t.Fatalf("gave up waiting for %s", what)
		case <-tick.C:
		}
	}
}

// source makes a faker source, which needs neither endpoint nor credential.
func (p *platform) source(tenant, name, service string) core.SourceView {
	p.t.Helper()
	source, err := p.core.CreateSource(p.t.Context(), operator, core.SourceInput{
		Tenant: tenant, Service: service, Spec: core.SourceSpec{Name: name, Type: payload.TypeFaker},
	})
	must(p.t, err)
	return source
}

func (p *platform) count(tenant string) int64 {
	p.t.Helper()
	n, err := p.core.CountDevices(p.t.Context(), core.DeviceQuery{Tenant: tenant})
	must(p.t, err)
	return n
}

func update(source uuid.UUID, id, mac, ip string) payload.Update {
	u := payload.Update{
		IP: ip, MAC: mac, Source: payload.TypeFaker, Timestamp: time.Now().UTC(), IsAvailable: true,
		Metadata: map[string]string{payload.MetaIntegrationID: id},
	}
	if source != uuid.Nil {
		u.Metadata[payload.MetaIntegrationSourceID] = source.String()
	}
	return u
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code codes.Code, words string) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("answered %v, want %v", err, code)
	}
	message := status.Convert(err).Message()
	if !strings.Contains(message, words) {
		t.Errorf("said %q, want %q in it", message, words)
	}
	if strings.ContainsAny(message, "\n\r") {
		t.Errorf("said %q, which is not one line", message)
	}
}

func decode(t testing.TB, pem []byte) []*x509.Certificate {
	t.Helper()
	chain, err := certs.DecodePEM(pem)
	must(t, err)
	return chain
}

func raw(chain []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out
}

// files are all files below a folder.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = data
		return err
	}))
	return found
}
