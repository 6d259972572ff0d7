package e2e_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	stepapi "github.com/smallstep/certificates/api"
	stepca "github.com/smallstep/certificates/ca"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/certs/ca"
	"edgesync/certs/client"
	"edgesync/core"
)

func TestR04TokenYieldsIdentityGatewayAndPathsOnly(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "HQ Sync")
	if minted.Service.ComponentID != "hq-sync" || minted.Service.ID.String() != minted.ServiceID.String() {
		t.Fatalf("minted for %+v", minted.Service)
	}
	e, made := p.enrol(minted.Text)
	leaf := made.Chain[0]
	named, err := certs.ReadLeaf(leaf)
	must(t, err)
	if named.SPIFFE() != "spiffe://edgesync.local/sync/acme/default/hq-sync" {
		t.Errorf("the certificate is for %s", named.SPIFFE())
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > core.DefaultLeafLife+10*time.Minute {
		t.Errorf("the certificate lives %s", life)
	}
	if answer := e.hello(); answer.GetTenantSlug() != "acme" {
		t.Errorf("hello answered %v", answer)
	}
	service, err := p.core.Service(t.Context(), "acme", "hq-sync")
	must(t, err)
	if service.ID != minted.ServiceID || service.CertSerial != leaf.SerialNumber.String() || service.Status != core.StatusOnline {
		t.Errorf("the service is recorded as %+v", service)
	}
	p.lastEvent("acme", "token.redeemed")
	p.lastEvent("acme", "service.onboarded")
}

func TestOneTokenManyRedemptions(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	rounds := 20
	if raceDetector {
		rounds = 3
	}
	for round := range rounds {
		minted := p.mint("acme", "edge")
		var won, refused, other atomic.Int32
		var all sync.WaitGroup
		for range 100 {
			_, csr := request(t, &x509.CertificateRequest{})
			all.Go(func() {
				switch status, _ := p.sign(minted.Text, csr); status {
				case http.StatusCreated:
					won.Add(1)
				case http.StatusForbidden:
					refused.Add(1)
				default:
					other.Add(1)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || refused.Load() != 99 {
			t.Fatalf("round %d: %d succeeded, %d were refused, %d something else", round, won.Load(), refused.Load(), other.Load())
		}
	}
}

func TestTokenIsSpentAfterRestart(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	used, unused := p.mint("acme", "one"), p.mint("acme", "two")
	p.enrol(used.Text)
	p.restart()
	if _, _, err := p.client().Enrol(t.Context(), used.Text); !isRefused(err) {
		t.Errorf("a used token after a restart: %v", err)
	}
	p.enrol(unused.Text)
}

func isRefused(err error) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && refused.Status == http.StatusForbidden
}

func TestSameKeyRedeemsAgainForTenMinutes(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "edge")
	_, csr := request(t, &x509.CertificateRequest{})
	for range 2 {
		got, answer := p.sign(minted.Text, csr)
		wantStatus(t, "the same key", got, answer, http.StatusCreated)
	}
	if live := p.certificates("acme", "edge"); len(live) != 1 {
		t.Errorf("%d certificates are good, want the last", len(live))
	}
	p.clock.pass(11 * time.Minute)
	got, answer := p.sign(minted.Text, csr)
	wantStatus(t, "the same key after ten minutes", got, answer, http.StatusForbidden)
}

func TestRevokedServiceIsNotBroughtBackByItsToken(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "edge")
	_, csr := request(t, &x509.CertificateRequest{})
	got, answer := p.sign(minted.Text, csr)
	wantStatus(t, "redeem", got, answer, http.StatusCreated)
	_, err := p.core.RevokeService(t.Context(), operator, "acme", "edge")
	must(t, err)
	got, answer = p.sign(minted.Text, csr)
	wantStatus(t, "redeem again after the service was revoked", got, answer, http.StatusForbidden)
}

// TestTokenFailuresAreAlike has every way a token can be wrong answered with the
// same bytes.
func TestTokenFailuresAreAlike(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("bolt")
	_, csr := request(t, &x509.CertificateRequest{})
	used := p.mint("acme", "used")
	p.enrol(used.Text)
	cancelled := p.mint("acme", "cancelled")
	_, err := p.core.CancelToken(t.Context(), operator, "acme", cancelled.ID)
	must(t, err)
	replaced := p.mint("acme", "replaced")
	p.mint("acme", "replaced")
	removed := p.mint("acme", "removed")
	must(t, p.core.RemoveService(t.Context(), operator, "acme", "removed"))
	suspended := p.mint("bolt", "edge")
	_, err = p.core.SuspendTenant(t.Context(), operator, "bolt", false)
	must(t, err)
	expired, err := p.core.MintToken(t.Context(), operator, core.TokenInput{Tenant: "acme", Name: "expired", Life: 5 * time.Minute})
	must(t, err)
	good := p.mint("acme", "good")
	p.clock.pass(6 * time.Minute)

	alike := ""
	for what, text := range map[string]string{
		"used": used.Text, "cancelled": cancelled.Text, "replaced by another": replaced.Text, "of a removed service": removed.Text,
		"of a suspended tenant": suspended.Text, "ended": expired.Text, "no token": "x", "empty parts": "..",
		"another gateway":   edited(t, good.Text, "gateway_addr", "evil.example:1"),
		"another component": edited(t, good.Text, "component_id", "other"),
		"another tenant":    edited(t, good.Text, "tenant", "bolt"),
		"a longer life":     edited(t, good.Text, "exp", time.Now().Add(90*24*time.Hour).Unix()),
		"signature cut":     good.Text[:len(good.Text)-8],
	} {
		got, answer := p.sign(text, csr)
		wantStatus(t, "a token that is "+what, got, answer, http.StatusForbidden)
		if alike == "" {
			alike = answer
		}
		if answer != alike {
			t.Errorf("a token that is %s is answered %q, others %q", what, answer, alike)
		}
		if strings.Contains(answer, text) && len(text) > 3 {
			t.Errorf("a token that is %s is quoted in the answer", what)
		}
	}
	got, answer := p.sign(good.Text, csr)
	wantStatus(t, "the token that was edited, as it was", got, answer, http.StatusCreated)
	refused := p.lastEvent("acme", "security.enrolment_refused")
	if refused.Details["address"] == "" || refused.Details["reason"] == "" {
		t.Errorf("a refusal is recorded as %+v", refused)
	}
}

// edited is a token in which one claim says something else.
func edited(t testing.TB, text, claim string, value any) string {
	t.Helper()
	parts := strings.Split(text, ".")
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(data, &claims))
	if _, ok := claims[claim]; !ok {
		t.Fatalf("the token has no claim %q", claim)
	}
	claims[claim] = value
	data, err = json.Marshal(claims)
	must(t, err)
	parts[1] = base64.RawURLEncoding.EncodeToString(data)
	return strings.Join(parts, ".")
}

