package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/certs/ca"
	"edgesync/certs/issue"
	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// TestForgedIdentitiesAreRefusedByTheCAAndTheAdministration shows every forgery
// that the gateway refuses to the other listeners too. globex's key is stolen.
func TestForgedIdentitiesAreRefusedByTheCAAndTheAdministration(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme, globex := p.tenant("acme"), p.tenant("globex")
	p.onboard("acme", "hq")
	p.operatorIdentity("alice", core.RoleAdmin, "")
	stolen := p.authority(globex.ID)
	own := forgery{by: stolen, uri: spiffe + "/sync/globex/default/hq", name: "hq.default.globex" + dns}
	with := func(change func(*x509.Certificate)) forgery {
		f := own
		f.change = change
		return f
	}
	before := p.signed()
	for name, f := range map[string]forgery{
		"another tenant's name":     {by: stolen, uri: spiffe + "/sync/acme/default/hq", name: "hq.default.acme" + dns},
		"another tenant's URI":      {by: stolen, uri: spiffe + "/sync/acme/default/hq", name: own.name},
		"a platform component":      {by: stolen, uri: spiffe + "/sync/platform/default/platform-sync", name: "platform-sync.default.platform" + dns},
		"an operator":               {by: stolen, uri: spiffe + "/operator/platform/default/alice", name: "alice.default.platform" + dns},
		"an operator of its own":    {by: stolen, uri: spiffe + "/operator/globex/default/alice", name: "alice.default.globex" + dns},
		"a gateway":                 {by: stolen, uri: spiffe + "/gateway/globex/default/agent-gateway", name: "agent-gateway.default.globex" + dns},
		"upper case":                {by: stolen, uri: spiffe + "/sync/globex/default/HQ", name: "HQ.default.globex" + dns},
		"a foreign trust domain":    {by: stolen, uri: "spiffe://evil.local/sync/globex/default/hq", name: own.name},
		"an authority":              with(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }),
		"expired":                   with(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Second) }),
		"not yet valid":             with(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotAfter, c.NotAfter.Add(time.Hour) }),
		"for servers only":          with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"two URIs":                  with(func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }),
		"no URI":                    with(func(c *x509.Certificate) { c.URIs = nil }),
		"no DNS name":               with(func(c *x509.Certificate) { c.DNSNames = nil }),
		"another common name":       with(func(c *x509.Certificate) { c.Subject.CommonName = "hq.default.acme" + dns }),
		"under an authority of its": {by: p.subAuthority(stolen), uri: own.uri, name: own.name, chain: []*x509.Certificate{stolen.Certificate}},
		"signed by itself":          {by: p.selfSigned(), uri: own.uri, name: own.name},
		"by another platform":       {by: p.foreign(acme.Slug), uri: spiffe + "/sync/acme/default/hq", name: "hq.default.acme" + dns},
	} {
		forged := p.forgeFreely(f)
		for _, path := range []string{"/1.0/renew", "/1.0/rekey", "/1.0/revoke"} {
			_, csr := request(t, &x509.CertificateRequest{})
			if got, answer, err := p.post(path, forged, "localhost", nil, map[string]any{"csr": csrPEM(csr), "serial": "1", "passive": true}); err == nil {
				t.Errorf("%s: the enrolment CA answers %s with %d %s, want no handshake", name, path, got, answer)
			}
		}
		if _, err := p.administer(forged).ListTenants(t.Context(), &adminv1.ListTenantsRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: the administration API answers %v, want no handshake", name, err)
		}
	}
	// What it may well sign was never issued: nobody renews it, and it
	// administers nothing.
	unknown := p.forgeFreely(own)
	if _, err := p.client().Renew(t.Context(), p.asCredential(unknown)); !isRefused(err) {
		t.Errorf("a certificate that was never issued is renewed: %v", err)
	}
	_, err := p.administer(unknown).ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	wantCode(t, err, codes.PermissionDenied, "no operator")
	if after := p.signed(); after != before {
		t.Errorf("there were %d certificates, there are %d", before, after)
	}
}

