package gateway_test

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/gateway"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

func TestR21_CallsCarryTheIdentityOfTheCertificate(t *testing.T) {
	w := newWorld(t, nil)
	answer, err := w.dial(w.edge("acme", "hq-sync")).Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync", Partition: "elsewhere"})
	must(t, err)
	if answer.GetTenantId() != w.ids["acme"].String() || answer.GetTenantSlug() != "acme" {
		t.Errorf("answered %v", answer)
	}
	edge := w.platform.peers[0]
	if edge.Class != certs.ClassTenant || edge.TenantID != w.ids["acme"] || edge.Component != "hq-sync" || edge.Partition != "default" || edge.Addr == "" {
		t.Errorf("the edge service is %+v", edge)
	}
}

func TestR22_PlatformServiceIsRecognised(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.dial(w.saas()).GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: "platform-sync"})
	must(t, err)
	saas := w.platform.peers[0]
	if saas.Class != certs.ClassPlatform || saas.TenantID != w.ids["platform"] || saas.Type != certs.TypeSync {
		t.Errorf("the platform's service is %+v", saas)
	}
}

func TestAgentIDMustBeTheCertificates(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	calls := map[string]func(string) error{
		"Hello": func(id string) error {
			_, err := c.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: id})
			return err
		},
		"GetConfig": func(id string) error {
			_, err := c.GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: id})
			return err
		},
		"PushStatus": func(id string) error {
			_, err := c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: id})
			return err
		},
		"StreamStatus": func(id string) error { return send(t.Context(), c, chunk(id, 0, 1)) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, call("sibling-sync"), codes.PermissionDenied, `agent_id is not "hq-sync"`)
			wantStatus(t, call(""), codes.InvalidArgument, "agent_id is empty")
			wantStatus(t, call("HQ-SYNC"), codes.PermissionDenied, "agent_id")
			_, _, refused := w.platform.snapshot()
			if !slices.Contains(refused, "acme/hq-sync "+name+" agent_id_mismatch") {
				t.Errorf("the platform was told %v", refused)
			}
			must(t, call("hq-sync"))
		})
	}
	if chunks, complete, _ := w.platform.snapshot(); len(chunks) != 1 || complete != 1 {
		t.Errorf("stored %d chunks, %d complete runs; want the one of the good call", len(chunks), complete)
	}
	if !strings.Contains(w.logs.String(), "agent_id_mismatch") {
		t.Error("nothing was logged")
	}
}

func TestAgentIDMustNotChangeInAStream(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	wantStatus(t, send(t.Context(), c, chunk("hq-sync", 0, 3), chunk("other", 1, 3), chunk("hq-sync", 2, 3)),
		codes.InvalidArgument, "agent_id changed in chunk 1")
	wantStatus(t, send(t.Context(), c, chunk("hq-sync", 0, 2), chunk("", 1, 2)), codes.InvalidArgument, "agent_id is empty")
	if chunks, complete, _ := w.platform.snapshot(); len(chunks) != 2 || complete != 0 {
		t.Errorf("stored %d chunks, %d complete runs; want the first chunk of each and none", len(chunks), complete)
	}
}

// The certificate decides the tenant; what a request says is ignored, and told.
func TestR21_TenantInARequestIsIgnored(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	push := func(id, slug string) {
		_, err := c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: "hq-sync", TenantId: id, TenantSlug: slug})
		must(t, err)
	}
	push("", "")
	push(strings.ToUpper(w.ids["acme"].String()), "acme")
	if _, _, refused := w.platform.snapshot(); len(refused) != 0 {
		t.Errorf("the platform was told %v of its own tenant", refused)
	}
	push(w.ids["globex"].String(), "")
	push("", "globex")
	first, second := chunk("hq-sync", 0, 2), chunk("hq-sync", 1, 2)
	first.TenantId, second.TenantId = w.ids["globex"].String(), uuid.NewString()
	must(t, send(t.Context(), c, first, second))
	_, complete, refused := w.platform.snapshot()
	want := []string{"acme/hq-sync PushStatus tenant_mismatch", "acme/hq-sync PushStatus tenant_mismatch", "acme/hq-sync StreamStatus tenant_mismatch"}
	if complete != 1 || !slices.Equal(refused, want) {
		t.Errorf("%d complete runs, the platform was told %v", complete, refused)
	}
	for _, peer := range w.platform.peers {
		if peer.TenantID != w.ids["acme"] {
			t.Errorf("a call went to tenant %s", peer.Tenant)
		}
	}
	if w.platform.streams[0].TenantID != "" {
		t.Errorf("the stream names tenant %s", w.platform.streams[0].TenantID)
	}
	if n := w.metric("claims_ignored_total", "claim=tenant"); n != 3 {
		t.Errorf("counted %v, want 3", n)
	}
}

