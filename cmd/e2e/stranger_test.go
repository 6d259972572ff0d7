package e2e_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// TestSlugsPartitionsAndNamesAreOnlyLabels gives every field that becomes part of
// an identity, a schema or a file everything that is none.
func TestSlugsPartitionsAndNamesAreOnlyLabels(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	_, csr := request(t, &x509.CertificateRequest{})
	before := p.everything()
	for _, bad := range []string{
		`a"b`, "a'b", "a;b", "a.b", "../a", "a/b", `a\b`, "a b", "A", "a\x00b", "a\nb", "a%2fb", "-a", "a-", "а", "a_b", "$(id)", "'; DROP SCHEMA platform;--",
		strings.Repeat("a", 64), "platform.", ".", "..", "information_schema", "pg_catalog",
	} {
		_, err := p.core.CreateTenant(t.Context(), operator, core.TenantInput{Slug: bad})
		wantCode(t, err, codes.InvalidArgument, "")
		_, err = p.core.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "edge", Partition: bad, CSR: csr})
		wantCode(t, err, codes.InvalidArgument, "")
		_, err = p.core.MintToken(t.Context(), operator, core.TokenInput{Tenant: "acme", Name: "edge", Partition: bad})
		wantCode(t, err, codes.InvalidArgument, "")
		_, _, err = p.core.AddOperator(t.Context(), operator, core.OperatorInput{Name: bad, Role: core.RoleViewer, CSR: csr})
		wantCode(t, err, codes.InvalidArgument, "")
		// Asked for, it is just not there.
		_, err = p.core.Tenant(t.Context(), bad)
		wantCode(t, err, codes.NotFound, "")
		_, err = p.core.Service(t.Context(), "acme", bad)
		wantCode(t, err, codes.NotFound, "")
	}
	if after := p.everything(); after != before {
		t.Errorf("there were %s, there are %s", before, after)
	}
}

