package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

type liveStream = grpc.ClientStreamingClient[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]

// openStream begins a stream of two chunks and waits until the first is stored,
// so that the stream is idle in the platform.
func (e *edge) openStream(source core.SourceView) liveStream {
	t := e.p.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	call, err := e.client().StreamStatus(ctx)
	must(t, err)
	before := e.p.count(e.service.Tenant.Slug)
	u := update(source.ID, e.component+fmt.Sprint(before), "", "10.0.0.1")
	must(t, call.Send(chunkOf(t, e.component, 0, 2, u)))
	e.p.await("the first chunk", func() bool { return e.p.count(e.service.Tenant.Slug) > before })
	return call
}

// wantEnded wants the stream to end by itself, at once after begun.
func wantEnded(t *testing.T, call liveStream, begun time.Time, words string) {
	t.Helper()
	wantCode(t, call.RecvMsg(&monitoring.GatewayStatusResponse{}), codes.PermissionDenied, words)
	if took := time.Since(begun); took > atOnce {
		t.Errorf("the stream ended %s after the revocation", took)
	}
}

// wantNoHandshake wants a new connection of the edge to come to nothing.
func (e *edge) wantNoHandshake() {
	e.p.t.Helper()
	ctx, cancel := context.WithTimeout(e.p.t.Context(), patience)
	defer cancel()
	_, err := e.client().Hello(ctx, &monitoring.AgentHelloRequest{AgentId: e.component})
	if status.Code(err) != codes.Unavailable { // The call never got to the gateway.
		e.p.t.Errorf("a new connection of %s came to %v, want a refused handshake", e.component, err)
	}
}

func TestRevokedServiceLosesItsIdleStreamAndItsHandshakesAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e, sibling := p.onboard("acme", "hq"), p.onboard("acme", "branch")
	e.hello()
	sibling.hello()
	stream := e.openStream(p.source("acme", "lab", "hq"))
	other := sibling.openStream(p.source("acme", "shop", "branch"))
	begun := time.Now()
	_, err := p.core.RevokeService(t.Context(), operator, "acme", "hq")
	must(t, err)
	wantEnded(t, stream, begun, "no longer accepted")
	e.wantNoHandshake()
	must(t, other.Send(chunkOf(t, "branch", 1, 2)))
	_, err = other.CloseAndRecv()
	must(t, err)
	p.restart()
	e.p.rewire(e)
	e.wantNoHandshake()
}

func TestRemovedServiceLosesItsIdleStream(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	source := p.source("acme", "lab", "hq")
	stream := e.openStream(source)
	must(t, p.core.RemoveSource(t.Context(), operator, "acme", "lab"))
	begun := time.Now()
	must(t, p.core.RemoveService(t.Context(), operator, "acme", "hq"))
	wantEnded(t, stream, begun, "no longer accepted")
	e.wantNoHandshake()
}

func TestOnboardingAgainEndsTheStreamOfTheFormerIdentityOnly(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	former := p.onboard("acme", "hq")
	former.hello()
	source := p.source("acme", "lab", "hq")
	stream := former.openStream(source)
	begun := time.Now()
	latter := p.onboard("acme", "hq")
	wantEnded(t, stream, begun, "no longer accepted")
	former.wantNoHandshake()
	latter.hello()
	must(t, latter.push(streamOf(source, update(source.ID, "9", "", "10.0.0.9"))))
}

func TestSuspendedTenantLosesAllItsStreamsAndGetsThemBackWhenResumed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	e, foreign := p.onboard("acme", "hq"), p.onboard("globex", "hq")
	e.hello()
	foreign.hello()
	source := p.source("acme", "lab", "hq")
	stream := e.openStream(source)
	other := foreign.openStream(p.source("globex", "lab", "hq"))
	begun := time.Now()
	_, err := p.core.SuspendTenant(t.Context(), operator, "acme", false)
	must(t, err)
	wantEnded(t, stream, begun, "")
	e.wantNoHandshake()
	must(t, other.Send(chunkOf(t, "hq", 1, 2)))
	_, err = other.CloseAndRecv()
	must(t, err)
	p.restart()
	p.rewire(e)
	e.wantNoHandshake()
	_, err = p.core.SuspendTenant(t.Context(), operator, "acme", true)
	must(t, err)
	e.hello()
	must(t, e.push(streamOf(source, update(source.ID, "9", "", "10.0.0.9"))))
}

func TestRemovedTenantLosesAllItsStreams(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	stream := e.openStream(p.source("acme", "lab", "hq"))
	begun := time.Now()
	must(t, p.core.RemoveTenant(t.Context(), operator, "acme"))
	wantEnded(t, stream, begun, "no longer accepted")
	e.wantNoHandshake()
	// A tenant of the same name is another tenant.
	p.tenant("acme")
	e.wantNoHandshake()
}

func TestServiceKeepsItsHistoryWhenRenamedRevokedAndOnboardedAgain(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	source := p.source("acme", "lab", "hq")
	must(t, e.push(streamOf(source, update(source.ID, "1", "", "10.0.0.1"))))
	before, err := p.core.Service(t.Context(), "acme", "hq")
	must(t, err)
	_, err = p.core.RenameService(t.Context(), operator, "acme", "hq", "Headquarters")
	must(t, err)
	_, err = p.core.RevokeService(t.Context(), operator, "acme", "Headquarters")
	must(t, err)
	again := p.onboard("acme", "Headquarters")
	again.hello()
	after, err := p.core.Service(t.Context(), "acme", "hq")
	must(t, err)
	if after.ID != before.ID || after.Name != "Headquarters" || after.State != core.ServiceActive ||
		!after.FirstHelloAt.Equal(before.FirstHelloAt) || !after.CreatedAt.Equal(before.CreatedAt) || after.Sources != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if n := p.count("acme"); n != 1 {
		t.Errorf("%d devices are left", n)
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "service."})
	must(t, err)
	var types []string
	for _, event := range events {
		if event.ServiceID == before.ID {
			types = append(types, event.Type)
		}
	}
	want := []string{"service.onboarded", "service.hello", "service.renamed", "service.revoked", "service.onboarded"}
	if !slices.Equal(types, want) && !slices.Equal(types, append(want, "service.hello")) {
		t.Errorf("its events are %v", types)
	}
}

// streamOf is a whole run of one chunk.
func streamOf(source core.SourceView, updates ...payload.Update) stream {
	return stream{source: source.ID, runID: "run-9", chunks: [][]payload.Update{updates}}
}
