package device_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/device"
	adminv1 "edgesync/proto/admin/v1"
)

type fake struct {
	adminv1.AdminClient
	devices []*adminv1.Device
	end     error
	asked   *adminv1.ListDevicesRequest
}

func (f *fake) ListDevices(_ context.Context, in *adminv1.ListDevicesRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.Device], error) {
	f.asked = in
	return &cmdtest.Stream[adminv1.Device]{Items: f.devices, End: f.end}, nil
}

func (f *fake) CountDevices(_ context.Context, in *adminv1.ListDevicesRequest, _ ...grpc.CallOption) (*adminv1.CountDevicesResponse, error) {
	f.asked = in
	return &adminv1.CountDevicesResponse{Count: int64(len(f.devices))}, nil
}

func (f *fake) ListTenants(context.Context, *adminv1.ListTenantsRequest, ...grpc.CallOption) (*adminv1.ListTenantsResponse, error) {
	return &adminv1.ListTenantsResponse{Tenants: []*adminv1.Tenant{{Slug: "acme"}, {Slug: "beta"}}}, nil
}

func (f *fake) GetDevice(_ context.Context, in *adminv1.GetDeviceRequest, _ ...grpc.CallOption) (*adminv1.DeviceDetail, error) {
	for _, d := range f.devices {
		if d.GetId() == in.GetId() && d.GetTenant() == in.GetTenant() {
			return &adminv1.DeviceDetail{Device: d, Assertions: []*adminv1.Assertion{{Source: "hq", Key: "armis:1"}}}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "find device: there is none")
}

func run(t *testing.T, f *fake, args ...string) cmdtest.Result {
	t.Helper()
	return cmdtest.Run(t, device.NewCmdDevice, cmdtest.Case{Client: f, Args: append([]string{"device"}, args...)})
}

func TestCount(t *testing.T) {
	f := &fake{devices: make([]*adminv1.Device, 3)}
	if got := run(t, f, "list", "--tenant", "acme", "--count"); got.Out != "3\n" {
		t.Errorf("count printed %q", got.Out)
	}
	got := run(t, f, "list", "--tenant", "acme", "--source", "hq", "--search", "10.", "--state", "all", "--limit", "9", "--count", "-o", "json")
	if strings.Join(strings.Fields(got.Out), "") != `{"count":3}` {
		t.Errorf("count printed %q", got.Out)
	}
	if f.asked.GetTenant() != "acme" || f.asked.GetSource() != "hq" || f.asked.GetSearch() != "10." || f.asked.GetState() != "all" || f.asked.GetLimit() != 9 {
		t.Errorf("asked %v", f.asked)
	}
}

func TestListDocument(t *testing.T) {
	f := &fake{devices: []*adminv1.Device{{Id: "sr:1", Ip: "10.0.0.1", Sources: []string{"hq"}}, {Id: "sr:2"}}}
	got := run(t, f, "list", "-o", "json")
	var documents []map[string]any
	if err := json.Unmarshal([]byte(got.Out), &documents); err != nil {
		t.Fatalf("decode %q: %v", got.Out, err)
	}
	for _, key := range []string{"id", "tenant", "partition", "ip", "mac", "hostname", "sources", "first_seen", "last_seen", "available", "state"} {
		if _, ok := documents[1][key]; !ok {
			t.Errorf("no key %s", key)
		}
	}
	if list, ok := documents[1]["sources"].([]any); !ok || len(list) != 0 {
		t.Errorf("no sources are %v", documents[1]["sources"])
	}
	if got := run(t, &fake{}, "list", "-o", "json"); got.Out != "[]\n" {
		t.Errorf("no devices are %q", got.Out)
	}
}

func TestListRefusedPrintsNothing(t *testing.T) {
	got := run(t, &fake{end: status.Error(codes.NotFound, "find tenant x: there is none")}, "list", "--tenant", "x", "-o", "json")
	if got.Exit != 3 || got.Out != "" {
		t.Errorf("exit %d, printed %q", got.Exit, got.Out)
	}
}

func TestListThatBreaksOffFails(t *testing.T) {
	got := run(t, &fake{devices: []*adminv1.Device{{Id: "sr:1"}}, end: status.Error(codes.Unavailable, "gone")}, "list", "-o", "json")
	if got.Exit != 5 || json.Valid([]byte(got.Out)) {
		t.Errorf("exit %d, printed %q as if it were whole", got.Exit, got.Out)
	}
}

func TestHostileNamesAreNeutralised(t *testing.T) {
	got := run(t, &fake{devices: []*adminv1.Device{{Id: "sr:1", Hostname: "pc\x1b]0;owned\x07\r\nroot\u202e"}}}, "list")
	if strings.Count(got.Out, "\n") != 2 || strings.ContainsAny(got.Out, "\x1b\x07\r\u202e") {
		t.Errorf("printed %q", got.Out)
	}
}

func TestUsage(t *testing.T) {
	if got := run(t, &fake{}, "list", "--source", "hq"); got.Exit != 2 || !strings.Contains(got.Err, "--tenant") {
		t.Errorf("source without tenant: exit %d, %q", got.Exit, got.Err)
	}
	if got := run(t, &fake{}, "list", "--limit", "-1"); got.Exit != 2 {
		t.Errorf("negative limit: exit %d, %q", got.Exit, got.Err)
	}
}

func TestShowFindsTheTenant(t *testing.T) {
	f := &fake{devices: []*adminv1.Device{{Id: "sr:2", Tenant: "beta", Hostname: "pc"}}}
	got := run(t, f, "show", "sr:2", "-o", "json")
	var document struct {
		Hostname   string           `json:"hostname"`
		Assertions []map[string]any `json:"assertions"`
	}
	if err := json.Unmarshal([]byte(got.Out), &document); err != nil || document.Hostname != "pc" || len(document.Assertions) != 1 {
		t.Errorf("show printed %q (%v)", got.Out, err)
	}
	if got := run(t, f, "show", "sr:2"); !strings.Contains(got.Out, "armis:1") {
		t.Errorf("show printed %q", got.Out)
	}
	if got := run(t, f, "show", "sr:3"); got.Exit != 3 {
		t.Errorf("show of none: exit %d", got.Exit)
	}
}