func TestPlatformServiceNamesOneTenantAStream(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.saas())
	of := func(tenant string, index, total int32) *monitoring.GatewayStatusChunk {
		message := chunk("platform-sync", index, total)
		message.TenantId = tenant
		return message
	}
	acme, globex := w.ids["acme"].String(), w.ids["globex"].String()
	must(t, send(t.Context(), c, of(acme, 0, 2), of(acme, 1, 2)))
	if got := w.platform.streams[0].TenantID; got != acme {
		t.Errorf("the stream is of tenant %q, want %s", got, acme)
	}
	wantStatus(t, send(t.Context(), c, of(acme, 0, 2), of(globex, 1, 2)), codes.InvalidArgument, "tenant_id changed in chunk 1")
	wantStatus(t, send(t.Context(), c, of(acme, 0, 2), of("", 1, 2)), codes.InvalidArgument, "tenant_id")
	wantStatus(t, send(t.Context(), c, of("", 0, 1)), codes.InvalidArgument, "tenant_id is not a tenant's UUID")
	wantStatus(t, send(t.Context(), c, of("acme", 0, 1)), codes.InvalidArgument, "tenant_id is not a tenant's UUID")
	_, complete, refused := w.platform.snapshot()
	if complete != 1 || len(refused) != 0 {
		t.Errorf("%d complete runs, the platform was told %v", complete, refused)
	}
	// An agent of the platform's is not its sync service and acts for nobody.
	agent := w.dial(leaf(t, w.platformCA, issue.Leaf{Type: certs.TypeAgent, Tenant: "platform", Partition: "default", Component: "agent"}))
	message := of(acme, 0, 1)
	message.AgentId = "agent"
	must(t, send(t.Context(), agent, message))
	if last := w.platform.streams[len(w.platform.streams)-1]; last.TenantID != "" {
		t.Errorf("an agent acts for tenant %s", last.TenantID)
	}
}

func TestOnlySyncServicesAndAgentsAreAdmitted(t *testing.T) {
	w := newWorld(t, nil)
	operator := leaf(t, w.platformCA, issue.Leaf{Type: certs.TypeOperator, Tenant: "platform", Partition: "default", Component: "alice"})
	c := w.dial(operator)
	_, err := c.GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: "alice"})
	wantStatus(t, err, codes.PermissionDenied, `"operator"`)
	wantStatus(t, send(t.Context(), c, chunk("alice", 0, 1)), codes.PermissionDenied, `"operator"`)
	_, _, refused := w.platform.snapshot()
	if !slices.Equal(refused, []string{"platform/alice GetConfig type_not_admitted", "platform/alice StreamStatus type_not_admitted"}) {
		t.Errorf("the platform was told %v", refused)
	}
}

func TestHandshakeRefusesStrangers(t *testing.T) {
	w := newWorld(t, nil)
	other := newAuthority(t)
	for name, c := range map[string]struct {
		certificate tls.Certificate
		reason      string
	}{
		"unknown issuer": {leaf(t, other, issue.Leaf{Type: certs.TypeSync, Tenant: "acme", Partition: "default", Component: "hq-sync"}), certs.ReasonUnknownIssuer},
		"server only": {leaf(t, w.platformCA, issue.Leaf{Type: certs.TypeGateway, Tenant: "platform", Partition: "default",
			Component: "agent-gateway", ServerNames: []string{serverName}}), certs.ReasonKeyUsage},
		"no certificate": {tls.Certificate{}, certs.ReasonNoCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.dial(c.certificate).Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"})
			wantStatus(t, err, codes.Unavailable, "")
			w.await("the refusal", func() bool { return w.metric("refusals_total", "reason="+c.reason) >= 1 })
		})
	}
	if len(w.platform.peers) != 0 {
		t.Errorf("%d calls came through", len(w.platform.peers))
	}
	// The client knows of the refusal before the server has counted it.
	w.await("three refused handshakes", func() bool { return w.metric("handshakes_total", "result=refused") >= 3 })
}

