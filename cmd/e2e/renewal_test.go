package e2e_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.step.sm/crypto/jose"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/cmd/renewal"
	"edgesync/cmd/run"
	"edgesync/core"
	"edgesync/onboarding"
	"edgesync/proto/monitoring"
)

func TestRenewalHasANewKeyAndKeepsTheOldCertificateGood(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e, first := p.enrol(p.mint("acme", "edge").Text)
	e.hello()
	second, err := p.client().Renew(t.Context(), first)
	must(t, err)
	if samePublic(first, second) {
		t.Error("the renewed certificate has the old key")
	}
	// The answer may be lost: the old one goes on until the next renewal.
	e.hello()
	e.use(second).hello()
	third, err := p.client().Renew(t.Context(), second)
	must(t, err)
	e.use(third).hello()
	if live := p.certificates("acme", "edge"); len(live) != 2 {
		t.Errorf("%d certificates are good, want the last two", len(live))
	}
	if _, err := p.client().Renew(t.Context(), first); !isRefused(err) {
		t.Errorf("renew a certificate that was superseded: %v", err)
	}
	p.lastEvent("acme", "service.renewed")
}

func samePublic(a, b client.Credential) bool {
	return bytes.Equal(a.Chain[0].RawSubjectPublicKeyInfo, b.Chain[0].RawSubjectPublicKeyInfo)
}

func TestPackageAndPlatformIdentitiesAreRenewedToo(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	for _, e := range []*edge{p.onboard("acme", "edge"), p.saas()} {
		held := client.Credential{Key: e.identity.Key, Chain: e.identity.Chain, Roots: []*x509.Certificate{p.root()}, CAURL: p.caURL()}
		renewed, err := p.client().Renew(t.Context(), held)
		must(t, err)
		e.use(renewed).hello()
	}
}

func TestRenewalAfterTheEnd(t *testing.T) {
	t.Parallel()
	p := oldPlatform(t, "acme")
	e := p.onboard("acme", "edge")
	now := time.Now()
	within := p.issuedLongAgo("acme", "edge", now.Add(-6*24*time.Hour-time.Hour), time.Hour)
	renewed, err := p.client().Renew(t.Context(), within)
	must(t, err)
	e.use(renewed).hello()

	beyond := p.issuedLongAgo("acme", "edge", now.Add(-7*24*time.Hour-2*time.Hour), time.Hour)
	if _, err := p.client().Renew(t.Context(), beyond); !errors.Is(err, client.ErrEnded) {
		t.Errorf("renew a certificate that ended more than seven days ago: %v", err)
	}
	// A host whose clock is behind asks all the same.
	behind := client.Client{Now: func() time.Time { return now.Add(-24 * time.Hour) }}
	if _, err := behind.Renew(t.Context(), beyond); err == nil {
		t.Error("a certificate that ended more than seven days ago was renewed for a host whose clock is behind")
	}
}

// TestEndedIdentityIsRenewedAgainWhereItCouldNotBeWritten has a host come back
// after its certificate's end with no room for another: it still has the old one
// when there is room again.
func TestEndedIdentityIsRenewedAgainWhereItCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	p := oldPlatform(t, "acme")
	e := p.onboard("acme", "edge")
	ended := p.issuedLongAgo("acme", "edge", time.Now().Add(-2*time.Hour), time.Hour)
	held := onboarding.Identity{Key: ended.Key, Chain: ended.Chain, CAs: append(ended.Roots, ended.Chain[1]), CAURL: ended.CAURL}
	paths := onboarding.PathsIn(t.TempDir())
	must(t, onboarding.WriteIdentity(paths.Dir, held))
	inTheWay := filepath.Join(paths.Cert+".next", "full")
	must(t, os.MkdirAll(inTheWay, 0o700))
	if err := renewal.Keep(paths, held, p.clock.now, nil).Check(t.Context()); err == nil {
		t.Fatal("the identity was renewed without a place for it")
	}
	must(t, os.RemoveAll(filepath.Dir(inTheWay)))
	_, renewed, err := renewal.Now(t.Context(), paths, p.clock.now)
	must(t, err)
	if samePublic(ended, renewed) {
		t.Error("the identity that was renewed after its end has the old key")
	}
	e.use(renewed).hello()
}

