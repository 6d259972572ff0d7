// Package cmd is the command line: the tree of commands, their wiring, and the
// one place where errors become exit codes.
package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdutil"
)

// Main runs the command line of this process and returns its exit code.
func Main() int { return mainAt(time.Now) }

func mainAt(now func() time.Time) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default holds again: a second one aborts.
	defer context.AfterFunc(ctx, stop)()
	streams := systemStreams(ctx, os.LookupEnv)
	return runAt(ctx, streams, os.LookupEnv, now, os.Args[1:])
}

// Run runs one command line and returns its exit code.
func Run(ctx context.Context, streams *cmdutil.IOStreams, env func(string) (string, bool), args []string) int {
	return runAt(ctx, streams, env, time.Now, args)
}

func runAt(ctx context.Context, streams *cmdutil.IOStreams, env func(string) (string, bool), now func() time.Time, args []string) int {
	f := &cmdutil.Factory{IO: streams, Env: env, Now: now, UID: os.Geteuid()}
	platform := &platform{factory: f}
	f.Admin = platform.connect
	f.CreateAdmin = platform.create
	f.Local = platform.local
	f.Again = func(ctx context.Context, args ...string) error { return again(ctx, f, args) }
	root := NewRoot(f)
	root.SetArgs(args)
	out := &output{Writer: streams.Out}
	root.SetOut(out)
	err := root.ExecuteContext(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("write output: %w", out.err)
	}
	// What a command did counts even where giving the platform back fails.
	if closing := platform.close(); err == nil {
		err = closing
	}
	if err == nil {
		return cmdutil.ExitDone
	}
	err = ofBytes(err, args)
	fmt.Fprintln(streams.Err, "edgesync: "+cmdutil.ErrorLine(err))
	return cmdutil.ExitCode(err)
}

// output remembers what went wrong in writing help, which nobody else does.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(text []byte) (int, error) {
	n, err := o.Writer.Write(text)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// ofBytes is err, or that an argument is no text where that is what no request
// could be made of.
func ofBytes(err error, args []string) error {
	at := slices.IndexFunc(args, func(arg string) bool { return !utf8.ValidString(arg) })
	if at < 0 || status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "invalid UTF-8") {
		return err
	}
	return cmdutil.Usagef("read argument %q: it is not UTF-8: give it as UTF-8", args[at])
}

// again runs another command line on the platform of f, which stays connected.
func again(ctx context.Context, f *cmdutil.Factory, args []string) error {
	inner := *f
	root := NewRoot(&inner) // Its flags have their defaults now.
	inner.StateDirFlag, inner.DatabaseFlag, inner.Server, inner.Identity = f.StateDirFlag, f.DatabaseFlag, f.Server, f.Identity
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
