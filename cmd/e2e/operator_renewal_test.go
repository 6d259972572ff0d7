package e2e_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// operatorCredential is an operator's identity as its commands renew it.
func (p *platform) operatorCredential(name string, role core.Role, tenant string) client.Credential {
	p.t.Helper()
	return p.asCredential(p.operatorIdentity(name, role, tenant))
}

func (p *platform) asCredential(c *tls.Certificate) client.Credential {
	p.t.Helper()
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		one, err := x509.ParseCertificate(der)
		must(p.t, err)
		chain = append(chain, one)
	}
	return client.Credential{Key: c.PrivateKey.(crypto.Signer), Chain: chain, Roots: []*x509.Certificate{p.root()}, CAURL: p.caURL()}
}

// wantAdmin makes a call to the administration API.
func (p *platform) wantAdmin(what string, c client.Credential, want codes.Code) {
	p.t.Helper()
	_, err := p.administer(c.TLS()).ListTenants(p.t.Context(), &adminv1.ListTenantsRequest{})
	if got := status.Code(err); got != want {
		p.t.Errorf("%s: answered %v, want %v", what, err, want)
	}
}

func TestOperatorRenewsWithANewKeyAndTheOldCertificateStaysGoodOnce(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	first := p.operatorCredential("alice", core.RoleViewer, "acme")
	tail, err := p.administer(first.TLS()).TailEvents(t.Context(), &adminv1.ListEventsRequest{Limit: 1})
	must(t, err)
	_, err = tail.Recv()
	must(t, err)

	second, err := p.client().Renew(t.Context(), first)
	must(t, err)
	if samePublic(first, second) {
		t.Error("the renewed certificate has the old key")
	}
	p.wantAdmin("renewed", second, codes.OK)
	p.wantAdmin("the one before, whose answer may have been lost", first, codes.OK)
	p.tenant("globex") // Of which alice is told nothing.
	operators, err := p.core.Operators(t.Context(), "acme")
	must(t, err)
	if len(operators) != 1 || operators[0].CertSerial != second.Chain[0].SerialNumber.String() || operators[0].Role != core.RoleViewer {
		t.Errorf("recorded %+v", operators)
	}
	event := p.lastEvent("platform", "operator.renewed")
	if event.Actor.Name != "spiffe://edgesync.local/operator/platform/default/alice" || event.Details["replaced_cert_serial"] != first.Chain[0].SerialNumber.String() {
		t.Errorf("kept %+v", event)
	}

	third, err := p.client().Renew(t.Context(), second)
	must(t, err)
	p.wantAdmin("renewed again", third, codes.OK)
	p.wantAdmin("superseded", first, codes.Unavailable)
	_, err = tail.Recv()
	wantCode(t, err, codes.PermissionDenied, "")
	if _, err := p.client().Renew(t.Context(), first); !isRefused(err) {
		t.Errorf("renew what was superseded: %v", err)
	}
	p.restart()
	p.wantAdmin("renewed, after a restart", third, codes.OK)
	p.wantAdmin("superseded, after a restart", first, codes.Unavailable)
}

func TestOperatorIsNotRenewed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	revoked := p.operatorCredential("revoked", core.RoleAdmin, "")
	_, err := p.core.RevokeOperator(t.Context(), operator, "", "revoked")
	must(t, err)
	again := p.operatorCredential("again", core.RoleAdmin, "")
	_, err = p.core.RevokeOperator(t.Context(), operator, "", "again")
	must(t, err)
	latter := p.operatorCredential("again", core.RoleViewer, "")
	suspended := p.operatorCredential("suspended", core.RoleAdmin, "acme")
	_, err = p.core.SuspendTenant(t.Context(), operator, "acme", false)
	must(t, err)
	for what, c := range map[string]client.Credential{
		"a revoked operator": revoked, "one who was added again": again, "one of a suspended tenant": suspended,
		"one nobody added":               p.issuedAs(certs.TypeOperator, "platform", "nobody", time.Now(), time.Hour),
		"a server":                       p.asCredential(p.certificate.Load()),
		"an operator by a tenant's hand": p.asCredential(p.forgedOperator("globex")),
	} {
		if _, err := p.client().Renew(t.Context(), c); err == nil {
			t.Errorf("%s was renewed", what)
		}
	}
	p.wantAdmin("the latter", latter, codes.OK)
	operators, err := p.core.Operators(t.Context(), "")
	must(t, err)
	for _, o := range operators {
		if o.Name == "again" && (o.CertSerial != latter.Chain[0].SerialNumber.String() || o.State != core.OperatorActive) || o.Name == "revoked" && o.State != core.OperatorRevoked {
			t.Errorf("recorded %+v", o)
		}
	}
}

// forgedOperator is an operator's certificate by a tenant's key.
func (p *platform) forgedOperator(slug string) *tls.Certificate {
	tenant := p.tenant(slug)
	return p.forgeFreely(forgery{by: p.authority(tenant.ID), uri: spiffe + "/operator/" + slug + "/default/root", name: "root.default." + slug + dns})
}

func TestOperatorRecoversAfterItsEndByProofOfItsKey(t *testing.T) {
	t.Parallel()
	p := oldPlatform(t, "acme")
	p.operatorCredential("alice", core.RoleAdmin, "")
	now := time.Now()
	within := p.issuedAs(certs.TypeOperator, "platform", "alice", now.Add(-6*24*time.Hour), time.Hour)
	p.wantAdmin("ended", within, codes.Unavailable)
	renewed, err := p.client().Renew(t.Context(), within)
	must(t, err)
	p.wantAdmin("recovered", renewed, codes.OK)

	beyond := p.issuedAs(certs.TypeOperator, "platform", "alice", now.Add(-8*24*time.Hour), time.Hour)
	if _, err := p.client().Renew(t.Context(), beyond); !errors.Is(err, client.ErrEnded) {
		t.Errorf("recover after more than seven days: %v", err)
	}
	// Who was given the name since is another.
	ended := p.issuedAs(certs.TypeOperator, "platform", "alice", now.Add(-2*time.Hour), time.Hour)
	_, err = p.core.RevokeOperator(t.Context(), operator, "", "alice")
	must(t, err)
	p.operatorCredential("alice", core.RoleViewer, "")
	if _, err := p.client().Renew(t.Context(), ended); !isRefused(err) {
		t.Errorf("recover the identity of somebody who had the name before: %v", err)
	}
}

// TestOperatorGivesItsCertificateUp, as step's revocation does.
func TestOperatorGivesItsCertificateUp(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	alice := p.operatorCredential("alice", core.RoleAdmin, "")
	got, answer, err := p.post("/1.0/revoke", alice.TLS(), "localhost", nil, map[string]any{
		"serial": alice.Chain[0].SerialNumber.String(), "passive": true, "reason": "lost",
	})
	must(t, err)
	wantStatus(t, "give up", got, answer, http.StatusOK)
	p.wantAdmin("given up", alice, codes.Unavailable)
	if _, err := p.client().Renew(t.Context(), alice); !isRefused(err) {
		t.Errorf("renew what was given up: %v", err)
	}
	p.lastEvent("platform", "operator.certificate_revoked")
}