// signed is how many certificates were ever recorded.
func (p *platform) signed() int {
	p.t.Helper()
	all, err := p.core.Certificates(p.t.Context(), core.CertificateQuery{History: true})
	must(p.t, err)
	return len(all)
}

// subAuthority is an intermediate below one that must have none.
func (p *platform) subAuthority(above *issue.Authority) *issue.Authority {
	p.t.Helper()
	return p.makeAuthority(&x509.Certificate{Subject: above.Certificate.Subject, URIs: above.Certificate.URIs}, above)
}

func (p *platform) selfSigned() *issue.Authority {
	p.t.Helper()
	uri, err := url.Parse(spiffe)
	must(p.t, err)
	return p.makeAuthority(&x509.Certificate{Subject: pkix.Name{CommonName: "edgesync root"}, URIs: []*url.URL{uri}}, nil)
}

func (p *platform) makeAuthority(template *x509.Certificate, above *issue.Authority) *issue.Authority {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(p.t, err)
	template.SerialNumber, template.IsCA, template.BasicConstraintsValid = big.NewInt(7), true, true
	template.KeyUsage = x509.KeyUsageCertSign
	template.NotBefore, template.NotAfter = p.clock.now().Add(-time.Minute), p.clock.now().Add(time.Hour)
	made := &issue.Authority{Certificate: template, Key: key}
	if above == nil {
		above = made
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above.Certificate, key.Public(), above.Key)
	must(p.t, err)
	made.Certificate, err = x509.ParseCertificate(der)
	must(p.t, err)
	return made
}

// foreign is a tenant's authority under the root of another platform.
func (p *platform) foreign(slug string) *issue.Authority {
	p.t.Helper()
	root, err := issue.NewRoot("edgesync.local", p.clock.now())
	must(p.t, err)
	made, err := root.NewTenantIntermediate(slug, p.clock.now())
	must(p.t, err)
	return made
}

// TestEveryListenerTakesTLS13AloneAndResumesNothing: who was removed must fail,
// however it comes back.
func TestEveryListenerTakesTLS13AloneAndResumesNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	edge, alice := p.onboard("acme", "hq").identity.TLSCertificate(), p.operatorIdentity("alice", core.RoleViewer, "")
	for name, listener := range map[string]struct {
		addr     string
		identity *tls.Certificate
		protocol string
	}{
		"gateway":        {p.addr, edge, "h2"},
		"administration": {p.adminAddr, alice, "h2"},
		"enrolment CA":   {p.caAddr, edge, "http/1.1"},
	} {
		config := p.clientTLS(listener.identity)
		config.NextProtos, config.ClientSessionCache = []string{listener.protocol}, tls.NewLRUClientSessionCache(8)
		if name == "enrolment CA" {
			config.ServerName = "localhost"
		}
		for range 2 {
			conn, err := tls.Dial("tcp", listener.addr, config)
			must(t, err)
			must(t, conn.SetDeadline(time.Now().Add(200*time.Millisecond)))
			// Tickets come after the handshake, with the first bytes if at all.
			_, _ = conn.Read(make([]byte, 1))
			if state := conn.ConnectionState(); state.DidResume || state.Version != tls.VersionTLS13 {
				t.Errorf("%s: resumed %v, version %x", name, state.DidResume, state.Version)
			}
			_ = conn.Close()
		}
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		if conn, err := tls.Dial("tcp", listener.addr, config); err == nil {
			t.Errorf("%s takes TLS 1.2", name)
			_ = conn.Close()
		}
	}
}

