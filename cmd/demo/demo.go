// Package demo is the command that shows the whole of edgesync at once: a
// platform, tenants with an edge sync service each, and the systems those read,
// all in this process, on loopback, with real TLS and real files.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/faker/inventory"
)

const (
	defaultDevices = 5000
	defaultTenants = 2
	maxTenants     = 50
)

// Options are the flags of demo.
type Options struct {
	*cmdutil.Factory
	Devices int
	Tenants int
	Keep    bool
}

// NewCmdDemo makes demo.
func NewCmdDemo(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch devices of fake Armis and NetBox servers arrive on a whole platform",
		Long: `Watch devices of fake Armis and NetBox servers arrive on a whole platform.

It bootstraps a platform in a temporary directory, adds tenants, onboards an edge sync service for each, gives it an
Armis and a NetBox source served on loopback, runs it, and compares what the platform then has with what the servers
have. Everything is real but the two servers, and gone at the end. On a terminal it opens the dashboard over it, and
ends with that; with --no-input it prints a summary.`,
		Example: `  edgesync demo
  edgesync demo --devices 50000 --tenants 3 --no-input -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.NoPlatform("the platform is one of its own"); err != nil {
				return err
			}
			return cmdutil.Run(cmd, opts, runF, demoRun)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.Devices, "devices", defaultDevices, "how many devices each source has")
	flags.IntVar(&opts.Tenants, "tenants", defaultTenants, "how many tenants there are")
	flags.BoolVar(&opts.Keep, "keep", false, "keep the directory, to go on with its platform")
	return cmd
}

func (o *Options) check() error {
	if o.Devices < 1 || o.Devices > inventory.MaxDevices {
		return cmdutil.Usagef("--devices %d: want 1 to %d", o.Devices, inventory.MaxDevices)
	}
	if o.Tenants < 1 || o.Tenants > maxTenants {
		return cmdutil.Usagef("--tenants %d: want 1 to %d", o.Tenants, maxTenants)
	}
	return nil
}

func demoRun(ctx context.Context, opts *Options) (err error) {
	if err := opts.check(); err != nil {
		return err
	}
	began := opts.Now()
	ctx, stop := untilGone(ctx)
	defer stop()
	dir, err := os.MkdirTemp("", "edgesync-demo-")
	if err != nil {
		return fmt.Errorf("make directory of the demo: %w: set TMPDIR to a directory that can be written", err)
	}
	defer func() { err = errors.Join(err, leave(opts, dir)) }()
	logs, err := os.OpenFile(filepath.Join(dir, "demo.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("make log of the demo: %w", err)
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	s := &stage{
		opts: opts, dir: dir, dashboard: opts.CanPrompt() && opts.IO.FullScreen() && opts.Format.Human(), log: slog.New(slog.NewTextHandler(logs, nil)),
		board: &board{},
	}
	d, err := s.play(ctx)
	if err != nil || s.dashboard {
		return err
	}
	d.Seconds = opts.Now().Sub(began).Round(time.Millisecond).Seconds()
	if err := d.print(opts); err != nil {
		return err
	}
	return d.judge()
}

// untilGone ends with ctx, and when the terminal is closed. Neither that nor an
// output that nobody reads any more ends the process before its directory, which
// holds keys, is removed.
func untilGone(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(syscall.SIGPIPE) // Writing says it instead.
	stop := func() {}
	if !signal.Ignored(syscall.SIGHUP) {
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
	}
	return ctx, func() {
		stop()
		signal.Reset(syscall.SIGPIPE)
	}
}

// leave removes the demo's directory, or tells how to go on with it.
func leave(opts *Options, dir string) error {
	if !opts.Keep {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove directory of the demo: %w", err)
		}
		return nil
	}
	opts.IO.Tellf("kept %s: see its devices with `edgesync device list --state-dir %s`", dir, filepath.Join(dir, stateDir))
	return nil
}