func TestRequestDecidesNothingButItsKey(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	other, err := url.Parse("spiffe://edgesync.local/gateway/platform/default/agent-gateway")
	must(t, err)
	constraints, err := asn1.Marshal(struct{ CA bool }{true})
	must(t, err)
	minted := p.mint("acme", "edge")
	for what, template := range map[string]*x509.CertificateRequest{
		"another common name": {Subject: pkix.Name{CommonName: "other.default.acme.edgesync.local"}},
		"another DNS name":    {DNSNames: []string{"agent-gateway.edgesync.local"}},
		"two DNS names":       {DNSNames: []string{"edge.default.acme.edgesync.local", "x.default.acme.edgesync.local"}},
		"another URI":         {URIs: []*url.URL{other}},
		"an address":          {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		"a mail address":      {EmailAddresses: []string{"root@acme.example"}},
	} {
		_, csr := request(t, template)
		got, answer := p.sign(minted.Text, csr)
		wantStatus(t, "a request for "+what, got, answer, http.StatusForbidden)
	}
	_, csr := request(t, &x509.CertificateRequest{
		Subject:         pkix.Name{CommonName: "edge.default.acme.edgesync.local", Organization: []string{"Evil"}},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: constraints}},
	})
	got, answer := p.sign(minted.Text, csr)
	wantStatus(t, "a request for CA:TRUE, with the token that none of those used up", got, answer, http.StatusCreated)
	var response struct {
		Chain []string `json:"certChain"`
	}
	must(t, json.Unmarshal([]byte(answer), &response))
	leaf := decode(t, []byte(response.Chain[0]))[0]
	if leaf.IsCA || len(leaf.Subject.Organization) != 1 || leaf.Subject.Organization[0] != "edgesync" || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(leaf.ExtKeyUsage) != 1 {
		t.Errorf("the request had a say: CA %v, subject %s, usage %v", leaf.IsCA, leaf.Subject, leaf.ExtKeyUsage)
	}
}

