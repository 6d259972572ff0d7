package core_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

func TestOnboardRecordsAServiceAndSignsItsIdentity(t *testing.T) {
	w := bootstrapped(t)
	tenant := w.tenant("acme")
	done, err := w.Onboard(t.Context(), operator, core.OnboardInput{
		Tenant: "acme", Name: "HQ Sync", Partition: "berlin", CSR: csr(t), GatewayAddr: "gw.example.com:443",
	})
	if err != nil {
		t.Fatal(err)
	}
	peer := w.peer(done.Certificate)
	if peer.TenantID != tenant.ID || peer.Component != "hq-sync" || peer.Partition != "berlin" || peer.Type != certs.TypeSync || peer.Class != certs.ClassTenant {
		t.Errorf("identity is %+v", peer.Identity)
	}
	s := done.Service
	if s.Name != "HQ Sync" || s.Type != core.ServiceOnPrem || s.Status != core.StatusOffline || s.CertSerial != peer.Serial || !s.CertExpiresAt.Equal(peer.NotAfter) {
		t.Errorf("service is %+v", s)
	}
	if done.GatewayAddr != "gw.example.com:443" || done.GatewayServerName != "agent-gateway.edgesync.local" || done.CAURL != "https://localhost:9443" {
		t.Errorf("it is to connect to %+v", done)
	}
	if !hasEvent(w.events("acme", "service."), "service.onboarded") {
		t.Error("no event of it")
	}
}

func TestOnboardRefusesBadInput(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	good := csr(t)
	for name, test := range map[string]struct {
		in   core.OnboardInput
		code codes.Code
	}{
		"no tenant":        {core.OnboardInput{Name: "x", CSR: good}, codes.InvalidArgument},
		"unknown tenant":   {core.OnboardInput{Tenant: "nobody", Name: "x", CSR: good}, codes.NotFound},
		"no name":          {core.OnboardInput{Tenant: "acme", CSR: good}, codes.InvalidArgument},
		"nameless name":    {core.OnboardInput{Tenant: "acme", Name: "!!!", CSR: good}, codes.InvalidArgument},
		"name controls":    {core.OnboardInput{Tenant: "acme", Name: "a\rb", CSR: good}, codes.InvalidArgument},
		"id as a name":     {core.OnboardInput{Tenant: "acme", Name: "123e4567-e89b-42d3-a456-426614174000", CSR: good}, codes.InvalidArgument},
		"partition":        {core.OnboardInput{Tenant: "acme", Name: "x", Partition: "A/B", CSR: good}, codes.InvalidArgument},
		"long names":       {core.OnboardInput{Tenant: "acme", Name: strings.Repeat("x", 60), CSR: good}, codes.InvalidArgument},
		"gateway":          {core.OnboardInput{Tenant: "acme", Name: "x", GatewayAddr: "http://gw", CSR: good}, codes.InvalidArgument},
		"no csr":           {core.OnboardInput{Tenant: "acme", Name: "x"}, codes.InvalidArgument},
		"csr":              {core.OnboardInput{Tenant: "acme", Name: "x", CSR: []byte("nonsense")}, codes.InvalidArgument},
		"platform's other": {core.OnboardInput{Tenant: "platform", Name: "edge", CSR: good}, codes.FailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Onboard(t.Context(), operator, test.in)
			wantCode(t, err, test.code)
		})
	}
	if services, err := w.Services(t.Context(), "acme", false); err != nil || len(services) != 0 {
		t.Errorf("services after refusals: %v, %v", services, err)
	}
}

func TestOnboardAgainReplacesTheIdentity(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	first := w.onboard("acme", "hq")
	w.hello(first)
	id := w.service("acme", "hq").ID
	second := w.onboard("acme", "hq")
	wantCode(t, w.Admit(t.Context(), first), codes.PermissionDenied)
	if err := w.Admit(t.Context(), second); err != nil {
		t.Errorf("admit the new identity: %v", err)
	}
	if got := w.service("acme", "hq"); got.ID != id {
		t.Errorf("the service has another id")
	}
	w.reopen()
	wantCode(t, w.Admit(t.Context(), first), codes.PermissionDenied)
	_, err := w.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "H Q", CSR: csr(t)})
	if err != nil {
		t.Fatal(err) // h-q is another component.
	}
	_, err = w.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "Hq!", CSR: csr(t)})
	wantCode(t, err, codes.AlreadyExists)
}

func TestOnboardByANewNameKeepsTheComponent(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.onboard("acme", "hq")
	if _, err := w.RenameService(t.Context(), operator, "acme", "hq", "Head Office"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Head Office", "hq"} {
		if peer := w.onboard("acme", name); peer.Component != "hq" {
			t.Errorf("onboarding %q made the component %s", name, peer.Component)
		}
	}
	if got := w.service("acme", "hq"); got.Name != "Head Office" {
		t.Errorf("the service is called %q", got.Name)
	}
}

