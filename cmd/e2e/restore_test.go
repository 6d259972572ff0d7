package e2e_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/certs/issue"
	"edgesync/cmd/state"
	"edgesync/core"
	"edgesync/faker"
	"edgesync/onboarding"
	"edgesync/proto/payload"
	"edgesync/store/backup"
	"edgesync/store/dump"
	"edgesync/store/postgres/pgtest"
	"edgesync/syncrun"
)

const backupPassphrase = "correct horse battery"

// where is the platform's directory, and its database if it has one.
func (p *platform) where() state.Options {
	return state.Options{Dir: p.dir, Database: p.database, Now: p.clock.now, Logger: slog.New(slog.DiscardHandler)}
}

// backup takes a backup as another process does, whether the platform serves or not.
func (p *platform) backup() ([]byte, backup.Summary) {
	p.t.Helper()
	var out bytes.Buffer
	summary, err := state.Backup(p.t.Context(), p.where(), &out, backup.QuickLock(backupPassphrase), nil)
	must(p.t, err)
	return out.Bytes(), summary
}

func backupKey(t testing.TB) backup.Key {
	t.Helper()
	key, err := backup.KeyPassphrase(backupPassphrase)
	must(t, err)
	return key
}

// restored stops the platform for good and serves what a backup holds elsewhere, in
// another directory and, with one, another database.
func (p *platform) restored(data []byte, database string) (*platform, state.Restored) {
	p.t.Helper()
	p.stop()
	r := &platform{t: p.t, dir: p.t.TempDir(), database: database, clock: p.clock, caAddr: p.caAddr}
	done, err := state.Restore(p.t.Context(), r.where(), bytes.NewReader(data), backupKey(p.t), operator, nil)
	must(p.t, err)
	r.serve(false)
	p.t.Cleanup(func() { r.stop() })
	return r, done
}

// tablesOf are the sums of every table in a backup, by tenant.
func tablesOf(t testing.TB, data []byte) map[uuid.UUID]dump.Sums {
	t.Helper()
	reader, err := backup.Open(t.Context(), bytes.NewReader(data), backupKey(t))
	must(t, err)
	defer reader.Close()
	all := map[uuid.UUID]dump.Sums{}
	for err == nil {
		err = reader.Part(func(part dump.Part, from dump.Source) (dump.Sums, error) {
			sums, err := dump.SumsOf(from)
			all[part.Tenant] = sums
			return sums, err
		})
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	_, err = reader.End()
	must(t, err)
	return all
}

// dumper is a store that hands its tables out.
type dumper interface {
	Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error
}

// onEach runs a test on both kinds of store.
func onEach(t *testing.T, test func(t *testing.T, database func() string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, func() string { return "" }) })
	t.Run("postgresql", func(t *testing.T) {
		pgtest.Database(t) // Skips, or fails, where there is none.
		test(t, func() string { return pgtest.Database(t) })
	})
}

func newPlatformIn(t *testing.T, database string) *platform {
	t.Helper()
	p := &platform{t: t, dir: t.TempDir(), database: database, clock: &clock{}}
	p.serve(true)
	t.Cleanup(func() { p.stop() })
	return p
}

