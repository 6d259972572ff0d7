package e2e_test

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

const canary = "canary-9f27c1-secret"

func (p *platform) armis(tenant, name, service string) core.SourceView {
	p.t.Helper()
	source, err := p.core.CreateSource(p.t.Context(), operator, core.SourceInput{
		Tenant: tenant, Service: service, Credentials: map[string][]byte{payload.CredentialSecretKey: []byte(canary)},
		Spec: core.SourceSpec{Name: name, Type: payload.TypeArmis, Endpoint: "https://armis.example.com"},
	})
	must(p.t, err)
	return source
}

func TestR08_SourceNeedsAServiceThatCanRunIt(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	create := func(name, service string) error {
		_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{
			Tenant: "acme", Service: service, Spec: core.SourceSpec{Name: name, Type: payload.TypeFaker},
		})
		return err
	}
	wantCode(t, create("lab", ""), codes.FailedPrecondition, "edgesync onboard --tenant acme")
	saas := p.saas()
	wantCode(t, create("lab", ""), codes.FailedPrecondition, "edgesync onboard")
	saas.hello()
	must(t, create("lab", "")) // The platform's service has said Hello and is the only one.
	p.onboard("acme", "hq")
	wantCode(t, create("lab-2", ""), codes.InvalidArgument, "hq")
	must(t, create("lab-2", "hq"))
	wantCode(t, create("lab-3", "nobody"), codes.NotFound, "nobody")

	_, err := p.core.CreateTenant(t.Context(), operator, core.TenantInput{Slug: "apart", NoPlatformSync: true})
	must(t, err)
	_, err = p.core.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "apart", Spec: core.SourceSpec{Name: "lab", Type: payload.TypeFaker}})
	wantCode(t, err, codes.FailedPrecondition, "edgesync onboard --tenant apart")
	_, err = p.core.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "apart", Service: "hq", Spec: core.SourceSpec{Name: "lab", Type: payload.TypeFaker}})
	if err == nil {
		t.Error("another tenant's service was taken")
	}
}

func TestR10_CredentialsAreSealedAndReachOnlyTheServiceAssigned(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	hq, branch, stranger := p.onboard("acme", "hq"), p.onboard("acme", "branch"), p.onboard("globex", "hq")
	for _, e := range []*edge{hq, branch, stranger} {
		e.hello()
	}
	source := p.armis("acme", "main", "hq")
	if len(source.Credentials) != 0 && bytes.Contains(source.Credentials[payload.CredentialSecretKey], []byte(canary)) {
		t.Error("the answer to an operator holds the credential")
	}
	for path, data := range files(t, p.dir) {
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%s holds the credential in clear", path)
		}
	}
	config, _ := hq.getConfig()
	if got := config.Sources["main"].Credentials[payload.CredentialSecretKey]; got != canary {
		t.Errorf("the assigned service got %q", got)
	}
	for _, e := range []*edge{branch, stranger} {
		if config, _ := e.getConfig(); len(config.Sources) != 0 {
			t.Errorf("%s of %s got %+v", e.component, e.service.Tenant.Slug, config.Sources)
		}
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme"})
	must(t, err)
	for _, event := range events {
		for _, value := range event.Details {
			if value == canary {
				t.Errorf("event %s holds the credential", event.Type)
			}
		}
	}
}

func TestR11_EveryChangeOfASourceLeavesAnEvent(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.onboard("acme", "hq")
	source := p.source("acme", "lab", "hq")
	_, err := p.core.SetSourceEnabled(t.Context(), operator, "acme", "lab", false)
	must(t, err)
	_, err = p.core.SetSourceEnabled(t.Context(), operator, "acme", "lab", true)
	must(t, err)
	_, err = p.core.UpdateSource(t.Context(), operator, core.SourceUpdate{
		Tenant: "acme", Source: "lab", Spec: core.SourceSpec{Name: "lab", Type: payload.TypeFaker, DiscoveryInterval: time.Hour},
	})
	must(t, err)
	must(t, p.core.RemoveSource(t.Context(), operator, "acme", "lab"))
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "source."})
	must(t, err)
	var types []string
	for _, event := range events {
		types = append(types, event.Type)
		if event.SourceID != source.ID || event.Actor != operator || event.Tenant.Slug != "acme" {
			t.Errorf("event %s names source %s, actor %+v, tenant %s", event.Type, event.SourceID, event.Actor, event.Tenant.Slug)
		}
	}
	want := []string{"source.created", "source.disabled", "source.enabled", "source.updated", "source.removed"}
	if len(types) != len(want) {
		t.Fatalf("the events are %v, want %v", types, want)
	}
	for i := range want {
		if types[i] != want[i] {
			t.Errorf("event %d is %s, want %s", i, types[i], want[i])
		}
	}
}