func TestRevokedAndRemovedServicesAreNotAdmitted(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.onboard("acme", "hq")
	w.hello(peer)
	if got, err := w.RevokeService(t.Context(), operator, "acme", "hq"); err != nil || got.State != core.ServiceRevoked || got.Status != core.StatusOffline {
		t.Fatalf("revoke: %+v, %v", got, err)
	}
	refused := func(peer certs.Peer) {
		t.Helper()
		wantCode(t, w.Admit(t.Context(), peer), codes.PermissionDenied)
		_, err := w.Hello(t.Context(), peer, &monitoring.AgentHelloRequest{})
		wantCode(t, err, codes.PermissionDenied)
		_, err = w.Config(t.Context(), peer, &monitoring.AgentConfigRequest{})
		wantCode(t, err, codes.PermissionDenied)
		wantCode(t, w.Status(t.Context(), peer, nil), codes.PermissionDenied)
		wantCode(t, w.ingest(peer, payload.Stream{}, nil), codes.PermissionDenied)
	}
	refused(peer)
	if err := w.RemoveService(t.Context(), operator, "acme", "hq"); err != nil {
		t.Fatal(err)
	}
	refused(peer)
	_, err := w.Service(t.Context(), "acme", "hq")
	wantCode(t, err, codes.NotFound)
	again := w.onboard("acme", "hq")
	w.hello(again)
	refused(peer)
}

func TestARevocationElsewhereEndsALiveStreamWithinASecond(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.onboard("acme", "hq")
	w.hello(peer)
	other, err := w.open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Admit(t.Context(), peer); err != nil {
		t.Fatal(err)
	}
	if _, err := other.RevokeService(t.Context(), operator, "acme", "hq"); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Second)
	wantCode(t, w.Admit(t.Context(), peer), codes.PermissionDenied)
}

func TestRemoveServiceIsRefusedWhileSourcesAreAssigned(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.onboard("acme", "hq")
	w.source("acme", "armis", "hq")
	wantCode(t, w.RemoveService(t.Context(), operator, "acme", "hq"), codes.FailedPrecondition)
	wantCode(t, w.RemoveService(t.Context(), operator, "platform", core.PlatformSyncName), codes.FailedPrecondition)
	if err := w.RemoveSource(t.Context(), operator, "acme", "armis"); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveService(t.Context(), operator, "acme", "hq"); err != nil {
		t.Error(err)
	}
}

func TestRenameService(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.onboard("acme", "hq")
	w.onboard("acme", "branch")
	_, err := w.RenameService(t.Context(), operator, "acme", "hq", "branch")
	wantCode(t, err, codes.AlreadyExists)
	_, err = w.RenameService(t.Context(), operator, "acme", "hq", "x\x00y")
	wantCode(t, err, codes.InvalidArgument)
	_, err = w.RenameService(t.Context(), operator, "acme", "nobody", "x")
	wantCode(t, err, codes.NotFound)
}

func TestStatusFollowsHeartbeatsAndSources(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.onboard("acme", "hq")
	want := func(status core.Status) {
		t.Helper()
		if got := w.service("acme", "hq"); got.Status != status {
			t.Errorf("status %s, want %s", got.Status, status)
		}
		list, err := w.Services(t.Context(), "acme", false)
		if err != nil || len(list) != 1 || list[0].Status != status {
			t.Errorf("listed as %+v, %v", list, err)
		}
	}
	want(core.StatusOffline)
	w.hello(peer)
	want(core.StatusOnline)
	w.clock.advance(core.DefaultOfflineAfter - time.Second)
	want(core.StatusOnline)
	w.clock.advance(time.Second)
	want(core.StatusOffline)
	w.heartbeat(peer)
	want(core.StatusOnline)
	source := w.source("acme", "armis", "hq")
	report := payload.RunReport{SourceID: source.ID.String(), RunID: "r1", Result: payload.ResultFailed, FinishedAt: w.clock.Now(), Error: "refused"}
	w.heartbeat(peer, report)
	want(core.StatusDegraded)
	if _, err := w.SetSourceEnabled(t.Context(), operator, "acme", "armis", false); err != nil {
		t.Fatal(err)
	}
	want(core.StatusOnline)
}

