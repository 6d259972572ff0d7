package e2e_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/faker"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/payload"
)

// TestSourceIsTestedBeforeItIsSaved tests what nothing is recorded of, where it
// would run, and a change that is not made.
func TestSourceIsTestedBeforeItIsSaved(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	world := newSystems(t, faker.Options{Armis: 60, NetBox: 20, Seed: 1})
	e := p.onboard("acme", "hq")
	client := p.admin()
	request := func(secret string) *adminv1.TestSourceRequest {
		return &adminv1.TestSourceRequest{
			Tenant: "acme", Spec: &adminv1.SourceSpec{Name: "main", SourceType: payload.TypeArmis, Endpoint: world.URL},
			Credentials: map[string][]byte{payload.CredentialSecretKey: []byte(secret)},
		}
	}
	_, err := client.TestSource(t.Context(), request(faker.DemoSecret))
	wantCode(t, err, codes.Unavailable, "offline")

	e.start(nil)
	eventually(t, "the service", func() bool {
		service, err := p.core.Service(t.Context(), "acme", "hq")
		must(t, err)
		return service.ConfigVersion != ""
	})
	good, err := client.TestSource(t.Context(), request(faker.DemoSecret))
	must(t, err)
	if !good.GetOk() || good.GetTotal() != 60 || len(good.GetSamples()) != payload.MaxSamples {
		t.Errorf("a good one was tested as %v", good)
	}
	bad, err := client.TestSource(t.Context(), request(canary))
	must(t, err)
	if bad.GetOk() || bad.GetReason() != "token" || strings.Contains(bad.String(), canary) {
		t.Errorf("a wrong key was tested as %v", bad)
	}
	missing := request("")
	_, err = client.TestSource(t.Context(), missing)
	wantCode(t, err, codes.InvalidArgument, payload.CredentialSecretKey)
	elsewhere := request(faker.DemoSecret)
	elsewhere.Tenant, elsewhere.Service = "globex", "hq"
	_, err = client.TestSource(t.Context(), elsewhere)
	wantCode(t, err, codes.NotFound, "globex")

	// A change is tested with the credentials there are.
	stored := p.armisAt("acme", "main", "hq", "http://127.0.0.1:1")
	change := request("")
	change.Source, change.Credentials = "main", nil
	changed, err := client.TestSource(t.Context(), change)
	must(t, err)
	if !changed.GetOk() || changed.GetTotal() != 60 {
		t.Errorf("the change was tested as %v", changed)
	}
	now, err := p.core.Source(t.Context(), "acme", "main")
	must(t, err)
	if now.Endpoint != stored.Endpoint || p.count("acme") != 0 {
		t.Errorf("the test left %+v and %d devices", now, p.count("acme"))
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "source.tested"})
	must(t, err)
	for _, event := range events {
		if !strings.Contains(event.Message, "before it is saved") || strings.Contains(event.Message, canary) {
			t.Errorf("the event is %+v", event)
		}
	}
	if len(events) != 3 {
		t.Errorf("%d events", len(events))
	}
}

// TestRunsAndOutboxAreTold follows the runs of a service and what waits in its
// outbox.
func TestRunsAndOutboxAreTold(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	e := p.onboard("acme", "hq")
	e.hello()
	source := p.source("acme", "lab", "hq")
	client := p.admin()
	must(t, e.push(stream{source: source.ID, runID: "r1", chunks: [][]payload.Update{{update(source.ID, "1", "", "10.0.0.1")}}}))
	must(t, e.heartbeat(payload.Health{OutboxBytes: 7 << 20, OutboxRuns: 2, Sources: []payload.RunReport{{
		SourceID: source.ID.String(), RunID: "r2", Mode: payload.ModeSnapshot, StartedAt: p.clock.now(), FinishedAt: p.clock.now(),
		Result: payload.ResultFailed, Error: "the source answers 503",
	}}}))
	for _, request := range []*adminv1.ListRunsRequest{
		{Tenant: "acme", Service: "hq"}, {Tenant: "acme", Source: "lab"}, {Tenant: "acme"}, {},
	} {
		answer, err := client.ListRuns(t.Context(), request)
		must(t, err)
		results := map[string]*adminv1.Run{}
		for _, run := range answer.GetRuns() {
			results[run.GetId()] = run
		}
		if len(results) != 2 || results["r1"].GetReceived() != 1 || results["r1"].GetSource() != "lab" || results["r2"].GetResult() != payload.ResultFailed ||
			results["r2"].GetError() != "the source answers 503" {
			t.Errorf("%v answers %v", request, answer)
		}
	}
	for _, request := range []*adminv1.ListRunsRequest{{Tenant: "globex", Service: "hq"}, {Tenant: "globex", Source: "lab"}} {
		_, err := client.ListRuns(t.Context(), request)
		wantCode(t, err, codes.NotFound, "globex")
	}
	service, err := client.GetService(t.Context(), &adminv1.GetServiceRequest{Tenant: "acme", Service: "hq"})
	must(t, err)
	if service.GetOutboxBytes() != 7<<20 || service.GetOutboxRuns() != 2 {
		t.Errorf("of the outbox it is told %d bytes, %d runs", service.GetOutboxBytes(), service.GetOutboxRuns())
	}
	must(t, e.heartbeat())
	service, err = client.GetService(t.Context(), &adminv1.GetServiceRequest{Tenant: "acme", Service: "hq"})
	must(t, err)
	if service.GetOutboxRuns() != 0 {
		t.Error("what is delivered still waits")
	}
}
