package onboard_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/onboard"
	adminv1 "edgesync/proto/admin/v1"
)

// refusing keeps what it is asked and refuses it.
type refusing struct {
	adminv1.AdminClient
	asked *adminv1.OnboardServiceRequest
}

func (r *refusing) OnboardService(_ context.Context, in *adminv1.OnboardServiceRequest, _ ...grpc.CallOption) (*adminv1.OnboardServiceResponse, error) {
	r.asked = in
	return nil, status.Error(codes.NotFound, "find tenant acme: there is none")
}

func newCmd(f *cmdutil.Factory) *cobra.Command { return onboard.NewCmdOnboard(f, nil) }

func TestAsksForWhatIsMissing(t *testing.T) {
	client := &refusing{}
	got := cmdtest.Run(t, newCmd, cmdtest.Case{Client: client, Terminal: &cmdtest.Terminal{Lines: "acme\nHQ Sync\n"},
		Args: []string{"onboard", "--out", t.TempDir()}})
	if client.asked.GetTenant() != "acme" || client.asked.GetName() != "HQ Sync" || len(client.asked.GetCsr()) == 0 {
		t.Errorf("sent %v, said %q", client.asked, got.Err)
	}
}

func TestNeverAsksWithNoInput(t *testing.T) {
	for missing, args := range map[string][]string{"--tenant": {"--name", "x"}, "--name": {"--tenant", "acme"}} {
		client := &refusing{}
		got := cmdtest.Run(t, newCmd, cmdtest.Case{Client: client, Terminal: &cmdtest.Terminal{Lines: "acme\n"},
			Args: append([]string{"onboard", "--no-input"}, args...)})
		if got.Exit != 2 || !strings.Contains(got.Err, missing) || client.asked != nil {
			t.Errorf("without %s: exit %d, %q", missing, got.Exit, got.Err)
		}
	}
}

func TestRefusalLeavesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "packages")
	got := cmdtest.Run(t, newCmd, cmdtest.Case{Client: &refusing{}, Args: []string{"onboard", "--tenant", "acme", "--name", "x", "--out", out}})
	if got.Exit != 3 {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
}

func TestNothingIsIssuedThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client := &refusing{}
	got := cmdtest.Run(t, newCmd, cmdtest.Case{Client: client, Args: []string{"onboard", "--tenant", "acme", "--name", "x", "--out", file}})
	if got.Exit == 0 || client.asked != nil {
		t.Errorf("exit %d, sent %v", got.Exit, client.asked)
	}
}

func TestOtherModesAreWrongUsage(t *testing.T) {
	got := cmdtest.Run(t, newCmd, cmdtest.Case{Client: &refusing{}, Args: []string{"onboard", "--tenant", "acme", "--name", "x", "--mode", "pigeon"}})
	if got.Exit != 2 || !strings.Contains(got.Err, "--mode") || !strings.Contains(got.Err, "package") {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
}