func TestHelloRecordsWhatAServiceSays(t *testing.T) {
	w := bootstrapped(t)
	tenant := w.tenant("acme")
	peer := w.onboard("acme", "hq")
	answer := w.hello(peer)
	if !answer.Accepted || answer.AgentId != "hq" || answer.TenantId != tenant.ID.String() || answer.TenantSlug != "acme" ||
		answer.HeartbeatIntervalSec != 30 || answer.ServerTime != w.clock.Now().Unix() || !answer.ConfigOutdated {
		t.Errorf("answer is %+v", answer)
	}
	s := w.service("acme", "hq")
	if s.Version != "1.2.3" || s.Hostname != "edge-1" || s.OS != "linux" || s.Arch != "amd64" ||
		!slices.Equal(s.Capabilities, []string{"sync"}) || !s.FirstHelloAt.Equal(w.clock.Now()) || !s.LastHeartbeatAt.Equal(w.clock.Now()) {
		t.Errorf("service is %+v", s)
	}
	_, err := w.Hello(t.Context(), peer, &monitoring.AgentHelloRequest{
		Hostname: "evil\x1b]0;x\a\u202e" + strings.Repeat("y", 1000), Version: "\xff\xfe", Capabilities: slices.Repeat([]string{"c"}, 1000),
	})
	if err != nil {
		t.Fatal(err)
	}
	s = w.service("acme", "hq")
	if strings.ContainsAny(s.Hostname, "\x1b\a\u202e") || len(s.Hostname) > 256 || s.Version != "" || len(s.Capabilities) > 64 {
		t.Errorf("service keeps %q %q %d", s.Hostname, s.Version, len(s.Capabilities))
	}
}

func TestHelloOverAndOverLeavesOneEvent(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.onboard("acme", "hq")
	for range 10 {
		w.hello(peer)
		w.clock.advance(time.Second)
	}
	if events := w.events("acme", "service.hello"); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
}

func TestHelloRecordsAServiceThatIsNotKnownYet(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.onboard("acme", "hq")
	peer.Component, peer.Serial = "stranger", "4711"
	_, err := w.Config(t.Context(), peer, &monitoring.AgentConfigRequest{})
	wantCode(t, err, codes.FailedPrecondition)
	w.hello(peer)
	if s := w.service("acme", "stranger"); s.Type != core.ServiceOnPrem || s.CertSerial != "4711" || s.Status != core.StatusOnline {
		t.Errorf("service is %+v", s)
	}
}

func TestPlatformClassIsThePlatformsOwnServiceOnly(t *testing.T) {
	w := bootstrapped(t)
	tenant := w.tenant("acme")
	peer := w.platformSync()
	if answer := w.hello(peer); answer.TenantSlug != "platform" {
		t.Errorf("answer is %+v", answer)
	}
	stranger := peer
	stranger.Component = "other"
	wantCode(t, w.Admit(t.Context(), stranger), codes.PermissionDenied)
	posing := peer
	posing.Class = certs.ClassTenant
	wantCode(t, w.Admit(t.Context(), posing), codes.PermissionDenied)
	posing = peer
	posing.TenantID = tenant.ID
	wantCode(t, w.Admit(t.Context(), posing), codes.PermissionDenied)
	gateway := peer
	gateway.Type = certs.TypeGateway
	wantCode(t, w.Admit(t.Context(), gateway), codes.PermissionDenied)
}

func TestHeartbeatsInParallelAreAllTrue(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	var peers []certs.Peer
	for _, name := range []string{"a", "b", "c", "d"} {
		peer := w.onboard("acme", name)
		w.hello(peer)
		peers = append(peers, peer)
	}
	w.clock.advance(time.Minute)
	done := make(chan error)
	for _, peer := range peers {
		for range 5 {
			go func() { done <- w.Status(background, peer, nil) }()
		}
	}
	for range 5 * len(peers) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, peer := range peers {
		if s := w.service("acme", peer.Component); !s.LastHeartbeatAt.Equal(w.clock.Now()) {
			t.Errorf("%s was last heard at %s", s.Name, s.LastHeartbeatAt)
		}
	}
}

func TestAnEndedIdentityFailsTheHandshakeOnceItWasSeen(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	first, err := w.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "hq", CSR: csr(t)})
	if err != nil {
		t.Fatal(err)
	}
	old := w.peer(first.Certificate)
	w.onboard("acme", "hq")
	w.reopen()
	wantCode(t, w.Admit(t.Context(), old), codes.PermissionDenied)
	var refusal *certs.Refusal
	if _, err := w.Issuers().Identify(chain(t, first.Certificate.ChainPEM), w.clock.Now()); !errors.As(err, &refusal) || refusal.Reason != certs.ReasonRevoked {
		t.Errorf("identify: %v, want %s", err, certs.ReasonRevoked)
	}
}

func TestAnIdentityIssuedElsewhereIsAdmittedAtOnce(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	first := w.onboard("acme", "hq")
	other, err := w.open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Admit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := w.onboard("acme", "hq")
	if err := other.Admit(t.Context(), second); err != nil {
		t.Errorf("admit: %v", err)
	}
}
