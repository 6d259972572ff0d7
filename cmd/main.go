// Package cmd is the command line: the tree of commands, their wiring, and the
// one place where errors become exit codes.
package cmd

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"edgesync/cmd/cmdutil"
)

// Main runs the command line of this process and returns its exit code.
func Main() int { return mainAt(time.Now) }

func mainAt(now func() time.Time) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default holds again: a second one aborts.
	defer context.AfterFunc(ctx, stop)()
	streams := systemStreams(os.LookupEnv)
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
	root := NewRoot(f)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	// What a command did counts even where giving the platform back fails.
	if closing := platform.close(); err == nil {
		err = closing
	}
	if err == nil {
		return cmdutil.ExitDone
	}
	fmt.Fprintln(streams.Err, "edgesync: "+cmdutil.ErrorLine(err))
	return cmdutil.ExitCode(err)
}