// TestBackupDuringIngestionRestoresItsMoment takes a backup while two tenants are
// being ingested, and restores it elsewhere: counts and hashes are those of one
// moment, and everything that was acknowledged before is there.
func TestBackupDuringIngestionRestoresItsMoment(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database func() string) {
		p := newPlatformIn(t, database())
		var flows []*flow
		for _, slug := range []string{"acme", "bolt"} {
			tenant := p.tenant(slug)
			e := p.onboard(slug, "edge")
			e.hello()
			flows = append(flows, &flow{e: e, tenant: tenant, source: p.source(slug, "lab", "edge").ID})
		}
		var pushing sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for _, f := range flows {
			pushing.Go(func() { f.push(ctx) })
		}
		defer pushing.Wait()
		defer cancel()
		p.await("updates to arrive", func() bool { return flows[0].acknowledged.Load() > 0 && flows[1].acknowledged.Load() > 0 })
		before := []int64{flows[0].acknowledged.Load(), flows[1].acknowledged.Load()}
		data, summary := p.backup()
		after := []int64{flows[0].sent.Load(), flows[1].sent.Load()}
		p.await("updates to go on arriving", func() bool { return flows[0].acknowledged.Load() > after[0] })
		cancel()
		pushing.Wait()

		p.stop()
		r := &platform{t: t, dir: t.TempDir(), database: database(), clock: p.clock}
		done, err := state.Restore(t.Context(), r.where(), bytes.NewReader(data), backupKey(t), operator, nil)
		must(t, err)
		if done.Hash() != summary.Hash() || done.Rows != summary.Rows {
			t.Errorf("restored %d rows with hash %s, of %d with %s", done.Rows, done.Hash(), summary.Rows, summary.Hash())
		}
		store := r.open(t.Context())
		// What a restore itself writes down.
		own := map[string]bool{"event": true, "restoration": true, "join_token": true}
		for tenant, sums := range tablesOf(t, data) {
			arrived, err := dump.SumsOf(func(visit func(dump.Table) error) error {
				return store.(dumper).Dump(t.Context(), tenant, visit)
			})
			must(t, err)
			for table := range own {
				delete(sums, table)
				delete(arrived, table)
			}
			must(t, sums.Compare(arrived))
		}
		must(t, store.Close())
		r.serve(false)
		t.Cleanup(func() { r.stop() })
		for i, slug := range []string{"acme", "bolt"} {
			if n := r.count(slug); n < before[i] || n > after[i] {
				t.Errorf("tenant %s has %d devices: %d were acknowledged before the backup, %d sent until it ended", slug, n, before[i], after[i])
			}
		}
		r.stop()
		upkeep, err := state.OpenStore(t.Context(), r.where())
		must(t, err)
		parts, err := upkeep.Check(t.Context())
		must(t, err)
		for _, part := range parts {
			if len(part.Problems) > 0 {
				t.Errorf("store check of %q: %v", part.Tenant, part.Problems)
			}
		}
		must(t, upkeep.Close())
	})
}

// flow pushes new devices of one tenant until it is stopped.
type flow struct {
	e                  *edge
	tenant             core.Tenant
	source             uuid.UUID
	sent, acknowledged atomic.Int64
}

func (f *flow) push(ctx context.Context) {
	for run := 0; ctx.Err() == nil; run++ {
		s := stream{tenant: f.tenant, source: f.source, runID: uuid.NewString()}
		for chunk := range 2 {
			var updates []payload.Update
			for n := range 50 {
				id := run*100 + chunk*50 + n
				updates = append(updates, update(f.source, fmt.Sprint(id), fmt.Sprintf("00:1b:21:%02x:%02x:%02x", id>>16&255, id>>8&255, id&255), fmt.Sprintf("10.%d.%d.%d", id>>16&255, id>>8&255, id&255)))
			}
			s.chunks = append(s.chunks, updates)
		}
		f.sent.Add(100)
		if err := f.e.push(s); err != nil {
			f.e.p.t.Errorf("push: %v", err)
			return
		}
		f.acknowledged.Add(100)
	}
}

