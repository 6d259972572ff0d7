package serve

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"edgesync/certs/issue"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/settings"
	"edgesync/cmd/state"
	"edgesync/cmd/telemetry"
	"edgesync/proto/shell"
)

// Options are the settings of serve.
type Options struct {
	*cmdutil.Factory
	// Config is the file of settings; empty for the usual one.
	Config        string
	Listen        string
	CAListen      string
	AdminListen   string
	MetricsListen string
	OTLPEndpoint  string
	// EventRetention is how long events are kept; 0 means for good.
	EventRetention cmdutil.Age
	CertLife       time.Duration
	// The networks whose addresses may connect; none means any.
	GatewayAllow, CAAllow, AdminAllow, MetricsAllow networks
	LogLevel                                        level
	LogFormat                                       format
	LimitConnections, LimitStreams, LimitCalls      limit
	// KeysetFile is for a directory that was not bootstrapped, of a platform in a
	// database.
	KeysetFile string

	// flags are what Options is filled through, and values what that found.
	flags  *pflag.FlagSet
	values settings.Values
}

// NewCmdServe makes serve.
func NewCmdServe(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the platform: the agent-gateway, the enrolment CA, the admin socket, metrics and health",
		Long: `Run the platform: the agent-gateway, the enrolment CA, the admin socket, metrics and health, until interrupted.

Every flag is also a key of a YAML file (with _ for -) and a variable of the environment (EDGESYNC_LISTEN for
--listen). A flag is stronger than the environment, the environment than the file; lists are separated by commas in
the environment. The file is /etc/edgesync/serve.yaml if it exists, or what --config or EDGESYNC_CONFIG names. A key
that is no setting is an error. ` + "`edgesync serve config show`" + ` tells every value and where it came from.

On SIGHUP the file is read again. The log level, the networks that may connect and the limits change at once, and
the certificates are looked at anew; what needs a restart is named in the log.

--cert-life bounds what a stolen key is worth: services, operators and the platform's own servers renew their
certificates at two thirds of it, unaided. A new life counts from each one's next renewal. Give it to every replica.

Streams under way are answered before it ends; a second signal ends it at once.`,
		Example: `  edgesync serve
  edgesync serve --listen :50052 --admin-listen :50053 --admin-allow 10.0.0.0/8`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.OnlyHere("a platform is served"); err != nil {
				return err
			}
			if err := opts.load(cmd.Flags()); err != nil {
				return err
			}
			return cmdutil.Run(cmd, opts, runF, serveRun)
		},
	}
	opts.declare(cmd.PersistentFlags())
	cmd.AddCommand(cmdutil.NewGroup("config", "See what serve is configured to do", newCmdShow(opts)))
	return cmd
}

