// Package cmdtest runs commands against an admin client that a test makes up.
// It knows nothing of any platform.
package cmdtest

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// Now is what the clock says.
var Now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// Result is what a command left.
type Result struct {
	Out, Err string
	Error    error
	// Exit is what the process would end with.
	Exit int
}

// Terminal is somebody at a keyboard: Lines answer the questions, Secrets those
// without echo.
type Terminal struct {
	Lines   string
	Secrets []string
}

// Case is one command line.
type Case struct {
	Client   adminv1.AdminClient
	Env      map[string]string
	Stdin    string
	Terminal *Terminal
	Args     []string
}

// Run runs the command that newCmd makes under a root with the persistent flags.
func Run(t *testing.T, newCmd func(*cmdutil.Factory) *cobra.Command, c Case) Result {
	t.Helper()
	streams, out, errOut := cmdutil.TestStreams(c.Stdin)
	if c.Terminal != nil {
		attach(streams, *c.Terminal)
	}
	f := &cmdutil.Factory{
		IO:  streams,
		Env: func(name string) (string, bool) { value, ok := c.Env[name]; return value, ok },
		Now: func() time.Time { return Now },
		Admin: func(context.Context) (adminv1.AdminClient, error) {
			return c.Client, nil
		},
	}
	root := cmdutil.NewGroup("edgesync", "test")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(out)
	root.SetErr(errOut)
	f.AddPersistentFlags(root)
	root.AddCommand(newCmd(f))
	root.SetArgs(c.Args)
	err := root.ExecuteContext(t.Context())
	result := Result{Out: out.String(), Error: err, Exit: cmdutil.ExitCode(err)}
	if err != nil {
		errOut.WriteString(cmdutil.ErrorLine(err) + "\n")
	}
	result.Err = errOut.String()
	return result
}

func attach(streams *cmdutil.IOStreams, terminal Terminal) {
	streams.InTerminal, streams.ErrTerminal = true, true
	streams.In = bufio.NewReader(strings.NewReader(terminal.Lines))
	secrets := terminal.Secrets
	streams.ReadSecret = func() ([]byte, error) {
		if len(secrets) == 0 {
			return nil, io.EOF
		}
		next := secrets[0]
		secrets = secrets[1:]
		return []byte(next), nil
	}
}

// Stream is a server stream that yields Items and then End, or io.EOF.
type Stream[T any] struct {
	grpc.ClientStream
	Items []*T
	End   error
}

// Recv yields the next item.
func (s *Stream[T]) Recv() (*T, error) {
	if len(s.Items) > 0 {
		next := s.Items[0]
		s.Items = s.Items[1:]
		return next, nil
	}
	if s.End != nil {
		return nil, s.End
	}
	return nil, io.EOF
}
