package event_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
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

func TestEventsAsOCSF(t *testing.T) {
	for _, verb := range []string{"list", "tail"} {
		got := run(t, &fake{end: io.EOF}, verb, "-o", "ocsf")
		lines := strings.Split(strings.TrimSuffix(got.Out, "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("%s printed %q (%s)", verb, got.Out, got.Err)
		}
		var record struct {
			ClassUID int `json:"class_uid"`
			Time     int64
		}
		if err := json.Unmarshal([]byte(lines[0]), &record); err != nil || record.ClassUID != 3004 || record.Time != cmdtest.Now.UnixMilli() {
			t.Errorf("%s printed %q (%v)", verb, lines[0], err)
		}
	}
}

// exporter is a platform with two events of one tenant.
type exporter struct {
	fake
	after []int64
}

func (f *exporter) ExportEvents(_ context.Context, in *adminv1.ExportEventsRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.ExportedEvents], error) {
	from := int64(0)
	for _, position := range in.GetAfter() {
		from = position.GetSequence()
	}
	f.after = append(f.after, from)
	page := &adminv1.ExportedEvents{}
	for i, e := range events() {
		if n := int64(i + 1); n > from {
			e.TenantId = "t-1"
			page.Events = append(page.Events, &adminv1.ExportedEvent{Sequence: n, Event: e})
		}
	}
	return &cmdtest.Stream[adminv1.ExportedEvents]{Items: []*adminv1.ExportedEvents{page}, End: io.EOF}, nil
}

func TestExportGoesOnWhereItStopped(t *testing.T) {
	f, path := &exporter{}, filepath.Join(t.TempDir(), "events.json")
	export := func(args ...string) cmdtest.Result {
		t.Helper()
		return cmdtest.Run(t, event.NewCmdEvent, cmdtest.Case{Client: f, Args: append([]string{"event", "export"}, args...)})
	}
	for range 2 {
		if got := export("--to", path); got.Exit != 0 {
			t.Fatalf("exit %d, %q", got.Exit, got.Err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), "\n") != 2 || strings.Contains(string(data), "\x1b") || len(f.after) != 2 || f.after[1] != 2 {
		t.Errorf("the file is %q, asked for what is after %v (%v)", data, f.after, err)
	}
	for _, args := range [][]string{{}, {"--to", "syslog://127.0.0.1:1"}, {"--to", "syslog+udp://x", "--cursor", path + "2"}, {"--to", path, "--keep", "-1"}, {"--to", path, "-o", "ocsf"}} {
		if got := export(args...); got.Exit != 2 {
			t.Errorf("%v: exit %d, %q", args, got.Exit, got.Err)
		}
	}
}