// TestRestoredPlatformIsSentEverythingAgain has a running service, which knows of
// no restore, deliver what the backup does not hold: it reads changes only, and
// there are none.
func TestRestoredPlatformIsSentEverythingAgain(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	server, err := faker.New(faker.Options{NetBox: 120, Seed: 7})
	must(t, err)
	world := httptest.NewServer(server)
	t.Cleanup(world.Close)
	_, err = p.core.CreateSource(t.Context(), operator, core.SourceInput{
		Tenant: "acme", Service: "hq", Credentials: map[string][]byte{payload.CredentialAPIToken: []byte(faker.DemoToken)},
		Spec: core.SourceSpec{Name: "netbox", Type: payload.TypeNetBox, Endpoint: world.URL, PollInterval: time.Second, DiscoveryInterval: time.Hour},
	})
	must(t, err)
	data, _ := p.backup()

	var addr atomic.Value
	addr.Store(p.addr)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var unchanged atomic.Int64
	runtime := e.runtime(func(o *syncrun.Options) {
		o.Once, o.DataDir = false, t.TempDir()
		// The platform is restored on another machine, behind the same name.
		o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr.Load().(string))
		}
		o.Observe = func(event syncrun.Event) {
			if event.Kind == syncrun.RunEnded && event.Result == payload.ResultSuccess && event.Devices == 0 {
				unchanged.Add(1)
			}
		}
	})
	go func() { ended <- runtime.Run(ctx) }()
	p.await("the first run, and one that finds no changes", func() bool { return unchanged.Load() > 0 })
	if n := p.count("acme"); n != 120 {
		t.Fatalf("%d devices before the restore", n)
	}
	r, _ := p.restored(data, "")
	if n := r.count("acme"); n != 0 {
		t.Fatalf("the backup holds %d devices", n)
	}
	addr.Store(r.addr)
	r.await("everything to be sent again", func() bool { return r.count("acme") == 120 })
	cancel()
	must(t, <-ended)
	sources, err := r.core.Sources(t.Context(), "acme", "")
	must(t, err)
	if sources[0].Stats.TotalSyncs == 0 || sources[0].Stats.LastResult != payload.ResultSuccess {
		t.Errorf("the source shows %+v", sources[0].Stats)
	}
}

// TestRestoreCancelsOpenJoinTokens redeems, after a restore, a token that was open
// when the backup was taken.
func TestRestoreCancelsOpenJoinTokens(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	open, used := p.mint("acme", "open"), p.mint("acme", "used")
	p.enrol(used.Text)
	data, _ := p.backup()
	r, done := p.restored(data, "")
	if done.Tokens != 1 {
		t.Errorf("%d tokens were cancelled, want 1", done.Tokens)
	}
	if _, _, err := r.client().Enrol(t.Context(), open.Text); !isRefused(err) {
		t.Errorf("the open token was redeemed: %v", err)
	}
	if event := r.lastEvent("acme", "token.cancelled"); event.Details["token_id"] != open.ID {
		t.Errorf("event %+v", event)
	}
	tokens, err := r.core.JoinTokens(t.Context(), "acme")
	must(t, err)
	for _, token := range tokens {
		if want := map[string]core.TokenState{open.ID: core.TokenCancelled, used.ID: core.TokenUsed}[token.ID]; token.State != want {
			t.Errorf("token of %s is %s, want %s", token.Component, token.State, want)
		}
	}
	// A new one works.
	e, _ := r.enrol(r.mint("acme", "open").Text)
	e.hello()
}

