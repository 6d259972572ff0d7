package core_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"edgesync/certs"
	"edgesync/core"
)

// TestRevocationsReachTheOtherProcesses: what is refused in one process of a
// platform is refused in all, and each tells those who hold connections.
func TestRevocationsReachTheOtherProcesses(t *testing.T) {
	w := bootstrapped(t)
	open := w.processes()
	acme := w.tenant("acme")
	done, err := w.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "hq", CSR: csr(t)})
	if err != nil {
		t.Fatal(err)
	}
	leaf := chain(t, done.Certificate.ChainPEM)
	here, there := open(), open()
	var told []certs.Revocation
	defer there.OnRevocation(func(r certs.Revocation) { told = append(told, r) })()

	suspend := func(resume bool) {
		t.Helper()
		if _, err := here.SuspendTenant(t.Context(), operator, "acme", resume); err != nil {
			t.Fatal(err)
		}
	}
	reason := func() string {
		_, err := there.Issuers().Identify(leaf, w.clock.Now())
		var refusal *certs.Refusal
		if errors.As(err, &refusal) {
			return refusal.Reason
		}
		return ""
	}
	suspend(false)
	if got := reason(); got != certs.ReasonSuspended {
		t.Errorf("suspended elsewhere: %q", got)
	}
	suspend(true)
	if got := reason(); got != "" {
		t.Errorf("resumed elsewhere: %q", got)
	}
	if _, err := here.RevokeService(t.Context(), operator, "acme", "hq"); err != nil {
		t.Fatal(err)
	}
	if got := reason(); got != certs.ReasonRevoked {
		t.Errorf("revoked elsewhere: %q", got)
	}
	want := []certs.Revocation{{TenantID: acme.ID}, {TenantID: acme.ID, Type: certs.TypeSync, Component: "hq"}}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("was told %+v, want %+v", told, want)
	}
	if err := here.RemoveTenant(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	if got := reason(); got != certs.ReasonUnknownIssuer {
		t.Errorf("removed elsewhere: %q", got)
	}
}

// TestRefusalSurvivesItsEncoding: "these certificates, of which there are none"
// is not "all".
func TestRefusalSurvivesItsEncoding(t *testing.T) {
	for _, serials := range [][]string{nil, {}, {"1"}} {
		before := core.Notice{Refusal: &core.Refusal{Revocation: certs.Revocation{Component: "hq", Serials: serials}}}
		data, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		var after core.Notice
		if err := json.Unmarshal(data, &after); err != nil || !reflect.DeepEqual(after, before) {
			t.Errorf("%s became %+v, %v", data, after.Refusal, err)
		}
	}
}