func TestClientRefusesEditedToken(t *testing.T) {
	t.Parallel()
	p, q := newPlatform(t), newPlatform(t)
	p.tenant("acme")
	text := p.mint("acme", "edge").Text
	other, err := q.core.PlatformInfo(t.Context())
	must(t, err)
	for what, token := range map[string]string{
		"another CA":           edited(t, text, "aud", q.caURL()+"/1.0/sign"),
		"another pin":          edited(t, text, "sha", other.RootFingerprint),
		"http":                 edited(t, text, "aud", "http://"+p.caAddr+"/1.0/sign"),
		"user and password":    edited(t, text, "aud", "https://u:p@"+p.caAddr+"/1.0/sign"),
		"another path":         edited(t, text, "aud", "https://"+p.caAddr+"/evil"),
		"no pin":               edited(t, text, "sha", ""),
		"two CAs":              edited(t, text, "aud", []string{p.caURL() + "/1.0/sign", q.caURL() + "/1.0/sign"}),
		"another gateway":      edited(t, text, "gateway_addr", "evil.example:50052"),
		"another gateway name": edited(t, text, "gateway_server_name", "evil.example"),
	} {
		if made, _, err := p.client().Enrol(t.Context(), token); err == nil || made.Key != nil {
			t.Errorf("a token edited to %s is redeemed", what)
		}
	}
	p.enrol(text)
}

// TestTenantLeafCannotPoseAsCA has a host of the tenant answer as the CA, with
// every certificate it can show.
func TestTenantLeafCannotPoseAsCA(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "evil")
	text := p.mint("acme", "edge").Text
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*e.identity.TLSCertificate()}})
	must(t, err)
	seen := make(chan string, 10)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.URL.Path
		data, err := json.Marshal(map[string]string{"ca": string(certs.EncodePEM(p.root()))})
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(data)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	text = edited(t, text, "aud", "https://"+listener.Addr().String()+"/1.0/sign")
	if _, _, err := p.client().Enrol(t.Context(), text); !errors.Is(err, client.ErrUntrusted) {
		t.Errorf("enrolling with a tenant's host as the CA: %v", err)
	}
	close(seen)
	for path := range seen {
		if strings.Contains(path, "sign") {
			t.Error("the token was sent to it")
		}
	}
}

func TestAttemptsAreLimitedPerAddress(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	server := p.serveCA(t, ca.Options{Failures: 3, FailureEvery: 20 * time.Second})
	_, csr := request(t, &x509.CertificateRequest{})
	minted := p.mint("acme", "edge")
	own := p.caAddr
	p.caAddr = server
	for range 3 {
		got, answer := p.sign("x", csr)
		wantStatus(t, "a wrong token", got, answer, http.StatusForbidden)
	}
	got, answer := p.sign(minted.Text, csr)
	wantStatus(t, "a good token after too many wrong ones", got, answer, http.StatusTooManyRequests)
	p.clock.pass(time.Minute)
	got, answer = p.sign(minted.Text, csr)
	wantStatus(t, "a good token a minute later", got, answer, http.StatusCreated)
	p.caAddr = own
}

func TestHandshakeRefusesWhoIsNobody(t *testing.T) {
	t.Parallel()
	p, q := newPlatform(t), newPlatform(t)
	p.tenant("acme")
	q.tenant("acme")
	_, foreign := q.enrol(q.mint("acme", "edge").Text)
	ended := p.issuedLongAgo("acme", "edge", time.Now().Add(-2*time.Hour), time.Hour)
	for what, one := range map[string]client.Credential{"another platform's certificate": foreign, "an ended certificate": ended} {
		_, csr := request(t, &x509.CertificateRequest{})
		got, answer, err := p.post("/1.0/rekey", one.TLS(), "localhost", nil, map[string]string{"csr": csrPEM(csr)})
		if err == nil {
			t.Errorf("%s: answered %d %s, want no handshake", what, got, answer)
		}
	}
}