func TestR12_SourceShowsWhatItsRunsCameTo(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	source := p.source("acme", "lab", "hq")
	stats := func() core.SourceStats {
		view, err := p.core.Source(t.Context(), "acme", "lab")
		must(t, err)
		return view.Stats
	}
	if got := stats(); !got.LastSyncAt.IsZero() || got.LastResult != "" || got.TotalSyncs != 0 {
		t.Errorf("before any run it shows %+v", got)
	}
	report := func(run, result, message string, devices int64) {
		p.clock.pass(time.Second)
		r := payload.RunReport{SourceID: source.ID.String(), RunID: run, StartedAt: p.clock.now(), FinishedAt: p.clock.now(), Result: result, Error: message, Devices: devices}
		for range 3 { // A heartbeat whose answer was lost is sent again.
			must(t, e.heartbeat(payload.Health{Sources: []payload.RunReport{r}}))
		}
	}
	report("run-1", payload.ResultFailed, "no route to host", 0)
	report("run-2", payload.ResultTimeout, "took too long", 0)
	if got := stats(); got.LastResult != "timeout" || got.LastError != "took too long" || got.ConsecutiveFailures != 2 || got.TotalSyncs != 2 {
		t.Errorf("after two failures it shows %+v", got)
	}
	must(t, e.push(stream{source: source.ID, runID: "run-3", mode: payload.ModeSnapshot, chunks: [][]payload.Update{
		{update(source.ID, "1", "", "10.0.0.1")}, {update(source.ID, "2", "", "10.0.0.2")},
	}}))
	report("run-3", payload.ResultSuccess, "", 2)
	got := stats()
	if got.LastResult != "success" || got.LastError != "" || got.ConsecutiveFailures != 0 || got.TotalSyncs != 3 || got.LastDeviceCount != 2 {
		t.Errorf("after a success it shows %+v", got)
	}
	if age := p.clock.now().Sub(got.LastSyncAt); age < 0 || age > time.Minute {
		t.Errorf("last_sync_at is %s", got.LastSyncAt)
	}
}

func TestR14_PlatformServiceGetsWhatIsAssignedToItOfEveryTenant(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme, globex := p.tenant("acme"), p.tenant("globex")
	saas := p.saas()
	saas.hello()
	hq := p.onboard("acme", "hq")
	hq.hello()
	mine, theirs := p.source("acme", "lab", saas.service.Name), p.source("globex", "lab", saas.service.Name)
	p.source("acme", "edge-only", "hq")
	config, _ := saas.getConfig()
	if config.Scope != payload.ScopePlatform || len(config.Sources) != 2 {
		t.Fatalf("the platform's configuration is %+v", config)
	}
	for name, want := range map[string]struct {
		tenant core.Tenant
		source core.SourceView
	}{"acme/lab": {acme, mine}, "globex/lab": {globex, theirs}} {
		got := config.Sources[name]
		if got.TenantID != want.tenant.ID.String() || got.TenantSlug != want.tenant.Slug || got.IntegrationSourceID != want.source.ID.String() {
			t.Errorf("%s is %+v", name, got)
		}
		must(t, saas.push(stream{tenant: want.tenant, source: want.source.ID, runID: "r-" + want.tenant.Slug, chunks: [][]payload.Update{
			{update(want.source.ID, "1", "00:11:22:33:44:55", "10.0.0.1")},
		}}))
	}
	// The same MAC, native id and address in two tenants are two devices.
	if a, b := p.count("acme"), p.count("globex"); a != 1 || b != 1 {
		t.Errorf("acme has %d devices and globex %d", a, b)
	}
}

func TestR14_PlatformServiceMayNotPushForATenantThatAssignedItNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	acme := p.tenant("acme")
	saas := p.saas()
	saas.hello()
	hq := p.onboard("acme", "hq")
	hq.hello()
	source := p.source("acme", "lab", "hq")
	err := saas.push(stream{tenant: acme, source: source.ID, runID: "r1", chunks: [][]payload.Update{{update(source.ID, "1", "", "10.0.0.1")}}})
	wantCode(t, err, codes.PermissionDenied, "not assigned")
	if n := p.count("acme"); n != 0 {
		t.Errorf("%d devices were stored", n)
	}
}

func TestR15_EdgeServiceGetsOnlyItsOwnSources(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	hq, branch, stranger := p.onboard("acme", "hq"), p.onboard("acme", "branch"), p.onboard("globex", "far")
	for _, e := range []*edge{hq, branch, stranger} {
		e.hello()
	}
	p.source("acme", "lab", "hq")
	p.source("acme", "yard", "branch")
	p.source("globex", "dock", "far")
	config, _ := hq.getConfig()
	if _, ok := config.Sources["lab"]; !ok || len(config.Sources) != 1 || config.Scope != payload.ScopeTenant {
		t.Errorf("hq got %+v", config)
	}
	for _, sibling := range []string{"branch", "far"} {
		_, err := hq.client().GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: sibling})
		wantCode(t, err, codes.PermissionDenied, "agent_id")
	}
}

func TestR16_ConfigVersionDependsOnContentOnly(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	_, empty := e.getConfig()
	p.source("acme", "lab", "hq")
	_, one := e.getConfig()
	if one == empty {
		t.Error("a new source left the version")
	}
	answer, err := e.client().GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: "hq", ConfigVersion: one})
	must(t, err)
	if !answer.GetNotModified() || len(answer.GetConfigJson()) != 0 {
		t.Errorf("an unchanged version was answered with %d bytes", len(answer.GetConfigJson()))
	}
	p.restart()
	if _, version := e.getConfig(); version != one {
		t.Error("a restart changed the version")
	}
	must(t, p.core.RemoveSource(t.Context(), operator, "acme", "lab"))
	if _, version := e.getConfig(); version != empty {
		t.Error("equal content has another version")
	}
}