// TestTokenIsForItsTenantAndForEnrolling takes a good token elsewhere.
func TestTokenIsForItsTenantAndForEnrolling(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	victim := p.onboard("acme", "victim")
	minted := p.mint("acme", "edge")
	_, csr := request(t, &x509.CertificateRequest{})
	sign := map[string]string{"csr": csrPEM(csr), "ott": minted.Text}
	for _, host := range []string{"globex.localhost", "nobody.localhost", "platform.localhost"} {
		got, answer, err := p.post("/1.0/sign", nil, host, nil, sign)
		must(t, err)
		wantStatus(t, "acme's token on "+host, got, answer, http.StatusForbidden)
	}
	// The Host header has no say, and neither have a foreign certificate.
	got, answer, err := p.post("/1.0/sign", nil, "globex.localhost", http.Header{"Host": {"acme.localhost"}}, sign)
	must(t, err)
	wantStatus(t, "acme's token on globex's host, with acme's Host header", got, answer, http.StatusForbidden)
	revoke := map[string]any{"serial": victim.identity.Chain[0].SerialNumber.String(), "ott": minted.Text, "passive": true}
	got, answer, err = p.post("/1.0/revoke", nil, "localhost", nil, revoke)
	must(t, err)
	wantStatus(t, "a join token as one for revocation", got, answer, http.StatusForbidden)
	got, answer, err = p.post("/1.0/renew", nil, "localhost", http.Header{"Authorization": {"Bearer " + minted.Text}}, nil)
	must(t, err)
	wantStatus(t, "a join token as one for renewal", got, answer, http.StatusForbidden)
	victim.hello()
	got, answer, err = p.post("/1.0/sign", nil, "acme.localhost", nil, sign)
	must(t, err)
	wantStatus(t, "the token where it belongs, not used up by any of that", got, answer, http.StatusCreated)
}

// TestNobodyGivesUpAnothersCertificate, be it a sibling's.
func TestNobodyGivesUpAnothersCertificate(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	victim := p.onboard("acme", "victim")
	for _, e := range []*edge{p.onboard("acme", "sibling"), p.onboard("globex", "stranger")} {
		got, answer, err := p.post("/1.0/revoke", e.identity.TLSCertificate(), "localhost", nil, map[string]any{
			"serial": victim.identity.Chain[0].SerialNumber.String(), "passive": true,
		})
		must(t, err)
		if got < 400 || got >= 500 {
			t.Errorf("%s gives up the certificate of another: %d %s", e.component, got, answer)
		}
	}
	victim.hello()
}

// TestTokensAndIdentitiesOfARemovedTenantAreWorthless, also once there is another
// tenant of that name.
func TestTokensAndIdentitiesOfARemovedTenantAreWorthless(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "edge")
	held := p.onboard("acme", "hq").credential()
	alice := p.operatorCredential("alice", core.RoleAdmin, "acme")
	must(t, p.core.RemoveTenant(t.Context(), operator, "acme"))
	for _, when := range []string{"removed", "made again"} {
		_, csr := request(t, &x509.CertificateRequest{})
		got, answer := p.sign(minted.Text, csr)
		wantStatus(t, "a token of a tenant that is "+when, got, answer, http.StatusForbidden)
		if _, err := p.client().Renew(t.Context(), held); err == nil {
			t.Errorf("an identity of a tenant that is %s is renewed", when)
		}
		if _, err := p.client().Renew(t.Context(), alice); err == nil {
			t.Errorf("an operator of a tenant that is %s is renewed", when)
		}
		if when == "removed" {
			p.tenant("acme")
		}
	}
}

