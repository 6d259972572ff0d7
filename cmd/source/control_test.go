package source_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/source"
	adminv1 "edgesync/proto/admin/v1"
)

// commanded is a platform whose service answers what the test says.
type commanded struct {
	adminv1.AdminClient
	test     *adminv1.TestSourceResponse
	progress []*adminv1.SyncNowProgress
	err      error
	asked    *adminv1.SyncNowRequest
}

func (c *commanded) GetSource(_ context.Context, in *adminv1.GetSourceRequest, _ ...grpc.CallOption) (*adminv1.Source, error) {
	return &adminv1.Source{Id: "src-1", Tenant: in.GetTenant(), Spec: &adminv1.SourceSpec{Name: in.GetSource()}}, nil
}

func (c *commanded) TestSource(context.Context, *adminv1.TestSourceRequest, ...grpc.CallOption) (*adminv1.TestSourceResponse, error) {
	return c.test, c.err
}

func (c *commanded) SyncNow(_ context.Context, in *adminv1.SyncNowRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.SyncNowProgress], error) {
	c.asked = in
	return &cmdtest.Stream[adminv1.SyncNowProgress]{Items: c.progress, End: c.err}, nil
}

func (c *commanded) run(t *testing.T, terminal *cmdtest.Terminal, args ...string) cmdtest.Result {
	t.Helper()
	return cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: c, Terminal: terminal, Args: append([]string{"source"}, append(args, "--tenant", "acme")...)})
}

func TestTestShowsDevicesOrSaysWhatIsWrong(t *testing.T) {
	good := &commanded{test: &adminv1.TestSourceResponse{
		Ok: true, Total: 900, Took: durationpb.New(1200 * time.Millisecond),
		Samples: []*adminv1.SampleDevice{{NativeId: "1", Hostname: "evil\x1b[31m", Ip: "10.0.0.1"}},
	}}
	got := good.run(t, nil, "test", "main")
	if got.Exit != 0 || !strings.Contains(got.Out, "source main answers: 900 devices (1.2 s)") || strings.Contains(got.Out, "\x1b") {
		t.Errorf("exit %d, %q, %q", got.Exit, got.Out, got.Err)
	}
	bad := &commanded{test: &adminv1.TestSourceResponse{Reason: "permission", Message: "status 403", Total: -1}}
	got = bad.run(t, nil, "test", "main", "-o", "json")
	var document map[string]any
	if err := json.Unmarshal([]byte(got.Out), &document); err != nil || got.Exit != 1 || document["ok"] != false || document["reason"] != "permission" || document["samples"] == nil {
		t.Errorf("exit %d, %q, %v", got.Exit, got.Out, err)
	}
	if got = bad.run(t, nil, "test", "main"); got.Out != "" || !strings.Contains(got.Err, "permission: status 403") {
		t.Errorf("%q, %q", got.Out, got.Err)
	}
	away := &commanded{err: status.Error(codes.Unavailable, "it is offline")}
	if got = away.run(t, nil, "test", "main"); got.Exit != 5 || !strings.Contains(got.Err, "offline") {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
}

func TestSyncNowTellsTheResult(t *testing.T) {
	c := &commanded{progress: []*adminv1.SyncNowProgress{
		{Total: 1}, {Total: 1, Devices: 500},
		{Total: 1, Done: 1, Devices: 900, Acknowledged: 900, Finished: true, Sources: []*adminv1.SyncedSource{{Name: "main", Result: "success"}}},
	}}
	got := c.run(t, &cmdtest.Terminal{}, "sync-now", "main")
	if got.Exit != 0 || !strings.Contains(got.Out, "1 of 1 source, 900 devices found, 900 updates stored") {
		t.Errorf("exit %d, %q, %q", got.Exit, got.Out, got.Err)
	}
	if c.asked.GetSource() != "src-1" || c.asked.GetTenant() != "acme" {
		t.Errorf("asked for %v", c.asked)
	}
	if got = c.run(t, nil, "sync-now", "main"); got.Err != "" {
		t.Errorf("without a terminal it told %q", got.Err)
	}
	c.progress = []*adminv1.SyncNowProgress{{Total: 1, Done: 1, Failed: 1, Finished: true, Sources: []*adminv1.SyncedSource{{Name: "main", Result: "failed", Error: "no route"}}}}
	if got = c.run(t, nil, "sync-now", "main", "-o", "json"); got.Exit != 1 || !strings.Contains(got.Err, "main failed no route") || !strings.Contains(got.Out, `"failed": 1`) {
		t.Errorf("exit %d, %q, %q", got.Exit, got.Out, got.Err)
	}
	c.progress, c.err = []*adminv1.SyncNowProgress{{Total: 1}}, status.Error(codes.Unavailable, "nothing is heard of it any more")
	if got = c.run(t, nil, "sync-now", "main"); got.Exit != 5 {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
	c.err = nil
	if got = c.run(t, nil, "sync-now", "main"); got.Exit != 5 || !strings.Contains(got.Err, "ended before the result") {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
}