func newAuthority(t *testing.T) *issue.Authority {
	t.Helper()
	root, err := issue.NewRoot(trustDomain, time.Now())
	must(t, err)
	authority, err := root.NewTenantIntermediate("acme", time.Now())
	must(t, err)
	return authority
}

// A revoked certificate is refused at the handshake, and the platform learns of it.
func TestRevokedCertificateIsRefusedAndTold(t *testing.T) {
	w := newWorld(t, nil)
	certificate := w.edge("acme", "hq-sync")
	w.issuers.Revoke(w.ids["acme"], certificate.Leaf.SerialNumber.String(), time.Now().Add(time.Hour))
	_, err := w.dial(certificate).Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"})
	wantStatus(t, err, codes.Unavailable, "")
	w.await("the event", func() bool {
		_, _, refused := w.platform.snapshot()
		return slices.Contains(refused, "acme/ Connect revoked")
	})
}

// atOnce is how soon whoever is revoked is cut off, as docs promise it.
const atOnce = time.Second

func TestRemovedTenantLosesItsLiveStream(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	stream, err := c.StreamStatus(t.Context())
	must(t, err)
	must(t, stream.Send(chunk("hq-sync", 0, 3)))
	w.await("the first chunk", func() bool { chunks, _, _ := w.platform.snapshot(); return len(chunks) == 1 })
	w.issuers.RemoveTenant(w.ids["acme"])
	must(t, stream.Send(chunk("hq-sync", 1, 3)))
	begun := time.Now()
	wantStatus(t, stream.RecvMsg(&monitoring.GatewayStatusResponse{}), codes.PermissionDenied, "no longer accepted")
	if took := time.Since(begun); took > atOnce {
		t.Errorf("it took %s", took)
	}
	if chunks, complete, _ := w.platform.snapshot(); len(chunks) != 1 || complete != 0 {
		t.Errorf("stored %d chunks, %d complete runs", len(chunks), complete)
	}
	// Its connection is closed too, and a new one is refused.
	w.await("no connection", func() bool { return w.metric("connections") == 0 })
	_, err = c.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"})
	wantStatus(t, err, codes.Unavailable, "")
	_, err = w.dial(w.edge("globex", "hq-sync")).Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"})
	must(t, err)
}

// What the platform does not admit any more ends at the next message.
func TestRevokedServiceLosesItsLiveStream(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	stream, err := c.StreamStatus(t.Context())
	must(t, err)
	must(t, stream.Send(chunk("hq-sync", 0, 3)))
	w.await("the first chunk", func() bool { chunks, _, _ := w.platform.snapshot(); return len(chunks) == 1 })
	w.platform.setAdmit(func(certs.Peer) error { return status.Error(codes.PermissionDenied, "the service was revoked") })
	must(t, stream.Send(chunk("hq-sync", 1, 3)))
	wantStatus(t, stream.RecvMsg(&monitoring.GatewayStatusResponse{}), codes.PermissionDenied, "the service was revoked")
	for name, call := range map[string]func() error{
		"Hello": func() error {
			_, err := c.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"})
			return err
		},
		"PushStatus": func() error {
			_, err := c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: "hq-sync"})
			return err
		},
		"StreamStatus": func() error { return send(t.Context(), c, chunk("hq-sync", 0, 1)) },
	} {
		wantStatus(t, call(), codes.PermissionDenied, "the service was revoked")
		if chunks, _, _ := w.platform.snapshot(); len(chunks) != 1 {
			t.Errorf("%s: stored %d chunks", name, len(chunks))
		}
	}
}

