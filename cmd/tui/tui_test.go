package tui

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui"
)

func TestABugIsOneLineAndAFileOfItsDetails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f := &cmdutil.Factory{Now: func() time.Time { return cmdtest.Now }}
	err := broken(f, &tui.Fault{Doing: "draw", Value: "index out of range", Stack: []byte("goroutine 1\nmain.main()\n")})
	line := cmdutil.ErrorLine(err)
	if cmdutil.ExitCode(err) != cmdutil.ExitFailed || strings.Contains(line, "\n") || !strings.Contains(line, "draw: index out of range") {
		t.Errorf("exit %d, %q", cmdutil.ExitCode(err), line)
	}
	_, rest, _ := strings.Cut(line, "the details are in ")
	path, _, _ := strings.Cut(rest, ":")
	details, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(details), "goroutine 1\nmain.main()") || !strings.Contains(string(details), cmdutil.Version) {
		t.Errorf("the details are %q, %v", details, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestWhatIsLoggedMeanwhileFollows(t *testing.T) {
	var terminal strings.Builder
	held := &heldWriter{to: &terminal}
	_, _ = held.Write([]byte("one\n"))
	if terminal.Len() > 0 {
		t.Errorf("the screen got %q", terminal.String())
	}
	held.release()
	_, _ = held.Write([]byte("two\n"))
	if terminal.String() != "one\ntwo\n" {
		t.Errorf("afterwards %q", terminal.String())
	}
}

// standing is a platform that tells how it stands.
type standing struct{ adminv1.AdminClient }

func (standing) Watch(context.Context, *adminv1.WatchRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.WatchUpdate], error) {
	return &cmdtest.Stream[adminv1.WatchUpdate]{Items: []*adminv1.WatchUpdate{{
		Platform: &adminv1.Platform{TrustDomain: "edge.example"},
		Tenants: []*adminv1.TenantSummary{{
			Tenant: &adminv1.Tenant{Slug: "acme"}, DeviceCount: 1234,
			Services: []*adminv1.SyncService{{Status: "online"}, {Status: "offline"}},
			Sources: []*adminv1.Source{{
				Tenant: "acme", Enabled: true, Spec: &adminv1.SourceSpec{Name: "hq"}, LastSyncResult: "failed", ConsecutiveFailures: 3, LastErrorMessage: "no\nroute",
			}},
		}},
	}}}, nil
}

func TestPlainLinesAnswerPlainQuestions(t *testing.T) {
	var asked [][]string
	newCmd := func(f *cmdutil.Factory) *cobra.Command {
		f.Again = func(_ context.Context, args ...string) error {
			asked = append(asked, args)
			if args[0] == "cert" {
				return cmdutil.Errorf(cmdutil.ExitNotFound, "find certificate: there is none")
			}
			return nil
		}
		return NewCmdTUI(f, nil)
	}
	got := cmdtest.Run(t, newCmd, cmdtest.Case{
		Client: standing{}, Args: []string{"tui", "--accessible"},
		Terminal: &cmdtest.Terminal{Lines: strings.Join([]string{
			"1", "3", "devices", "10.0.", "devices", "", "new source", "", "test source", "hq armis",
			`edgesync source show "hq armis"`, "cert list", `service show "x`, "help", "quit", "6",
		}, "\n") + "\n"},
	})
	want := "[service list][device list --limit 20 --search 10.0.][device list --limit 20][source test hq armis][source show hq armis][cert list]"
	said := ""
	for _, args := range asked {
		said += "[" + strings.Join(args, " ") + "]"
	}
	if said != want || got.Exit != 0 {
		t.Errorf("exit %d, ran %s", got.Exit, said)
	}
	for _, line := range []string{"2 sync services: 1 online, 1 never seen.", "1 source: 1 failed.", "1234 devices.", `Attention: source hq of tenant acme fails: no\nroute.`} {
		if !strings.Contains(got.Out, line+"\n") {
			t.Errorf("%q is not in\n%s", line, got.Out)
		}
	}
	for _, line := range []string{"nothing was answered", "That did not work: find certificate: there is none", "a quotation mark is not closed"} {
		if !strings.Contains(got.Err, line) {
			t.Errorf("%q is not in\n%s", line, got.Err)
		}
	}
	if strings.Contains(got.Out+got.Err, "\x1b") {
		t.Error("something is drawn")
	}
}

func TestWithoutATerminalItSaysWhatToUse(t *testing.T) {
	for _, args := range [][]string{{"tui"}, {"tui", "--accessible"}} {
		got := cmdtest.Run(t, func(f *cmdutil.Factory) *cobra.Command { return NewCmdTUI(f, nil) }, cmdtest.Case{Args: args})
		if got.Exit != cmdutil.ExitUsage || !strings.Contains(got.Err, "--output json") {
			t.Errorf("%v: exit %d, %q", args, got.Exit, got.Err)
		}
	}
}
