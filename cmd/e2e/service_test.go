package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

func TestR01_PlatformTenantIsRandomStableAndNeverZero(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	first, err := p.core.PlatformInfo(t.Context())
	must(t, err)
	if first.TenantID == uuid.Nil || first.TenantID.Version() != 4 || first.Slug != "platform" {
		t.Errorf("the platform tenant is %s %q", first.TenantID, first.Slug)
	}
	again, created, err := p.core.Bootstrap(t.Context(), operator, core.BootstrapInput{})
	must(t, err)
	if created || again.TenantID != first.TenantID {
		t.Errorf("a second bootstrap made %s, created=%v", again.TenantID, created)
	}
	p.restart()
	later, err := p.core.PlatformInfo(t.Context())
	must(t, err)
	if later.TenantID != first.TenantID {
		t.Errorf("after a restart the platform tenant is %s", later.TenantID)
	}
	other, err := newPlatform(t).core.PlatformInfo(t.Context())
	must(t, err)
	if other.TenantID == first.TenantID {
		t.Error("two platforms have the same tenant id")
	}
}

func TestR03_ReservedSlugIsThePlatformsAlone(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	before, err := p.core.Tenants(t.Context())
	must(t, err)
	for _, slug := range []string{"platform", "PLATFORM", "gateway", "agent-gateway", "ca", "admin", "root", "system", "localhost", "p1atform", "plаtform"} {
		_, err := p.core.CreateTenant(t.Context(), operator, core.TenantInput{Slug: slug})
		wantCode(t, err, codes.InvalidArgument, "")
	}
	after, err := p.core.Tenants(t.Context())
	must(t, err)
	if len(after) != len(before) || len(after) != 1 || !after[0].IsPlatform || after[0].Slug != "platform" {
		t.Errorf("the tenants are %+v", after)
	}
}

func TestR05_HelloRecordsTheServiceUnderItsCertificatesTenant(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme := p.tenant("acme")
	p.tenant("globex")
	e := p.onboard("acme", "HQ Sync")
	if e.service.Status != core.StatusOffline || e.service.Type != core.ServiceOnPrem {
		t.Errorf("onboarded as %s, %s", e.service.Type, e.service.Status)
	}
	answer := e.hello()
	if !answer.GetAccepted() || answer.GetTenantId() != acme.ID.String() || answer.GetTenantSlug() != "acme" || answer.GetHeartbeatIntervalSec() != 30 {
		t.Errorf("answered %v", answer)
	}
	service, err := p.core.Service(t.Context(), "acme", "hq-sync")
	must(t, err)
	if service.Status != core.StatusOnline || service.Version != "1.2.3" || service.Hostname != "edge-host" || service.FirstHelloAt.IsZero() {
		t.Errorf("recorded %+v", service)
	}
	elsewhere, err := p.core.Services(t.Context(), "globex", false)
	must(t, err)
	if len(elsewhere) != 0 {
		t.Errorf("another tenant shows %+v", elsewhere)
	}
}

func TestR05_RemovedServiceIsNotBroughtBackByHello(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	must(t, p.core.RemoveService(t.Context(), operator, "acme", "hq"))
	_, err := e.client().Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq"})
	if err == nil {
		t.Fatal("a removed service was accepted")
	}
	services, err := p.core.Services(t.Context(), "acme", false)
	must(t, err)
	if len(services) != 0 {
		t.Errorf("it shows again: %+v", services)
	}
}

func TestR06_HeartbeatsDecideOnlineOfflineAndDegraded(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	status := func() core.Status {
		service, err := p.core.Service(t.Context(), "acme", "hq")
		must(t, err)
		return service.Status
	}
	if got := status(); got != core.StatusOffline {
		t.Errorf("before Hello it is %s", got)
	}
	e.hello()
	if got := status(); got != core.StatusOnline {
		t.Errorf("after Hello it is %s", got)
	}
	p.clock.pass(119 * time.Second)
	if got := status(); got != core.StatusOnline {
		t.Errorf("after 119 s it is %s", got)
	}
	p.clock.pass(2 * time.Second)
	if got := status(); got != core.StatusOffline {
		t.Errorf("after 121 s without a heartbeat it is %s", got)
	}
	before := p.clock.now()
	must(t, e.heartbeat())
	service, err := p.core.Service(t.Context(), "acme", "hq")
	must(t, err)
	if service.Status != core.StatusOnline || service.LastHeartbeatAt.Before(before.Add(-time.Second)) {
		t.Errorf("after a heartbeat it is %s, last heard %s", service.Status, service.LastHeartbeatAt)
	}
	source := p.source("acme", "lab", "hq")
	report := payload.RunReport{SourceID: source.ID.String(), RunID: "run-1", StartedAt: p.clock.now(), FinishedAt: p.clock.now(), Result: payload.ResultFailed, Error: "no route"}
	must(t, e.heartbeat(payload.Health{Sources: []payload.RunReport{report}}))
	if got := status(); got != core.StatusDegraded {
		t.Errorf("with a failing source it is %s", got)
	}
	report.RunID, report.Result, report.Error = "run-2", payload.ResultSuccess, ""
	p.clock.pass(time.Second)
	report.FinishedAt = p.clock.now()
	must(t, e.heartbeat(payload.Health{Sources: []payload.RunReport{report}}))
	if got := status(); got != core.StatusOnline {
		t.Errorf("after the source recovered it is %s", got)
	}
}

func TestR23_TenantIdentityIsRefusedPlatformOperationsAndThatIsKept(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme, globex := p.tenant("acme"), p.tenant("globex")
	e := p.onboard("acme", "hq")
	e.hello()
	victim := p.onboard("globex", "hq")
	victim.hello()
	theirs := p.source("globex", "lab", "hq")
	err := e.push(stream{tenant: globex, source: theirs.ID, runID: "r1", chunks: [][]payload.Update{{update(theirs.ID, "1", "", "10.0.0.1")}}})
	wantCode(t, err, codes.PermissionDenied, "not assigned")
	if n := p.count("globex") + p.count("acme"); n != 0 {
		t.Errorf("%d devices were stored", n)
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "security."})
	must(t, err)
	found := false
	for _, event := range events {
		found = found || strings.Contains(event.Actor.Name, "/acme/default/hq")
	}
	if !found {
		t.Errorf("no security event names who tried: %+v", events)
	}
	_ = acme
}