// declare makes the flags that fill Options.
func (opts *Options) declare(flags *pflag.FlagSet) {
	flags.StringVar(&opts.Config, "config", "", "file of settings (env EDGESYNC_CONFIG; default /etc/edgesync/serve.yaml if it exists)")
	settings.Exclude(flags, "config")
	flags.StringVar(&opts.Listen, "listen", DefaultListen, "address of the agent-gateway")
	flags.StringVar(&opts.CAListen, "ca-listen", DefaultCAListen, "address of the enrolment CA; empty for none")
	flags.StringVar(&opts.AdminListen, "admin-listen", "", "address of the administration API for operators elsewhere, over mTLS (default: none, the socket alone)")
	flags.StringVar(&opts.MetricsListen, "metrics-listen", DefaultMetricsListen, "address of metrics and health, over plain HTTP; empty for none")
	flags.StringVar(&opts.OTLPEndpoint, "otlp-endpoint", "", telemetry.Usage)
	flags.Var(&opts.EventRetention, "event-retention", "how long events are kept, such as 90d (default: for good)")
	flags.DurationVar(&opts.CertLife, "cert-life", issue.DefaultLife, fmt.Sprintf("how long certificates live that are signed here, between %s and %s", shell.Duration(issue.MinLife), shell.Duration(issue.MaxLife)))
	flags.Lookup("cert-life").DefValue = shell.Duration(issue.DefaultLife)
	flags.Var(&opts.GatewayAllow, "gateway-allow", "networks (CIDR) that may connect to the gateway (default: any)")
	flags.Var(&opts.CAAllow, "ca-allow", "networks (CIDR) that may connect to the enrolment CA (default: any)")
	flags.Var(&opts.AdminAllow, "admin-allow", "networks (CIDR) that may connect to --admin-listen (default: any)")
	flags.Var(&opts.MetricsAllow, "metrics-allow", "networks (CIDR) that may connect to --metrics-listen (default: any)")
	flags.Var(&opts.LogLevel, "log-level", "what is logged: debug, info, warn or error, and all that is worse")
	flags.Var(&opts.LogFormat, "log-format", "how it is logged: text or json")
	defaults := defaultLimits()
	opts.LimitConnections, opts.LimitStreams, opts.LimitCalls = limit(defaults.Connections), limit(defaults.Streams), limit(defaults.Calls)
	flags.Var(&opts.LimitConnections, "limit-connections", "the most connections of one sync service")
	flags.Var(&opts.LimitStreams, "limit-streams", "the most streams of device updates that a tenant may have open")
	flags.Var(&opts.LimitCalls, "limit-calls", "the most calls a second over one connection")
	flags.StringVar(&opts.KeysetFile, "keyset-file", "", "keyset of a platform in a --database, where the state directory is empty (default: the state directory's)")
	settings.Live(flags, "gateway-allow", "ca-allow", "admin-allow", "metrics-allow", "log-level",
		"limit-connections", "limit-streams", "limit-calls")
}

// live are the settings that a running platform takes.
func (opts *Options) live() Live {
	return Live{
		Allow:  Allow{Gateway: opts.GatewayAllow, CA: opts.CAAllow, Admin: opts.AdminAllow, Metrics: opts.MetricsAllow},
		Limits: Limits{Connections: int(opts.LimitConnections), Streams: int(opts.LimitStreams), Calls: int(opts.LimitCalls)},
	}
}

// config is the platform to be served.
func (opts *Options) config(logger *slog.Logger) (Config, error) {
	if opts.CertLife < issue.MinLife || opts.CertLife > issue.MaxLife {
		return Config{}, cmdutil.Usagef("--cert-life %s is not between %s and %s", shell.Duration(opts.CertLife), shell.Duration(issue.MinLife), shell.Duration(issue.MaxLife))
	}
	dir, err := opts.stateDir()
	if err != nil {
		return Config{}, err
	}
	told := opts.database()
	database, err := state.Database(told.URL, told.Argument)
	if err != nil {
		return Config{}, err
	}
	return Config{
		StateDir: dir, Database: database, DatabasePassword: told.Password(), KeysetFile: opts.KeysetFile,
		Listen: opts.Listen, CAListen: opts.CAListen, AdminListen: opts.AdminListen, MetricsListen: opts.MetricsListen,
		EventRetention: time.Duration(opts.EventRetention), CertLife: opts.CertLife, Live: opts.live(), Logger: logger, Now: opts.Now,
	}, nil
}

func serveRun(ctx context.Context, opts *Options) error {
	threshold := new(slog.LevelVar)
	threshold.Set(slog.Level(opts.LogLevel))
	config, err := opts.config(opts.logger(threshold))
	if err != nil {
		return err
	}
	tracer, flush, err := telemetry.Start(ctx, telemetry.Options{
		Endpoint: opts.OTLPEndpoint, Env: opts.Env, Service: "edgesync-serve", Logger: config.Logger,
	})
	if err != nil {
		return err
	}
	defer flush()
	config.Tracer = tracer
	platform, err := Start(ctx, config)
	if err != nil {
		return err
	}
	attending := opts.attend(ctx, platform, threshold)
	err = platform.Wait()
	attending()
	return err
}
