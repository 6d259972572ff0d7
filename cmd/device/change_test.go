package device_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/device"
	adminv1 "edgesync/proto/admin/v1"
)

// changer is a platform with the device sr:1 of tenant beta.
type changer struct {
	fake
	merged   *adminv1.MergeDevicesRequest
	unmerged *adminv1.UnmergeDeviceRequest
	split    *adminv1.SplitDeviceRequest
	refuse   error
}

func newChanger() *changer {
	return &changer{fake: fake{devices: []*adminv1.Device{{Id: "sr:1", Tenant: "beta"}}}}
}

func parted(ids ...string) *adminv1.PartedDevices {
	parts := &adminv1.PartedDevices{}
	for _, id := range ids {
		parts.Devices = append(parts.Devices, &adminv1.DeviceDetail{Device: &adminv1.Device{Id: id, Tenant: "beta"}})
	}
	return parts
}

func (c *changer) MergeDevices(_ context.Context, in *adminv1.MergeDevicesRequest, _ ...grpc.CallOption) (*adminv1.DeviceDetail, error) {
	c.merged = in
	return &adminv1.DeviceDetail{Device: c.devices[0]}, c.refuse
}

func (c *changer) UnmergeDevice(_ context.Context, in *adminv1.UnmergeDeviceRequest, _ ...grpc.CallOption) (*adminv1.PartedDevices, error) {
	c.unmerged = in
	return parted("sr:1", "sr:2"), c.refuse
}

func (c *changer) SplitDevice(_ context.Context, in *adminv1.SplitDeviceRequest, _ ...grpc.CallOption) (*adminv1.PartedDevices, error) {
	c.split = in
	return parted("sr:1", "sr:2"), c.refuse
}

func (c *changer) ListDuplicates(context.Context, *adminv1.ListDuplicatesRequest, ...grpc.CallOption) (*adminv1.ListDuplicatesResponse, error) {
	return &adminv1.ListDuplicatesResponse{Duplicates: []*adminv1.Duplicate{
		{Tenant: "beta", Kind: "hostname", Partition: "default", Value: "pc\x1b[2J", Count: 2, Devices: []string{"sr:1", "sr:2"}},
	}}, nil
}

func (c *changer) ExplainDevice(context.Context, *adminv1.GetDeviceRequest, ...grpc.CallOption) (*adminv1.DeviceExplanation, error) {
	mac := []*adminv1.Identifier{{Kind: "mac", Value: "00:1b:21:00:00:01"}}
	members := []*adminv1.AssertionRef{{Source: "hq", SourceId: "u-1", Key: "id:1"}, {Source: "nb", SourceId: "u-2", Key: "id:7"}}
	return &adminv1.DeviceExplanation{
		Detail:      &adminv1.DeviceDetail{Device: c.devices[0], Assertions: []*adminv1.Assertion{{Source: "hq", Key: "id:1"}}},
		Identifiers: mac, Joins: []*adminv1.Join{{Rule: "mac", Identifier: mac[0], Assertions: members}, {Rule: "operator", By: "local:0", Assertions: members}},
		KeptApart: []*adminv1.KeptApart{{HomeId: "sr:1", OtherHomeId: "sr:9", Reason: "a dock"}},
		Decisions: []*adminv1.Decision{{Kind: "merge", Rule: "mac", At: timestamppb.New(cmdtest.Now), Identifiers: mac, Assertions: members, Device: "sr:1"}},
		Fields:    []*adminv1.FieldValue{{Field: "hostname", Value: "pc", From: members[1]}},
	}, nil
}

func (c *changer) run(t *testing.T, args ...string) cmdtest.Result {
	t.Helper()
	return cmdtest.Run(t, device.NewCmdDevice, cmdtest.Case{Client: c, Args: append([]string{"device"}, args...)})
}