// TestStepClient has step's own library do what step's command line does.
func TestStepClient(t *testing.T) {
	t.Parallel()
	stepca.DisableIdentity = true
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "edge")
	step, err := stepca.Bootstrap(minted.Text)
	must(t, err)
	health, err := step.Health()
	must(t, err)
	version, err := step.Version()
	must(t, err)
	roots, err := step.Roots()
	must(t, err)
	if health.Status != "ok" || version.RequireClientAuthentication || len(roots.Certificates) != 1 {
		t.Errorf("health %+v, version %+v, %d roots", health, version, len(roots.Certificates))
	}
	if _, err := step.Provisioners(); err == nil {
		t.Error("the provisioners are listed")
	}
	ask, key, err := stepca.CreateSignRequest(minted.Text)
	must(t, err)
	if _, err := step.Sign(ask); err != nil {
		t.Fatal(err)
	}
	signed, err := step.Sign(ask)
	if err != nil {
		t.Fatalf("the same request again: %v", err)
	}
	ctx := t.Context()
	transport, err := step.Transport(ctx, signed, key)
	must(t, err)
	renewed, err := step.Renew(transport)
	must(t, err)
	fresh, _, err := stepca.CreateCertificateRequest("")
	must(t, err)
	rekeyed, err := step.Rekey(&stepapi.RekeyRequest{CsrPEM: *fresh}, transport)
	must(t, err)
	if renewed.ServerPEM.SerialNumber.Cmp(rekeyed.ServerPEM.SerialNumber) == 0 {
		t.Error("renewed and rekeyed certificates are one")
	}
	serial := signed.ServerPEM.SerialNumber.String()
	answer, err := step.Revoke(&stepapi.RevokeRequest{Serial: serial, Passive: true, Reason: "lost"}, transport)
	must(t, err)
	if answer.Status != "ok" {
		t.Errorf("revoke answers %+v", answer)
	}
	if _, err := step.Renew(transport); err == nil {
		t.Error("a certificate that was given up was renewed")
	}
	list := p.revocationList("acme.localhost")
	if len(list.RevokedCertificateEntries) == 0 {
		t.Fatal("the list of revoked certificates is empty")
	}
	found := false
	for _, one := range list.RevokedCertificateEntries {
		found = found || one.SerialNumber.String() == serial
	}
	if !found {
		t.Errorf("serial %s is not on the list", serial)
	}
}

// TestFromTokenToReOnboarding is the life of an edge service.
func TestFromTokenToReOnboarding(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e, held := p.enrol(p.mint("acme", "HQ").Text)
	e.hello()
	before, err := p.core.Service(t.Context(), "acme", "hq")
	must(t, err)

	var later clock
	keeper := client.NewKeeper(held, p.client().Renew, nil, later.now, nil)
	must(t, keeper.Check(t.Context()))
	if keeper.Certificate().Leaf.SerialNumber.Cmp(held.Chain[0].SerialNumber) != 0 {
		t.Fatal("a fresh certificate was renewed")
	}
	later.pass(20*24*time.Hour + time.Hour)
	must(t, keeper.Check(t.Context()))
	leaf := keeper.Certificate().Leaf
	if leaf.SerialNumber.Cmp(held.Chain[0].SerialNumber) == 0 {
		t.Fatal("at two thirds of its life the certificate was not renewed")
	}
	renewed := client.Credential{Key: keeper.Certificate().PrivateKey.(crypto.Signer), Chain: []*x509.Certificate{leaf, held.Chain[1]}, Roots: held.Roots, CAURL: held.CAURL}
	e.use(renewed).hello()

	_, err = p.core.RevokeService(t.Context(), operator, "acme", "hq")
	must(t, err)
	if _, err := e.client().Hello(t.Context(), e.helloRequest()); err == nil {
		t.Fatal("a revoked service said Hello")
	} else if code := status.Code(err); code != codes.Unavailable && code != codes.PermissionDenied {
		t.Errorf("a revoked service got %v", err)
	}
	if _, err := p.client().Renew(t.Context(), renewed); !isRefused(err) {
		t.Errorf("renew a revoked service's certificate: %v", err)
	}

	again, _ := p.enrol(p.mint("acme", "HQ").Text)
	again.hello()
	after, err := p.core.Service(t.Context(), "acme", "hq")
	must(t, err)
	if after.ID != before.ID || !after.CreatedAt.Equal(before.CreatedAt) || after.State != core.ServiceActive {
		t.Errorf("re-onboarded, the service is %+v, before %+v", after, before)
	}
}

// TestNothingSecretIsTold looks for a token and the keys of the platform
// wherever anything is told.
func TestNothingSecretIsTold(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "edge")
	_, csr := request(t, &x509.CertificateRequest{})
	p.sign(minted.Text+"x", csr)
	p.sign(edited(t, minted.Text, "component_id", "other"), csr)
	p.enrol(minted.Text)
	events, err := p.core.Events(t.Context(), core.EventQuery{})
	must(t, err)
	tokens, err := p.core.JoinTokens(t.Context(), "")
	must(t, err)
	told, err := json.Marshal([]any{events, tokens})
	must(t, err)
	for _, part := range strings.Split(minted.Text, ".") {
		if strings.Contains(string(told), part) {
			t.Errorf("events or tokens tell %q", part)
		}
	}
}
