package dire_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/dire"
	adminv1 "edgesync/proto/admin/v1"
)

type fake struct {
	adminv1.AdminClient
	asked *adminv1.SimulateRulesRequest
}

func (f *fake) SimulateRules(_ context.Context, in *adminv1.SimulateRulesRequest, _ ...grpc.CallOption) (*adminv1.SimulateRulesResponse, error) {
	f.asked = in
	return &adminv1.SimulateRulesResponse{DevicesNow: 5, DevicesThen: 4, Merges: []*adminv1.Regroup{{
		Device: "sr:1", Devices: []string{"sr:1", "sr:2"}, Identifiers: []*adminv1.Identifier{{Kind: "serial", Value: "dell/x"}},
		Assertions: []*adminv1.AssertionRef{{SourceId: "u-1", Key: "id:1"}},
	}}}, nil
}

func run(t *testing.T, f *fake, args ...string) cmdtest.Result {
	t.Helper()
	return cmdtest.Run(t, dire.NewCmdDire, cmdtest.Case{Client: f, Args: append([]string{"dire", "simulate"}, args...)})
}

func TestSimulate(t *testing.T) {
	f := &fake{}
	got := run(t, f, "-t", "acme", "--junk-serial", "a,b", "--junk-manufacturer", "m", "--trust-serial", "x", "--ignore-mac", "00:50:56", "--ignore-serials")
	if got.Exit != 0 || !strings.Contains(got.Out, "1 merge, 0 splits") || !strings.Contains(got.Out, "serial dell/x") || strings.Contains(got.Out, "splits:") {
		t.Errorf("simulate printed %q %q", got.Out, got.Err)
	}
	if a := f.asked; a.GetTenant() != "acme" || len(a.GetJunkSerials()) != 1 || a.GetJunkSerials()[0] != "a,b" || a.GetJunkManufacturers()[0] != "m" ||
		a.GetTrustedSerials()[0] != "x" || a.GetIgnoredMacs()[0] != "00:50:56" || !a.GetIgnoreSerials() {
		t.Errorf("asked %v", f.asked)
	}
	var document struct {
		DevicesThen int `json:"devices_then"`
		Merges      []struct {
			Devices []string
		}
		Splits []any
	}
	got = run(t, f, "-t", "acme", "-o", "json")
	if err := json.Unmarshal([]byte(got.Out), &document); err != nil || document.DevicesThen != 4 || len(document.Merges[0].Devices) != 2 || document.Splits == nil {
		t.Errorf("simulate printed %q (%v)", got.Out, err)
	}
	if got := run(t, f); got.Exit != 2 || !strings.Contains(got.Err, "--tenant") {
		t.Errorf("without a tenant: exit %d, %q", got.Exit, got.Err)
	}
}
