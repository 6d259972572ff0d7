package serve

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"edgesync/certs/issue"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
)

// Options are the flags of serve.
type Options struct {
	*cmdutil.Factory
	Listen        string
	CAListen      string
	AdminListen   string
	MetricsListen string
	CertLife      time.Duration
}

// NewCmdServe makes serve.
func NewCmdServe(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the platform: the agent-gateway, the enrolment CA, the admin socket, metrics and health",
		Long: `Run the platform: the agent-gateway, the enrolment CA, the admin socket, metrics and health, until interrupted.

Streams under way are answered before it ends; a second signal ends it at once.

--cert-life bounds what a stolen key is worth: services, operators and the platform's own servers renew their
certificates at two thirds of it, unaided. A new life counts from each one's next renewal. Give it to every replica.`,
		Example: `  edgesync serve
  edgesync serve --admin-listen :9465 --metrics-listen ""`,
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
	flags.DurationVar(&opts.CertLife, "cert-life", issue.DefaultLife, fmt.Sprintf("how long certificates live that are signed here, between %s and %s", issue.MinLife, issue.MaxLife))
	return cmd
}

func serveRun(ctx context.Context, opts *Options) error {
	if opts.CertLife < issue.MinLife || opts.CertLife > issue.MaxLife {
		return cmdutil.Usagef("--cert-life %s is not between %s and %s", opts.CertLife, issue.MinLife, issue.MaxLife)
	}
	dir, err := opts.StateDir()
	if err != nil {
		return err
	}
	database, err := state.Database(opts.Database())
	if err != nil {
		return err
	}
	platform, err := Start(ctx, Config{
		StateDir: dir, Database: database, Listen: opts.Listen, CAListen: opts.CAListen, AdminListen: opts.AdminListen, MetricsListen: opts.MetricsListen,
		CertLife: opts.CertLife, Logger: opts.Logger(slog.LevelInfo), Now: opts.Now,
	})
	if err != nil {
		return err
	}
	return platform.Wait()
}