// TestIdentitiesIssuedAfterTheBackupAreAdmitted restores a platform that knows
// nothing of them, and sees who still gets in.
func TestIdentitiesIssuedAfterTheBackupAreAdmitted(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	token := p.mint("acme", "renewed")
	renewed, held := p.enrol(token.Text)
	gone := p.onboard("acme", "gone")
	data, _ := p.backup()

	// Renewed, made, made and due, made and revoked, and made twice.
	old := *renewed
	old.config.GatewaySecurity.CertDir = copyOf(t, renewed)
	p.nextSecond()
	later, err := p.client().Renew(t.Context(), held)
	must(t, err)
	renewed.use(later).hello()
	made, _ := p.enrol(p.mint("acme", "made").Text)
	due, dueHeld := p.enrol(p.mint("acme", "due").Text)
	_, err = p.core.RevokeService(t.Context(), operator, "acme", "gone")
	must(t, err)
	former, _ := p.enrol(p.mint("acme", "twice").Text)
	formerDir := copyOf(t, former)
	p.nextSecond()
	latest, _ := p.enrol(p.mint("acme", "twice").Text)

	r, done := p.restored(data, "")
	for _, e := range []*edge{&old, renewed, made, due, gone, former, latest} {
		e.p = r
		r.rewire(e)
	}
	// Known by another certificate, and not known at all: both are recorded.
	renewed.hello()
	made.hello()
	service, err := r.core.Service(t.Context(), "acme", "made")
	must(t, err)
	if service.Type != core.ServiceOnPrem || service.CertSerial != made.identity.Chain[0].SerialNumber.String() {
		t.Errorf("recorded %+v", service.SyncService)
	}
	if event := r.lastEvent("acme", "service.certificate_adopted"); event.Details["component_id"] != "made" {
		t.Errorf("event %+v", event)
	}
	// What came before the one that was adopted is not admitted any more.
	if _, err := old.client().Hello(t.Context(), old.helloRequest()); err == nil {
		t.Error("the certificate before the renewed one is still admitted")
	}
	// They go on as if nothing had been: renewal works, and before a Hello too.
	again, err := r.client().Renew(t.Context(), later)
	must(t, err)
	renewed.use(again).hello()
	dueLater, err := r.client().Renew(t.Context(), dueHeld)
	must(t, err)
	due.use(dueLater).hello()
	// The latest of two wins, whoever comes first.
	latest.hello()
	former.config.GatewaySecurity.CertDir = formerDir
	if _, err := former.client().Hello(t.Context(), former.helloRequest()); err == nil {
		t.Error("an identity that was replaced after the backup is admitted beside its successor")
	}
	// A revocation made after the backup has to be made again, and then holds.
	gone.hello()
	_, err = r.core.RevokeService(t.Context(), operator, "acme", "gone")
	must(t, err)
	if _, err := gone.client().Hello(t.Context(), gone.helloRequest()); err == nil {
		t.Error("what was revoked again is admitted")
	}
	open, err := r.core.Restorations(t.Context())
	must(t, err)
	if len(open) != 1 || !open[0].SettledAt.IsZero() || open[0].ID != done.Restoration.ID {
		t.Errorf("restorations %+v", open)
	}
	if event := r.lastEvent("", "platform.restored"); !strings.Contains(event.Message, "revoke") || event.Severity != core.SeverityWarning {
		t.Errorf("event %+v", event)
	}
	settled, err := r.core.SettleRestorations(t.Context(), operator)
	must(t, err)
	if len(settled) != 1 || settled[0].SettledBy != operator.Name {
		t.Errorf("settled %+v", settled)
	}
	// The tenant's own key does not make an identity the platform has not issued.
	r.clock.pass(time.Hour)
	forged := r.forged("acme", "made")
	made.use(forged)
	_, err = made.client().Hello(t.Context(), made.helloRequest())
	wantCode(t, err, codes.PermissionDenied, "another certificate")
}

// nextSecond waits for it: certificates tell no more of when they were signed.
func (p *platform) nextSecond() {
	p.t.Helper()
	now := time.Now().Unix()
	p.await("the next second", func() bool { return time.Now().Unix() > now })
}

// copyOf keeps the files of an edge's identity as they are now.
func copyOf(t *testing.T, e *edge) string {
	t.Helper()
	kept := t.TempDir()
	must(t, onboarding.WriteIdentity(kept, e.identity))
	return kept
}

// forged is a certificate that the tenant's key signed now and nobody recorded.
func (p *platform) forged(tenant, component string) client.Credential {
	p.t.Helper()
	found, err := p.core.Tenant(p.t.Context(), tenant)
	must(p.t, err)
	described, err := p.core.Enrolment().TenantByID(p.t.Context(), found.ID)
	must(p.t, err)
	keys, err := p.core.Enrolment().Keys(p.t.Context(), described)
	must(p.t, err)
	der, err := x509.MarshalPKCS8PrivateKey(keys.Signer)
	must(p.t, err)
	authority, err := issue.Load(keys.Issuer.Raw, der)
	must(p.t, err)
	key, csr := request(p.t, &x509.CertificateRequest{})
	leaf, err := authority.SignLeaf(csr, issue.Leaf{Type: certs.TypeSync, Tenant: tenant, Partition: "default", Component: component, Life: time.Hour}, p.clock.now())
	must(p.t, err)
	return client.Credential{Key: key, Chain: []*x509.Certificate{leaf, keys.Issuer}, Roots: []*x509.Certificate{p.root()}, CAURL: p.caURL()}
}
