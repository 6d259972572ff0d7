package serve

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	"edgesync/cmd/telemetry"
)

// Options are the flags of serve.
type Options struct {
	*cmdutil.Factory
	Listen        string
	CAListen      string
	AdminListen   string
	MetricsListen string
	OTLPEndpoint  string
}

// NewCmdServe makes serve.
func NewCmdServe(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the platform: the agent-gateway, the enrolment CA, the admin socket, metrics and health",
		Long: `Run the platform: the agent-gateway, the enrolment CA, the admin socket, metrics and health, until interrupted.

Streams under way are answered before it ends; a second signal ends it at once.`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, serveRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Listen, "listen", DefaultListen, "address of the agent-gateway")
	flags.StringVar(&opts.CAListen, "ca-listen", DefaultCAListen, "address of the enrolment CA; empty for none")
	flags.StringVar(&opts.AdminListen, "admin-listen", "", "address of the administration API for operators elsewhere, over mTLS (default: none, the socket alone)")
	flags.StringVar(&opts.MetricsListen, "metrics-listen", DefaultMetricsListen, "address of metrics and health, over plain HTTP; empty for none")
	flags.StringVar(&opts.OTLPEndpoint, "otlp-endpoint", "", telemetry.Usage)
	return cmd
}

func serveRun(ctx context.Context, opts *Options) error {
	dir, err := opts.StateDir()
	if err != nil {
		return err
	}
	database, err := state.Database(opts.Database())
	if err != nil {
		return err
	}
	logger := opts.Logger(slog.LevelInfo)
	tracer, flush, err := telemetry.Start(ctx, telemetry.Options{Endpoint: opts.OTLPEndpoint, Env: opts.Env, Service: "edgesync-serve", Logger: logger})
	if err != nil {
		return err
	}
	defer flush()
	platform, err := Start(ctx, Config{
		StateDir: dir, Database: database, Listen: opts.Listen, CAListen: opts.CAListen, AdminListen: opts.AdminListen, MetricsListen: opts.MetricsListen,
		Logger: logger, Tracer: tracer, Now: opts.Now,
	})
	if err != nil {
		return err
	}
	return platform.Wait()
}