func TestMergeUnmergeAndSplitNameWhatTheyChange(t *testing.T) {
	c := newChanger()
	if got := c.run(t, "merge", "sr:1", "sr:2", "--reason", "the same"); got.Exit != 0 || c.merged.GetTenant() != "beta" ||
		!slices.Equal(c.merged.GetIds(), []string{"sr:1", "sr:2"}) || c.merged.GetReason() != "the same" || !strings.Contains(got.Out, "into sr:1") {
		t.Errorf("merge sent %v, printed %q %q", c.merged, got.Out, got.Err)
	}
	if got := c.run(t, "unmerge", "sr:1", "sr:2", "-t", "acme"); got.Exit != 0 || c.unmerged.GetTenant() != "acme" || c.unmerged.GetFormerId() != "sr:2" {
		t.Errorf("unmerge sent %v, printed %q", c.unmerged, got.Err)
	}
	if got := c.run(t, "unmerge", "sr:1"); got.Exit != 0 || c.unmerged.GetFormerId() != "" || !strings.Contains(got.Out, "2 devices") {
		t.Errorf("unmerge sent %v, printed %q", c.unmerged, got.Out)
	}
	got := c.run(t, "split", "sr:1", "--member", "nb/id:7", "--member", "sr:3", "-o", "json")
	var parts []map[string]any
	if err := json.Unmarshal([]byte(got.Out), &parts); err != nil || len(parts) != 2 || !slices.Equal(c.split.GetMembers(), []string{"nb/id:7", "sr:3"}) {
		t.Errorf("split sent %v, printed %q", c.split, got.Out)
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	for _, args := range [][]string{{"merge", "sr:1"}, {"unmerge"}, {"unmerge", "a", "b", "c"}, {"split", "sr:1"}, {"duplicates", "--limit", "-1"}} {
		if got := newChanger().run(t, args...); got.Exit != 2 {
			t.Errorf("%v: exit %d, %q", args, got.Exit, got.Err)
		}
	}
	c := newChanger()
	if got := c.run(t, "merge", "sr:8", "sr:1"); got.Exit != 3 || c.merged != nil {
		t.Errorf("merge of none: exit %d", got.Exit)
	}
	c.refuse = status.Error(codes.FailedPrecondition, "merge devices: they are one already")
	if got := c.run(t, "merge", "sr:1", "sr:2"); got.Exit != 6 || got.Out != "" {
		t.Errorf("merge of one: exit %d, printed %q", got.Exit, got.Out)
	}
}

func TestShowWhy(t *testing.T) {
	c := newChanger()
	got := c.run(t, "show", "sr:1", "--why", "-o", "json")
	var x struct {
		ID         string
		Assertions []any
		Joins      []struct {
			Rule       string
			Identifier *struct{ Value string }
		}
		KeptApart []map[string]any `json:"kept_apart"`
		Refused   []any
		Decisions []map[string]any
		Fields    []struct{ Field, Value, Source, Key string }
	}
	err := json.Unmarshal([]byte(got.Out), &x)
	if err != nil || x.ID != "sr:1" || len(x.Assertions) != 1 || len(x.Joins) != 2 || x.Joins[0].Identifier.Value == "" || x.Joins[1].Identifier != nil ||
		len(x.KeptApart) != 1 || x.Refused == nil || len(x.Decisions) != 1 || x.Fields[0].Source != "nb" {
		t.Errorf("show --why printed %s (%v)", got.Out, err)
	}
	got = c.run(t, "show", "sr:1", "--why")
	for _, want := range []string{"what makes its assertions one", "hq/id:1, nb/id:7", "a dock", "decisions", "where its values come from"} {
		if !strings.Contains(got.Out, want) {
			t.Errorf("show --why does not say %q: %s", want, got.Out)
		}
	}
	if strings.Contains(got.Out, "what links nobody") {
		t.Errorf("an empty list has a title: %s", got.Out)
	}
}

func TestDuplicates(t *testing.T) {
	got := newChanger().run(t, "duplicates")
	if got.Exit != 0 || !strings.Contains(got.Out, "sr:1, sr:2") || strings.Contains(got.Out, "\x1b") {
		t.Errorf("duplicates printed %q", got.Out)
	}
	got = newChanger().run(t, "duplicates", "-o", "json")
	if !strings.Contains(got.Out, `"kind": "hostname"`) || !strings.Contains(got.Out, `"count": 2`) {
		t.Errorf("duplicates printed %q", got.Out)
	}
}
