// Package run is the command that runs the sync runtime: on an edge host, or
// beside the platform for the platform's own sync service. It knows the minimal
// config and nothing of the platform.
package run

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/syncrun"
)

// defaultConfig is where an edge package is installed.
const defaultConfig = "/etc/edgesync/config/sync.json"

// Options are the flags of run.
type Options struct {
	*cmdutil.Factory
	Config  string
	DataDir string
	Once    bool
}

// NewCmdRun makes run.
func NewCmdRun(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a sync service: read its sources and send what they hold to the gateway",
		Long: `Run a sync service: read its sources and send what they hold to the gateway, until interrupted.

The config says who it is and where its gateway is; which sources it has comes from the gateway. Streams under way
are finished before it ends; a second signal ends it at once. With --once it reads every source once, and fails if
one could not be brought over whole.`,
		Example: `  edgesync run --config /etc/edgesync/config/sync.json --data-dir /var/lib/edgesync
  edgesync run --config edge-package-hq-sync/config/sync.json --once`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, runRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Config, "config", defaultConfig, "minimal config of the sync service")
	flags.StringVar(&opts.DataDir, "data-dir", "", "directory for runs that wait for the gateway (default: a temporary one)")
	flags.BoolVar(&opts.Once, "once", false, "read every source once and end")
	return cmd
}

func runRun(ctx context.Context, opts *Options) error {
	config := Config{File: opts.Config, DataDir: opts.DataDir, Once: opts.Once, Now: opts.Now, Logger: opts.Logger(slog.LevelInfo)}
	runs := &summary{}
	if opts.Once {
		config.Observe = runs.observe
	}
	runtime, err := New(config)
	if err != nil {
		return err
	}
	err = runtime.Run(ctx)
	var failed *syncrun.SourcesError
	if opts.Once && (err == nil || errors.As(err, &failed)) {
		return errors.Join(err, runs.print(opts))
	}
	return err
}
