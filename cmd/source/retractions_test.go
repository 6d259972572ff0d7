package source_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/source"
	adminv1 "edgesync/proto/admin/v1"
)

// holder is a platform with one held source.
type holder struct {
	fake
	released, rejected *adminv1.SettleRetractionsRequest
}

func newHolder() *holder {
	return &holder{fake: fake{source: &adminv1.Source{
		Id: "u-1", Tenant: "acme", Spec: &adminv1.SourceSpec{Name: "hq"}, Enabled: true, HeldRetractions: 30,
	}}}
}

func (h *holder) ListRetractions(context.Context, *adminv1.ListRetractionsRequest, ...grpc.CallOption) (*adminv1.ListRetractionsResponse, error) {
	return &adminv1.ListRetractionsResponse{Retractions: []*adminv1.HeldRetractions{
		{Tenant: "acme", Source: "hq", SourceId: "u-1", Kind: "snapshot", RunId: "r9", Retractions: 30, Living: 40},
	}}, nil
}

func (h *holder) ListRuns(context.Context, *adminv1.ListRunsRequest, ...grpc.CallOption) (*adminv1.ListRunsResponse, error) {
	return &adminv1.ListRunsResponse{Runs: []*adminv1.Run{{
		Id: "r9", TraceId: "0af7651916cd43dd8448eb211c80319c", Result: "failed", Error: "no\x1b[2J way", Chunks: 1, TotalChunks: 2,
	}}}, nil
}

func (h *holder) ReleaseRetractions(_ context.Context, in *adminv1.SettleRetractionsRequest, _ ...grpc.CallOption) (*adminv1.SettleRetractionsResponse, error) {
	h.released = in
	return &adminv1.SettleRetractionsResponse{Retractions: 30}, nil
}

func (h *holder) RejectRetractions(_ context.Context, in *adminv1.SettleRetractionsRequest, _ ...grpc.CallOption) (*adminv1.SettleRetractionsResponse, error) {
	h.rejected = in
	return &adminv1.SettleRetractionsResponse{Retractions: 30}, nil
}

func (h *holder) run(t *testing.T, args ...string) cmdtest.Result {
	t.Helper()
	return cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: h, Args: append([]string{"source"}, args...)})
}

func TestAHeldSourceShowsIt(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"show", "hq"}} {
		if got := newHolder().run(t, args...); !strings.Contains(got.Out, "held (30)") {
			t.Errorf("%v printed %q", args, got.Out)
		}
	}
	got := newHolder().run(t, "show", "hq", "-o", "json")
	if !strings.Contains(got.Out, `"trace_id": "0af7651916cd43dd8448eb211c80319c"`) {
		t.Errorf("show does not name the trace of the run: %q", got.Out)
	}
	if text := newHolder().run(t, "show", "hq").Out; !strings.Contains(text, "0af7651916cd43dd8448eb211c80319c") || strings.Contains(text, "\x1b") {
		t.Errorf("show printed %q", text)
	}
	if !strings.Contains(got.Out, `"retractions": "held"`) || !strings.Contains(got.Out, `"held_retractions": 30`) {
		t.Errorf("show printed %q", got.Out)
	}
	got = newHolder().run(t, "retractions", "list", "-o", "json")
	for _, want := range []string{`"kind": "snapshot"`, `"retractions": 30`, `"living": 40`, `"run_id": "r9"`, `"held_at": null`} {
		if !strings.Contains(got.Out, want) {
			t.Errorf("retractions list has no %s: %q", want, got.Out)
		}
	}
}

func TestHeldRetractionsAreSettled(t *testing.T) {
	h := newHolder()
	if got := h.run(t, "retractions", "release", "hq"); got.Exit != 2 || h.released != nil {
		t.Errorf("released without a word: exit %d, %q", got.Exit, got.Err)
	}
	if got := h.run(t, "retractions", "release", "hq", "--yes"); got.Exit != 0 || h.released.GetTenant() != "acme" || h.released.GetSource() != "u-1" ||
		!strings.Contains(got.Out, "retracted 30 devices") {
		t.Errorf("release sent %v, printed %q %q", h.released, got.Out, got.Err)
	}
	if got := h.run(t, "retractions", "reject", "edge/sweep", "-t", "beta", "-o", "json"); got.Exit != 0 || h.rejected.GetTenant() != "beta" ||
		h.rejected.GetSource() != "edge/sweep" || !strings.Contains(got.Out, `"released": false`) {
		t.Errorf("reject sent %v, printed %q %q", h.rejected, got.Out, got.Err)
	}
	if got := h.run(t, "retractions", "list", "--source", "hq"); got.Exit != 2 {
		t.Errorf("source without tenant: exit %d", got.Exit)
	}
}