// TestCAAnswersWhatItIsNotMadeFor with a refusal, at once, and goes on.
func TestCAAnswersWhatItIsNotMadeFor(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "edge")
	_, csr := request(t, &x509.CertificateRequest{})
	huge := strings.Repeat("A", 1<<20)
	for _, ask := range []struct {
		what, method, path, body string
		want                     int
	}{
		{"the wrong method for signing", http.MethodGet, "/1.0/sign", "", http.StatusMethodNotAllowed},
		{"the wrong method for renewing", http.MethodPut, "/renew", "", http.StatusMethodNotAllowed},
		{"the wrong method for the roots", http.MethodPost, "/1.0/roots", "{}", http.StatusMethodNotAllowed},
		{"the wrong method for health", http.MethodDelete, "/health", "", http.StatusMethodNotAllowed},
		{"the provisioners", http.MethodGet, "/1.0/provisioners", "", http.StatusNotFound},
		{"a provisioner's key", http.MethodGet, "/1.0/provisioners/x/encrypted-key", "", http.StatusNotFound},
		{"step's administration", http.MethodGet, "/admin/provisioners", "", http.StatusNotFound},
		{"ACME", http.MethodGet, "/acme/acme/directory", "", http.StatusNotFound},
		{"SSH", http.MethodPost, "/1.0/ssh/sign", "{}", http.StatusNotFound},
		{"federation", http.MethodGet, "/1.0/federation", "", http.StatusNotFound},
		{"a path that climbs", http.MethodGet, "/1.0/../../etc/passwd", "", http.StatusNotFound},
		{"an unknown root", http.MethodGet, "/1.0/root/" + strings.Repeat("ab", 32), "", http.StatusNotFound},
		{"a root by nonsense", http.MethodGet, "/1.0/root/%00", "", http.StatusNotFound},
		{"no body", http.MethodPost, "/1.0/sign", "", http.StatusBadRequest},
		{"a body that is none", http.MethodPost, "/1.0/sign", "<xml>", http.StatusBadRequest},
		{"a body of another shape", http.MethodPost, "/1.0/sign", `[1,2]`, http.StatusBadRequest},
		{"a huge body", http.MethodPost, "/1.0/sign", `{"ott":"` + huge + `"}`, http.StatusBadRequest},
		{"a token and no request", http.MethodPost, "/1.0/sign", `{"ott":"` + minted.Text + `"}`, http.StatusBadRequest},
		{"a renewal by nobody", http.MethodPost, "/1.0/renew", "{}", http.StatusBadRequest},
		{"a new key for nobody", http.MethodPost, "/1.0/rekey", "{}", http.StatusBadRequest},
		{"a revocation by nobody", http.MethodPost, "/1.0/revoke", `{"serial":"1","passive":true}`, http.StatusBadRequest},
	} {
		got, answer := p.ask(ask.method, ask.path, strings.NewReader(ask.body))
		if got != ask.want {
			t.Errorf("%s: %d %s, want %d", ask.what, got, answer, ask.want)
		}
		var told struct {
			Status  int
			Message string
		}
		if err := json.Unmarshal([]byte(answer), &told); err != nil || told.Status != ask.want || told.Message == "" {
			t.Errorf("%s: step's clients cannot read the answer %q", ask.what, answer)
		}
		if strings.Contains(answer, "edgesync/") || strings.Contains(answer, "smallstep") || strings.Contains(answer, "goroutine") {
			t.Errorf("%s: the answer tells of the inside: %s", ask.what, answer)
		}
	}
	got, answer := p.sign(minted.Text, csr)
	wantStatus(t, "a real request afterwards", got, answer, http.StatusCreated)
}

// ask sends the CA anything.
func (p *platform) ask(method, path string, body io.Reader) (int, string) {
	p.t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.rootPool(), ServerName: "localhost"}, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.caURL()+path, body)
	must(p.t, err)
	response, err := transport.RoundTrip(request)
	must(p.t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	must(p.t, err)
	return response.StatusCode, string(answer)
}

func (p *platform) rootPool() *x509.CertPool {
	p.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(p.root())
	return pool
}

// TestBadRequestUsesUpNoToken, and is refused before its key costs anything.
func TestBadRequestUsesUpNoToken(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	minted := p.mint("acme", "edge")
	_, good := request(t, &x509.CertificateRequest{})
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	weakRequest, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	must(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	curveRequest, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, curve)
	must(t, err)
	for what, csr := range map[string][]byte{
		"a weak RSA key": weakRequest, "a weak curve": curveRequest, "a signature by another key": spoilt(good), "half a request": good[:len(good)/2],
	} {
		if got, answer := p.sign(minted.Text, csr); got != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, got, answer)
		}
	}
	got, answer := p.sign(minted.Text, good)
	wantStatus(t, "a good request afterwards", got, answer, http.StatusCreated)
}