// TestEndedIdentityOfAServiceThatWasOnboardedAgainIsNotRenewed has a host keep
// what its service was given before: it ended by itself, and the service has
// another since.
func TestEndedIdentityOfAServiceThatWasOnboardedAgainIsNotRenewed(t *testing.T) {
	t.Parallel()
	p := oldPlatform(t, "acme")
	for name, after := range map[string]func(){
		"package": func() { p.onboard("acme", "package") },
		"token":   func() { p.enrol(p.mint("acme", "token").Text) },
		"revoked": func() {
			_, err := p.core.RevokeService(t.Context(), operator, "acme", "revoked")
			must(t, err)
			p.onboard("acme", "revoked")
		},
		"removed": func() {
			must(t, p.core.RemoveService(t.Context(), operator, "acme", "removed"))
			p.onboard("acme", "removed")
		},
	} {
		p.onboard("acme", name)
		ended := p.issuedLongAgo("acme", name, time.Now().Add(-2*time.Hour), time.Hour)
		after()
		before, err := p.core.Service(t.Context(), "acme", name)
		must(t, err)
		if _, err := p.client().Renew(t.Context(), ended); !isRefused(err) {
			t.Errorf("%s: renew the identity it had before: %v", name, err)
		}
		service, err := p.core.Service(t.Context(), "acme", name)
		must(t, err)
		if service.CertSerial != before.CertSerial {
			t.Errorf("%s: the service's certificate was replaced", name)
		}
	}
}

func TestRenewalIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("bolt")
	_, revoked := p.enrol(p.mint("acme", "revoked").Text)
	_, err := p.core.RevokeService(t.Context(), operator, "acme", "revoked")
	must(t, err)
	if _, err := p.client().Renew(t.Context(), revoked); !isRefused(err) {
		t.Errorf("renew with a revoked certificate: %v", err)
	}
	_, again := p.enrol(p.mint("acme", "again").Text)
	p.enrol(p.mint("acme", "again").Text)
	if _, err := p.client().Renew(t.Context(), again); !isRefused(err) {
		t.Errorf("renew with the certificate of a service that was onboarded again: %v", err)
	}
	// After a restart the handshake has forgotten what was revoked; the store has not.
	p.restart()
	if _, err := p.client().Renew(t.Context(), revoked); !isRefused(err) {
		t.Errorf("renew with a revoked certificate after a restart: %v", err)
	}

	_, other := p.enrol(p.mint("bolt", "edge").Text)
	_, csr := request(t, &x509.CertificateRequest{})
	got, answer, err := p.post("/1.0/rekey", other.TLS(), "acme.localhost", nil, map[string]string{"csr": csrPEM(csr)})
	must(t, err)
	wantStatus(t, "bolt's certificate on acme's host", got, answer, http.StatusForbidden)
	got, answer, err = p.post("/1.0/rekey", other.TLS(), "bolt.localhost", nil, map[string]string{"csr": csrPEM(csr)})
	must(t, err)
	wantStatus(t, "bolt's certificate on its own", got, answer, http.StatusCreated)

	stranger := p.issuedLongAgo("acme", "stranger", time.Now(), time.Hour)
	if _, err := p.client().Renew(t.Context(), stranger); !isRefused(err) {
		t.Errorf("renew a certificate of a service that is not recorded: %v", err)
	}
	if _, err := p.core.SuspendTenant(t.Context(), operator, "bolt", false); err != nil {
		t.Fatal(err)
	}
	if _, err := p.client().Renew(t.Context(), other); !isRefused(err) {
		t.Errorf("renew with a certificate of a suspended tenant: %v", err)
	}
}

func TestRenewalTokenIsForOneUseAndOneKey(t *testing.T) {
	t.Parallel()
	p := oldPlatform(t, "acme")
	p.onboard("acme", "edge")
	ended := p.issuedLongAgo("acme", "edge", time.Now().Add(-2*time.Hour), time.Hour)
	_, thief := p.enrol(p.mint("acme", "thief").Text)
	forged := ended
	forged.Key = thief.Key
	if _, err := p.client().Renew(t.Context(), forged); !isRefused(err) {
		t.Errorf("renew somebody else's ended certificate: %v", err)
	}
	audience := p.caURL() + "/1.0/renew"
	proof := renewalToken(t, ended, audience, 5*time.Minute)
	for _, attempt := range []struct {
		what, token string
		want        int
	}{
		{"damaged", "x.y.z", http.StatusForbidden},
		{"for another CA", renewalToken(t, ended, "https://ca.example/1.0/renew", 5*time.Minute), http.StatusForbidden},
		{"good for too long", renewalToken(t, ended, audience, 24*time.Hour), http.StatusForbidden},
		{"ended", renewalToken(t, ended, audience, -5*time.Minute), http.StatusForbidden},
		{"a proof", proof, http.StatusCreated},
		{"the same proof again", proof, http.StatusForbidden},
	} {
		header := http.Header{"Authorization": {"Bearer " + attempt.token}}
		got, answer, err := p.post("/1.0/renew", nil, "localhost", header, struct{}{})
		must(t, err)
		wantStatus(t, "a renewal token that is "+attempt.what, got, answer, attempt.want)
	}
}