// TestIDsOfAnotherTenantAreAbsent has an administrator of acme name, in every
// call that takes a reference, what is globex's: it reads as what is nowhere.
func TestIDsOfAnotherTenantAreAbsent(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	refs := map[string]map[string]string{}
	for _, slug := range []string{"acme", "globex"} {
		p.tenant(slug)
		e := p.onboard(slug, "hq-"+slug)
		e.hello()
		source := p.source(slug, "lab-"+slug, "hq-"+slug)
		must(t, e.push(streamOf(source, update(source.ID, "1", "00:1b:21:00:00:0"+string("12"[len(slug)%2]), "10.0.0.1"))))
		service, err := p.core.Service(t.Context(), slug, "hq-"+slug)
		must(t, err)
		refs[slug] = map[string]string{
			"service": service.ID.String(), "service name": "hq-" + slug, "source": source.ID.String(), "source name": "lab-" + slug,
			"device": p.ids(slug)[0], "token": p.mint(slug, "next").ID,
		}
		p.operatorIdentity("op-"+slug, core.RoleViewer, slug)
	}
	client := p.administer(p.operatorIdentity("eve", core.RoleAdmin, "acme"))
	const nowhere = "00000000-0000-4000-8000-000000000000"
	absent := map[string]string{
		"service": nowhere, "service name": "nothing", "source": nowhere, "source name": "nothing", "device": "sr:" + nowhere, "token": nowhere,
	}
	ctx := t.Context()
	for _, call := range []struct {
		name, ref string
		make      func(ref string) error
	}{
		{"GetService", "service", func(ref string) error {
			_, err := client.GetService(ctx, &adminv1.GetServiceRequest{Tenant: "acme", Service: ref})
			return err
		}},
		{"RenameService", "service", func(ref string) error {
			_, err := client.RenameService(ctx, &adminv1.RenameServiceRequest{Tenant: "acme", Service: ref, Name: "mine"})
			return err
		}},
		{"RevokeService", "service", func(ref string) error {
			_, err := client.RevokeService(ctx, &adminv1.RevokeServiceRequest{Tenant: "acme", Service: ref})
			return err
		}},
		{"RemoveService", "service", func(ref string) error {
			_, err := client.RemoveService(ctx, &adminv1.RemoveServiceRequest{Tenant: "acme", Service: ref})
			return err
		}},
		{"GetSource", "source", func(ref string) error {
			_, err := client.GetSource(ctx, &adminv1.GetSourceRequest{Tenant: "acme", Source: ref})
			return err
		}},
		{"SetSourceEnabled", "source", func(ref string) error {
			_, err := client.SetSourceEnabled(ctx, &adminv1.SetSourceEnabledRequest{Tenant: "acme", Source: ref})
			return err
		}},
		{"RemoveSource", "source", func(ref string) error {
			_, err := client.RemoveSource(ctx, &adminv1.RemoveSourceRequest{Tenant: "acme", Source: ref})
			return err
		}},
		{"SyncNow", "source", func(ref string) error {
			answers, err := client.SyncNow(ctx, &adminv1.SyncNowRequest{Tenant: "acme", Source: ref})
			if err == nil {
				_, err = answers.Recv()
			}
			return err
		}},
		{"TestSource", "source", func(ref string) error {
			_, err := client.TestSource(ctx, &adminv1.TestSourceRequest{Tenant: "acme", Source: ref})
			return err
		}},
		{"ReleaseRetractions", "source", func(ref string) error {
			_, err := client.ReleaseRetractions(ctx, &adminv1.SettleRetractionsRequest{Tenant: "acme", Source: ref})
			return err
		}},
		{"GetDevice", "device", func(ref string) error {
			_, err := client.GetDevice(ctx, &adminv1.GetDeviceRequest{Tenant: "acme", Id: ref})
			return err
		}},
		{"ExplainDevice", "device", func(ref string) error {
			_, err := client.ExplainDevice(ctx, &adminv1.GetDeviceRequest{Tenant: "acme", Id: ref})
			return err
		}},
		{"MergeDevices", "device", func(ref string) error {
			_, err := client.MergeDevices(ctx, &adminv1.MergeDevicesRequest{Tenant: "acme", Ids: []string{refs["acme"]["device"], ref}})
			return err
		}},
		{"CancelJoinToken", "token", func(ref string) error {
			_, err := client.CancelJoinToken(ctx, &adminv1.CancelJoinTokenRequest{Tenant: "acme", Id: ref})
			return err
		}},
		{"RevokeOperator", "", func(ref string) error {
			_, err := client.RevokeOperator(ctx, &adminv1.RevokeOperatorRequest{Name: ref})
			return err
		}},
	} {
		kinds := map[string]string{}
		for kind, none := range absent {
			if strings.HasPrefix(kind, call.ref) && call.ref != "" {
				kinds[refs["globex"][kind]] = none
			}
		}
		if call.ref == "" {
			kinds["op-globex"] = "nobody"
		}
		for theirs, none := range kinds {
			hidden, missing := call.make(theirs), call.make(none)
			if status.Code(hidden) != codes.NotFound || status.Code(missing) != codes.NotFound {
				t.Errorf("%s of globex's %s: %v; of what is nowhere: %v", call.name, theirs, hidden, missing)
				continue
			}
			if a, b := strings.ReplaceAll(hidden.Error(), theirs, "REF"), strings.ReplaceAll(missing.Error(), none, "REF"); a != b {
				t.Errorf("%s: globex's reads %q, what is nowhere %q", call.name, a, b)
			}
		}
	}
	service, err := p.core.Service(ctx, "globex", "hq-globex")
	must(t, err)
	source, err := p.core.Source(ctx, "globex", "lab-globex")
	must(t, err)
	if service.State != core.ServiceActive || !source.Enabled || p.count("globex") != 1 {
		t.Errorf("globex has %+v and %+v", service, source)
	}
}