// TestRevocationEndsIdleStreamsOfThePeerAlone has nobody send anything: the one
// whose identity is revoked is told so at once, the others notice nothing.
func TestRevocationEndsIdleStreamsOfThePeerAlone(t *testing.T) {
	for name, test := range map[string]struct {
		revocation certs.Revocation
		// former limits it to the old certificate.
		former bool
		ended  []string
	}{
		"component":       {certs.Revocation{Type: certs.TypeSync, Component: "hq-sync"}, false, []string{"old", "renewed"}},
		"one certificate": {certs.Revocation{Type: certs.TypeSync, Component: "hq-sync"}, true, []string{"old"}},
		"tenant":          {certs.Revocation{}, false, []string{"old", "renewed", "sibling"}},
		"another type":    {certs.Revocation{Type: certs.TypeAgent, Component: "hq-sync"}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			certificates := map[string]tls.Certificate{
				"old": w.edge("acme", "hq-sync"), "renewed": w.edge("acme", "hq-sync"), "sibling": w.edge("acme", "branch"), "stranger": w.edge("globex", "hq-sync"),
			}
			test.revocation.TenantID = w.ids["acme"]
			if test.former {
				test.revocation.Serials = []string{certificates["old"].Leaf.SerialNumber.String()}
			}
			streams := map[string]grpc.ClientStreamingClient[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]{}
			for name, certificate := range certificates {
				stream, err := w.dial(certificate).StreamStatus(t.Context())
				must(t, err)
				must(t, stream.Send(chunk(componentOf(name), 0, 2)))
				streams[name] = stream
			}
			w.await("their first chunks", func() bool { chunks, _, _ := w.platform.snapshot(); return len(chunks) == len(streams) })
			begun := time.Now()
			w.platform.revoke(test.revocation)
			for _, name := range test.ended {
				wantStatus(t, streams[name].RecvMsg(&monitoring.GatewayStatusResponse{}), codes.PermissionDenied, "no longer accepted")
				delete(streams, name)
			}
			if took := time.Since(begun); took > atOnce {
				t.Errorf("it took %s", took)
			}
			w.await("their connections to go", func() bool { return w.metric("connections") == float64(len(streams)) })
			for name, stream := range streams {
				must(t, stream.Send(chunk(componentOf(name), 1, 2)))
				_, err := stream.CloseAndRecv()
				must(t, err)
			}
		})
	}
}

func componentOf(name string) string {
	if name == "sibling" {
		return "branch"
	}
	return "hq-sync"
}

// TestRevocationEndsACallUnderWay holds a call in the platform.
func TestRevocationEndsACallUnderWay(t *testing.T) {
	w := newWorld(t, nil)
	entered := make(chan struct{})
	w.platform.status = func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	c := w.dial(w.edge("acme", "hq-sync"))
	answer := make(chan error, 1)
	go func() {
		_, err := c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: "hq-sync"})
		answer <- err
	}()
	<-entered
	w.platform.revoke(certs.Revocation{TenantID: w.ids["acme"]})
	wantStatus(t, <-answer, codes.PermissionDenied, "no longer accepted")
}

// TestSuspendedTenantIsRefusedAtTheHandshake and admitted again after it.
func TestSuspendedTenantIsRefusedAtTheHandshake(t *testing.T) {
	w := newWorld(t, nil)
	hello := &monitoring.AgentHelloRequest{AgentId: "hq-sync"}
	live := w.dial(w.edge("acme", "hq-sync"))
	_, err := live.Hello(t.Context(), hello)
	must(t, err)
	w.issuers.Suspend(w.ids["acme"])
	_, err = live.Hello(t.Context(), hello)
	wantStatus(t, err, codes.PermissionDenied, "suspended")
	_, err = w.dial(w.edge("acme", "hq-sync")).Hello(t.Context(), hello)
	wantStatus(t, err, codes.Unavailable, "")
	if n := w.metric("refusals_total", "reason=tenant_suspended"); n < 2 {
		t.Errorf("counted %v refusals", n)
	}
	_, err = w.dial(w.edge("globex", "hq-sync")).Hello(t.Context(), hello)
	must(t, err)
	w.issuers.Resume(w.ids["acme"])
	_, err = w.dial(w.edge("acme", "hq-sync")).Hello(t.Context(), hello)
	must(t, err)
}

// A connection outlives its certificate; calls over it do not.
func TestExpiredCertificateIsRefusedAtTheNextCall(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	hello := &monitoring.AgentHelloRequest{AgentId: "hq-sync"}
	_, err := c.Hello(t.Context(), hello)
	must(t, err)
	w.ahead.Store(int64(31 * 24 * time.Hour))
	_, err = c.Hello(t.Context(), hello)
	wantStatus(t, err, codes.Unauthenticated, "expired")
	w.await("no connection", func() bool { return w.metric("connections") == 0 })
}