// renewalToken is step's, signed with the credential's key.
func renewalToken(t testing.TB, c client.Credential, audience string, life time.Duration) string {
	t.Helper()
	var chain []string
	for _, one := range c.Chain {
		chain = append(chain, base64.StdEncoding.EncodeToString(one.Raw))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.Key},
		new(jose.SignerOptions).WithHeader(jose.HeaderKey(jose.X5cInsecureKey), chain))
	must(t, err)
	begin := time.Now().Add(min(0, 2*life))
	text, err := jose.Signed(signer).Claims(jose.Claims{
		ID: uuid.NewString(), Issuer: "step-ca-client/1.0", Subject: c.Chain[0].Subject.CommonName, Audience: jose.Audience{audience},
		IssuedAt: jose.NewNumericDate(begin), NotBefore: jose.NewNumericDate(begin), Expiry: jose.NewNumericDate(time.Now().Add(life)),
	}).CompactSerialize()
	must(t, err)
	return text
}

// TestRunRenewsItsIdentity has `run` itself find its certificate at the end of
// its life, and go on with another, without being restarted.
func TestRunRenewsItsIdentity(t *testing.T) {
	t.Parallel()
	p := oldPlatform(t, "acme")
	e := p.onboard("acme", "edge")
	dir := e.config.Paths().Dir
	old := p.issuedLongAgo("acme", "edge", time.Now().Add(-50*time.Minute), time.Hour)
	e.use(old)
	// In this order: the second replaces what the first was given.
	for _, c := range []struct {
		name    string
		prepare func()
	}{
		{"at two thirds of its life", func() {}},
		{"after its end", func() { e.use(p.issuedLongAgo("acme", "edge", time.Now().Add(-2*time.Hour), time.Hour)) }},
	} {
		name := c.name
		c.prepare()
		before, err := onboarding.LoadIdentity(onboarding.PathsIn(dir))
		must(t, err)
		service, err := run.New(run.Config{
			File: filepath.Join(filepath.Dir(dir), filepath.FromSlash(onboarding.ConfigFile)), DataDir: t.TempDir(), Once: true,
			Logger: slog.New(slog.DiscardHandler), Now: p.clock.now,
		})
		must(t, err)
		must(t, service.Run(t.Context()))
		after, err := onboarding.LoadIdentity(onboarding.PathsIn(dir))
		must(t, err)
		if after.Chain[0].SerialNumber.Cmp(before.Chain[0].SerialNumber) == 0 || bytes.Equal(after.Chain[0].RawSubjectPublicKeyInfo, before.Chain[0].RawSubjectPublicKeyInfo) {
			t.Errorf("%s the identity was not replaced, key and all", name)
		}
		recorded, err := p.core.Service(t.Context(), "acme", "edge")
		must(t, err)
		if recorded.CertSerial != after.Chain[0].SerialNumber.String() || recorded.Status != core.StatusOnline {
			t.Errorf("%s the service is recorded as %+v", name, recorded)
		}
	}
	e.use(p.issuedLongAgo("acme", "edge", time.Now().Add(-8*24*time.Hour), time.Hour))
	service, err := run.New(run.Config{File: filepath.Join(filepath.Dir(dir), filepath.FromSlash(onboarding.ConfigFile)), Once: true, Logger: slog.New(slog.DiscardHandler), Now: p.clock.now})
	must(t, err)
	if err := service.Run(t.Context()); !errors.Is(err, client.ErrEnded) {
		t.Errorf("run with an identity that ended long ago: %v", err)
	}
}

// TestHotSwapKeepsStreams has a connection that was made with the old
// certificate go on, and a new one present the new.
func TestHotSwapKeepsStreams(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e, held := p.enrol(p.mint("acme", "edge").Text)
	var later clock
	keeper := client.NewKeeper(held, p.client().Renew, nil, later.now, nil)
	config, err := certs.ClientTLS(certs.EncodePEM(held.Roots...), keeper.Certificate, e.config.ServerName())
	must(t, err)
	dial := func() monitoring.AgentGatewayServiceClient {
		conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return monitoring.NewAgentGatewayServiceClient(conn)
	}
	before := dial()
	_, err = before.Hello(t.Context(), e.helloRequest())
	must(t, err)
	later.pass(21 * 24 * time.Hour)
	must(t, keeper.Check(t.Context()))
	for what, conn := range map[string]monitoring.AgentGatewayServiceClient{"old": before, "new": dial()} {
		if _, err := conn.Hello(t.Context(), e.helloRequest()); err != nil {
			t.Errorf("over the %s connection: %v", what, err)
		}
	}
}