// spoilt is a request whose signature is not its key's.
func spoilt(csr []byte) []byte {
	out := slices.Clone(csr)
	out[len(out)-1] ^= 1
	return out
}

// TestSealedKeyMovedToAnotherRowOpensNothing has somebody with the database, and
// without the keyset, give one tenant the key of another.
func TestSealedKeyMovedToAnotherRowOpensNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme, globex := p.tenant("acme"), p.tenant("globex")
	p.mint("acme", "edge")
	p.mint("globex", "edge")
	rows := map[string]core.Authority{}
	must(t, p.store.Platform().View(t.Context(), func(tx core.PlatformTx) error {
		all, err := tx.Authorities(t.Context())
		for _, a := range all {
			rows[a.TenantID.String()] = a
		}
		return err
	}))
	put := func(a core.Authority) {
		t.Helper()
		must(t, p.store.Platform().Update(t.Context(), func(tx core.PlatformTx) error { return tx.PutAuthority(t.Context(), a) }))
	}
	victim, thief := rows[acme.ID.String()], rows[globex.ID.String()]
	_, csr := request(t, &x509.CertificateRequest{})
	refused := func(what string) {
		t.Helper()
		if _, err := p.core.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "globex", Name: "thief", CSR: csr}); err == nil {
			t.Errorf("%s: an identity was signed", what)
		}
		if services, err := p.core.Services(t.Context(), "globex", false); err != nil || len(services) != 1 {
			t.Errorf("%s: left %v, %v", what, services, err)
		}
	}
	moved := thief
	moved.SealedKey = victim.SealedKey
	put(moved)
	refused("acme's sealed key in globex's row")
	moved.Certificate = victim.Certificate
	put(moved)
	refused("acme's key and certificate in globex's row")
	put(thief)
	_, err := p.core.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "globex", Name: "thief", CSR: csr})
	must(t, err)
	// The same of the key that signs join tokens.
	var token core.TokenKey
	must(t, p.store.Platform().View(t.Context(), func(tx core.PlatformTx) (err error) {
		token, err = tx.TokenKey(t.Context(), acme.ID)
		return err
	}))
	other := p.tenant("other")
	token.TenantID, token.KeyID = other.ID, "moved"
	must(t, p.store.Platform().Update(t.Context(), func(tx core.PlatformTx) error { return tx.AddTokenKey(t.Context(), token) }))
	if _, err := p.core.MintToken(t.Context(), operator, core.TokenInput{Tenant: "other", Name: "edge"}); err == nil {
		t.Error("a token was signed with another tenant's key")
	}
}

// TestSlowAndSilentClientsAreCutOff at the CA, and hold nobody up meanwhile.
func TestSlowAndSilentClientsAreCutOff(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	addr := p.serveCA(t, ca.Options{HeadWithin: 3 * time.Second})
	var silent []net.Conn
	for n := range 60 {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		defer func() { _ = conn.Close() }()
		silent = append(silent, conn)
		if n%3 == 0 { // These do not even shake hands.
			continue
		}
		// On a busy machine shaking hands may take as long as the CA's patience: who
		// is cut off meanwhile is cut off, too.
		shaken := tls.Client(conn, &tls.Config{RootCAs: p.rootPool(), ServerName: "localhost", NextProtos: []string{"http/1.1"}})
		if err := shaken.Handshake(); err != nil {
			t.Logf("client %d was cut off shaking hands: %v", n, err)
			continue
		}
		if n%3 == 2 { // A request that gets no further than its head.
			_, _ = io.WriteString(shaken, "POST /1.0/sign HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		}
	}
	own := p.caAddr
	p.caAddr = addr
	_, csr := request(t, &x509.CertificateRequest{})
	got, answer := p.sign(p.mint("acme", "edge").Text, csr)
	p.caAddr = own
	wantStatus(t, "somebody else meanwhile", got, answer, http.StatusCreated)
	for n, conn := range silent {
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("client %d is still connected", n)
		}
	}
}