func TestPushStatusReadsHealth(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	syncStatus := func(message string) *monitoring.GatewayServiceStatus {
		return &monitoring.GatewayServiceStatus{ServiceName: "sync", ServiceType: "sync", Source: "status", Available: true, Message: []byte(message)}
	}
	answer, err := c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: "hq-sync", Services: []*monitoring.GatewayServiceStatus{
		syncStatus(`{"outbox_runs":1}`), syncStatus(""), syncStatus(`{"outbox_runs":2}`), syncStatus("up and running"),
		syncStatus(`{"outbox_runs":3}` + strings.Repeat(" ", 2*payload.MaxStatusMessage)),             // cut, and whole still
		syncStatus(`{"sources":[{"error":"` + strings.Repeat("x", payload.MaxStatusMessage) + `"}]}`), // cut, and broken
		{ServiceType: "icmp", Source: "status", Message: []byte(`{"outbox_runs":9}`)}, {},
	}})
	must(t, err)
	if !answer.GetReceived() {
		t.Error("it was not received")
	}
	_, err = c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: "hq-sync"})
	must(t, err)
	got := w.platform.health
	if len(got) != 2 || len(got[0]) != 3 || got[0][1].OutboxRuns != 2 || got[0][2].OutboxRuns != 3 || got[1] == nil || len(got[1]) != 0 {
		t.Errorf("the platform was told %+v", got)
	}
}

func TestPushStatusRefusals(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	many := make([]*monitoring.GatewayServiceStatus, payload.MaxServices+1)
	for i := range many {
		many[i] = &monitoring.GatewayServiceStatus{ServiceType: "icmp"}
	}
	_, err := c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: "hq-sync", Services: many})
	wantStatus(t, err, codes.ResourceExhausted, "5001 services")
	_, err = c.PushStatus(t.Context(), &monitoring.GatewayStatusRequest{AgentId: "hq-sync",
		Services: []*monitoring.GatewayServiceStatus{results("[" + update("10.0.0.1") + "]")}})
	wantStatus(t, err, codes.InvalidArgument, "StreamStatus only")
	if len(w.platform.health) != 0 {
		t.Errorf("the platform was told %v", w.platform.health)
	}
}

func TestHelloIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	for name, c2 := range map[string]struct {
		request *monitoring.AgentHelloRequest
		code    codes.Code
	}{
		"long hostname":     {&monitoring.AgentHelloRequest{AgentId: "hq-sync", Hostname: strings.Repeat("x", 2000)}, codes.ResourceExhausted},
		"many capabilities": {&monitoring.AgentHelloRequest{AgentId: "hq-sync", Capabilities: make([]string, 300)}, codes.ResourceExhausted},
		"NUL":               {&monitoring.AgentHelloRequest{AgentId: "hq-sync", Labels: map[string]string{"a": "\x00"}}, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Hello(t.Context(), c2.request)
			wantStatus(t, err, c2.code, "")
		})
	}
	if len(w.platform.peers) != 0 {
		t.Errorf("%d came through", len(w.platform.peers))
	}
}

func TestLargeConfigurationIsCompressed(t *testing.T) {
	w := newWorld(t, nil)
	w.platform.config = func(*monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
		return &monitoring.AgentConfigResponse{ConfigVersion: "v", ConfigJson: []byte(`{"sources":{` + strings.Repeat(" ", 20<<20) + `}}`)}, nil
	}
	wire := &wireCounter{}
	c := w.dial(w.edge("acme", "hq-sync"), grpc.WithStatsHandler(wire), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	answer, err := c.GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: "hq-sync"})
	must(t, err)
	if len(answer.GetConfigJson()) < 20<<20 || wire.received.Load() > 1<<20 {
		t.Errorf("%d bytes of configuration took %d on the wire", len(answer.GetConfigJson()), wire.received.Load())
	}
}

func TestPlatformErrorsAreAnsweredAsTheyAre(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	w.platform.config = func(*monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
		return nil, status.Error(codes.NotFound, "sync service is gone")
	}
	_, err := c.GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: "hq-sync"})
	wantStatus(t, err, codes.NotFound, "sync service is gone")
	w.platform.config = func(*monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) { panic("canary") }
	_, err = c.GetConfig(t.Context(), &monitoring.AgentConfigRequest{AgentId: "hq-sync"})
	wantStatus(t, err, codes.Internal, "the platform could not do this")
	if n := w.metric("rpcs_total", "method=GetConfig", "code=Internal"); n != 1 {
		t.Errorf("counted %v, want 1", n)
	}
	w.platform.status = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.PushStatus(ctx, &monitoring.GatewayStatusRequest{AgentId: "hq-sync"})
	wantStatus(t, err, codes.DeadlineExceeded, "")
}

func TestNewRefusesIncompleteOptions(t *testing.T) {
	if _, err := gateway.New(gateway.Options{}); err == nil {
		t.Error("a gateway without a platform was made")
	}
}
