package event_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/event"
	adminv1 "edgesync/proto/admin/v1"
)

type fake struct {
	adminv1.AdminClient
	end   error
	asked *adminv1.ListEventsRequest
}

func events() []*adminv1.Event {
	return []*adminv1.Event{
		{Id: "e-1", Time: timestamppb.New(cmdtest.Now), Tenant: "acme", Type: "source.created", Severity: "info", Actor: "local:0", Message: "source a\x1b[2J created"},
		{Id: "e-2", Time: timestamppb.New(cmdtest.Now), Tenant: "beta", Type: "security.refused", Severity: "warning", Details: map[string]string{"k": "v"}},
	}
}

func (f *fake) ListEvents(_ context.Context, in *adminv1.ListEventsRequest, _ ...grpc.CallOption) (*adminv1.ListEventsResponse, error) {
	f.asked = in
	return &adminv1.ListEventsResponse{Events: events()}, nil
}

func (f *fake) TailEvents(_ context.Context, in *adminv1.ListEventsRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.Event], error) {
	f.asked = in
	return &cmdtest.Stream[adminv1.Event]{Items: events(), End: f.end}, nil
}

func run(t *testing.T, f *fake, args ...string) cmdtest.Result {
	t.Helper()
	return cmdtest.Run(t, event.NewCmdEvent, cmdtest.Case{Client: f, Args: append([]string{"event"}, args...)})
}

func TestListFilters(t *testing.T) {
	f := &fake{}
	got := run(t, f, "list", "--tenant", "acme", "--type", "source.", "--limit", "5", "--since", "24h", "-o", "json")
	var documents []map[string]any
	if err := json.Unmarshal([]byte(got.Out), &documents); err != nil || len(documents) != 2 {
		t.Fatalf("printed %q (%v)", got.Out, err)
	}
	if f.asked.GetTenant() != "acme" || f.asked.GetType() != "source." || f.asked.GetLimit() != 5 ||
		!f.asked.GetSince().AsTime().Equal(cmdtest.Now.Add(-24*time.Hour)) {
		t.Errorf("asked %v", f.asked)
	}
	if got := run(t, f, "list", "--since", "yesterday"); got.Exit != 2 || !strings.Contains(got.Err, "--since") {
		t.Errorf("bad --since: exit %d, %q", got.Exit, got.Err)
	}
	if got := run(t, f, "list", "--since", "2026-01-02T03:04:05Z"); got.Exit != 0 {
		t.Errorf("--since as a time: exit %d, %q", got.Exit, got.Err)
	}
}

func TestTailWritesALineForEach(t *testing.T) {
	got := run(t, &fake{}, "tail", "-o", "json")
	if got.Exit != 5 || !strings.Contains(got.Err, "edgesync serve") {
		t.Errorf("a platform that ends: exit %d, %q", got.Exit, got.Err)
	}
	lines := strings.Split(strings.TrimSuffix(got.Out, "\n"), "\n")
	if len(lines) != 2 || !json.Valid([]byte(lines[0])) || !json.Valid([]byte(lines[1])) {
		t.Errorf("printed %q", got.Out)
	}
	got = run(t, &fake{}, "tail")
	if strings.Count(got.Out, "\n") != 2 || strings.Contains(got.Out, "\x1b") {
		t.Errorf("printed %q", got.Out)
	}
}

func TestTailThatBreaksOffFails(t *testing.T) {
	if got := run(t, &fake{end: status.Error(codes.Unavailable, "serve ended")}, "tail"); got.Exit != 5 {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
}
