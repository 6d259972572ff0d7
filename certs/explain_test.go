package certs_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"edgesync/certs"
	"edgesync/certs/issue"
)

func TestExplainSaysWhoACertificateIsAndWhatItMay(t *testing.T) {
	p := newPKI(t)
	gateway := gatewayLeaf(t, p).Leaf
	sync := leaf(t, p.acme, syncLeaf("acme")).Leaf
	foreign := template()
	foreign.URIs = nil
	ended := template()
	ended.NotAfter = now.Add(-time.Hour)
	server := template()
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	beside := []*x509.Certificate{p.root.Certificate, p.acme.Certificate}
	for name, test := range map[string]struct {
		certificate *x509.Certificate
		beside      []*x509.Certificate
		who, issuer string
		may         string
		problem     string
	}{
		"sync service":      {sync, beside, "sync service hq-sync in partition default of tenant acme", "the intermediate of tenant acme (its signature was checked)", "as hq-sync", ""},
		"without its chain": {sync, nil, "sync service hq-sync", "by its own word", "as hq-sync", ""},
		"another's chain":   {sync, []*x509.Certificate{p.beta.Certificate}, "sync service hq-sync", "by its own word", "as hq-sync", ""},
		"gateway":           {gateway, []*x509.Certificate{p.platform.Certificate}, "server", "the platform's intermediate", "answer as a server to", ""},
		"root":              {p.root.Certificate, beside, "the root of trust domain " + trustDomain, "itself", "sign the intermediates", ""},
		"tenant's":          {p.acme.Certificate, beside, "the intermediate of tenant acme", "the root of trust domain", "names below acme." + trustDomain, ""},
		"platform's":        {p.platform.Certificate, beside, "the intermediate of the platform", "the root of trust domain", "operators", ""},
		"no identity":       {forge(t, p.acme, foreign).Leaf, beside, "nobody a platform knows", "the intermediate of tenant acme", "", "not those of an identity"},
		"ended":             {forge(t, p.acme, ended).Leaf, beside, "sync service hq-sync", "tenant acme", "as hq-sync", "it ended on"},
		"for servers":       {forge(t, p.acme, server).Leaf, beside, "sync service hq-sync", "tenant acme", "as hq-sync", "not for clients"},
	} {
		e := certs.Explain(test.certificate, test.beside, now)
		if !strings.Contains(e.Who, test.who) || !strings.Contains(e.Issuer, test.issuer) || !strings.Contains(strings.Join(e.May, ";"), test.may) {
			t.Errorf("%s: %q, issued by %q, may %q", name, e.Who, e.Issuer, e.May)
		}
		if problems := strings.Join(e.Problems, ";"); !strings.Contains(problems, test.problem) || test.problem == "" && problems != "" {
			t.Errorf("%s: problems %q", name, e.Problems)
		}
	}
	if e := certs.Explain(sync, beside, now.Add(-24*time.Hour)); len(e.Problems) != 1 || !strings.Contains(e.Problems[0], "clock") {
		t.Errorf("before its time: %q", e.Problems)
	}
}

// FuzzExplain has no certificate, however odd, stop the program.
func FuzzExplain(f *testing.F) {
	p := newPKI(f)
	f.Add(p.root.Certificate.Raw)
	f.Add(p.acme.Certificate.Raw)
	f.Add(leaf(f, p.acme, syncLeaf("acme")).Leaf.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if e := certs.Explain(c, []*x509.Certificate{p.root.Certificate, c}, now); e.Who == "" || e.Issuer == "" {
			t.Errorf("explained as %+v", e)
		}
		_, _ = p.issuers.Identify([]*x509.Certificate{c}, now)
	})
}

// TestRootsOverlap has intermediates of either root accepted while there are
// two, and a key's leaves whichever root has signed it.
func TestRootsOverlap(t *testing.T) {
	p := newPKI(t)
	sync := []*x509.Certificate{leaf(t, p.acme, syncLeaf("acme")).Leaf}
	next := must(issue.NewRoot(trustDomain, now))(t)
	again := must(next.Certify(p.acme.Certificate, now, p.acme.Certificate.NotAfter))(t)
	issuer := certs.Issuer{TenantID: p.acmeID, Tenant: "acme", Certificate: again}
	if err := p.issuers.Add(issuer); err == nil {
		t.Error("an intermediate of an unknown root was accepted")
	}
	if err := p.issuers.AddRoot(next.Certificate); err != nil {
		t.Fatal(err)
	}
	if err := p.issuers.Add(issuer); err != nil {
		t.Fatal(err)
	}
	p.issuers.RemoveRoot(certs.KeyID(p.root.Certificate))
	if _, err := p.issuers.Identify(sync, now); err != nil {
		t.Errorf("signed again: %v", err)
	}
	if _, err := p.issuers.Identify([]*x509.Certificate{leaf(t, p.beta, syncLeaf("beta")).Leaf}, now); reason(err) != certs.ReasonBadChain {
		t.Errorf("known to the old root alone: %v", err)
	}
	p.issuers.RemoveRoot(certs.KeyID(next.Certificate))
	if _, err := p.issuers.Identify(sync, now); err != nil {
		t.Errorf("the last root was removed: %v", err)
	}
	other := must(issue.NewRoot("example.org", now))(t)
	for _, root := range []*x509.Certificate{other.Certificate, p.acme.Certificate, sync[0]} {
		if err := p.issuers.AddRoot(root); err == nil {
			t.Errorf("root %s was accepted", root.Subject)
		}
	}
}

func TestReplacedIssuerEndsOnTime(t *testing.T) {
	p := newPKI(t)
	sync := []*x509.Certificate{leaf(t, p.acme, syncLeaf("acme")).Leaf}
	end := now.Add(time.Hour)
	if err := p.issuers.Add(certs.Issuer{TenantID: p.acmeID, Tenant: "acme", Certificate: p.acme.Certificate, Until: end}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.issuers.Identify(sync, end.Add(-time.Second)); err != nil {
		t.Errorf("before its end: %v", err)
	}
	if _, err := p.issuers.Identify(sync, end); reason(err) != certs.ReasonIssuerRetired {
		t.Errorf("at its end: %v", err)
	}
}

func TestSuspendedTenantIsRefusedAndOthersAreNot(t *testing.T) {
	p := newPKI(t)
	acme, beta := []*x509.Certificate{leaf(t, p.acme, syncLeaf("acme")).Leaf}, []*x509.Certificate{leaf(t, p.beta, syncLeaf("beta")).Leaf}
	p.issuers.Suspend(p.acmeID)
	_, err := p.issuers.Identify(acme, now)
	var refusal *certs.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != certs.ReasonSuspended || !refusal.Signed || !strings.Contains(refusal.Claim, "/sync/acme/") {
		t.Errorf("suspended: %+v", refusal)
	}
	if _, err := p.issuers.Identify(beta, now); err != nil {
		t.Errorf("other: %v", err)
	}
	p.issuers.Resume(p.acmeID)
	if _, err := p.issuers.Identify(acme, now); err != nil {
		t.Errorf("resumed: %v", err)
	}
}

// TestRefusalTellsProvedFromClaimed: whoever has no key of the tenant's cannot
// have anything kept among its events.
func TestRefusalTellsProvedFromClaimed(t *testing.T) {
	p := newPKI(t)
	wrong := forge(t, p.acme, template()).Leaf
	raw := append([]byte{}, wrong.Raw...)
	raw[len(raw)-1] ^= 1
	spoiled := must(x509.ParseCertificate(raw))(t)
	_, err := p.issuers.Identify([]*x509.Certificate{spoiled}, now)
	var refusal *certs.Refusal
	if !errors.As(err, &refusal) || refusal.Signed || refusal.Tenant != "acme" {
		t.Errorf("not signed by acme: %+v", refusal)
	}
}
