// Package run is the command that runs the sync runtime: on an edge host, or
// beside the platform for the platform's own sync service. It knows the minimal
// config and nothing of the platform.
package run

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/telemetry"
	"edgesync/proto/shell"
	"edgesync/syncrun"
	"edgesync/syncrun/outbox"
	"edgesync/syncrun/source"
)

// defaultConfig is where an edge package is installed.
const defaultConfig = "/etc/edgesync/config/sync.json"

// Options are the flags of run.
type Options struct {
	*cmdutil.Factory
	Config  string
	DataDir string
	// OutboxMax is in bytes.
	OutboxMax    size
	ConfigMaxAge time.Duration
	EgressAllow  []string
	Once         bool
	// MetricsListen is the address of metrics and health; empty for none.
	MetricsListen string
	OTLPEndpoint  string
}

// NewCmdRun makes run.
func NewCmdRun(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f, OutboxMax: outbox.DefaultMaxBytes}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a sync service: read its sources and send what they hold to the gateway",
		Long: `Run a sync service: read its sources and send what they hold to the gateway, until interrupted.

The config says who it is and where its gateway is; which sources it has comes from the gateway. Streams under way
are finished before it ends; a second signal ends it at once. With --once it reads every source once, and fails if
one could not be brought over whole.

What was read waits in the data directory until the gateway has stored it, whatever happens meanwhile, and the last
configuration is kept there, encrypted, so that a service that starts while the gateway is away goes on reading. Give
each service a directory of its own.

The platform's own service, which acts for tenants, dials no private, loopback, link-local or metadata address, but
those of --egress-allow. A tenant's own service may reach any.`,
		Example: `  edgesync run --config /etc/edgesync/config/sync.json --data-dir /var/lib/edgesync
  edgesync run --config edge-package-hq-sync/config/sync.json --once`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.NoPlatform("the gateway is the one that the config names"); err != nil {
				return err
			}
			return cmdutil.Run(cmd, opts, runF, runRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Config, "config", defaultConfig, "minimal config of the sync service")
	flags.StringVar(&opts.DataDir, "data-dir", "", "directory for what waits for the gateway (default: one of the service's own below the state directory; with --once a temporary one)")
	flags.Var(&opts.OutboxMax, "outbox-max", "the most disk that waiting runs may take")
	flags.DurationVar(&opts.ConfigMaxAge, "config-max-age", 7*24*time.Hour, "how old the configuration may be with which a service starts while the gateway is away; 0 for none")
	flags.Lookup("config-max-age").DefValue = shell.Duration(opts.ConfigMaxAge)
	flags.StringArrayVar(&opts.EgressAllow, "egress-allow", nil, "network (CIDR) that the platform's own service may reach besides the public internet; may be repeated")
	flags.StringVar(&opts.MetricsListen, "metrics-listen", "", "address of metrics and health, over plain HTTP (default: none)")
	flags.StringVar(&opts.OTLPEndpoint, "otlp-endpoint", "", telemetry.Usage)
	flags.BoolVar(&opts.Once, "once", false, "read every source once and end")
	return cmd
}

// config is what the flags say.
func (opts *Options) config() (Config, error) {
	egress, err := source.ParseEgress(opts.EgressAllow)
	if err != nil {
		return Config{}, cmdutil.Usagef("--egress-allow: %w", err)
	}
	config := Config{
		File: opts.Config, DataDir: opts.DataDir, OutboxMax: int64(opts.OutboxMax), CacheLife: opts.ConfigMaxAge, Egress: egress,
		Once: opts.Once, Now: opts.Now, Logger: opts.Logger(slog.LevelInfo),
	}
	if opts.ConfigMaxAge <= 0 {
		config.CacheLife = -1
	}
	if opts.DataDir == "" && !opts.Once {
		state, err := opts.StateDir()
		if err != nil {
			return Config{}, err
		}
		config.DataRoot = filepath.Join(state, "run")
	}
	return config, nil
}

func runRun(ctx context.Context, opts *Options) error {
	config, err := opts.config()
	if err != nil {
		return err
	}
	runs := &summary{}
	manager := newNotifier(opts.Env)
	listeners := []func(syncrun.Event){manager.observe}
	if opts.Once {
		listeners = append(listeners, runs.observe)
	}
	end := func() {}
	if opts.IO.ErrTerminal || opts.Once {
		shown := newBoard(opts.Factory)
		if end = shown.Keep; opts.Once { // A summary follows.
			end = shown.End
		}
		defer func() { end() }()
		if opts.IO.ErrTerminal {
			config.Logger = slog.New(slog.NewTextHandler(shown, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
		listeners = append(listeners, shown.observe)
	}
	config.Observe = func(e syncrun.Event) {
		for _, listener := range listeners {
			listener(e)
		}
	}
	tracer, flush, err := telemetry.Start(ctx, telemetry.Options{Endpoint: opts.OTLPEndpoint, Env: opts.Env, Service: "edgesync-run", Logger: config.Logger})
	if err != nil {
		return err
	}
	defer flush()
	config.Tracer = tracer
	service, err := New(config)
	if err != nil {
		return err
	}
	err = watched(ctx, opts, service, manager)
	end()
	var failed *syncrun.SourcesError
	if opts.Once && (err == nil || errors.As(err, &failed)) {
		return errors.Join(err, runs.print(opts))
	}
	return err
}

// watched runs the service with everybody who watches it, and waits for them.
func watched(ctx context.Context, opts *Options, service *Service, manager *notifier) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var watchers errgroup.Group
	if opts.MetricsListen != "" {
		listener, err := cmdutil.Listen(ctx, "metrics", opts.MetricsListen)
		if err != nil {
			return err
		}
		watchers.Go(func() error {
			return cmdutil.ServeHTTP(watching, listener, watchHandler(service, service.Collectors()...))
		})
	}
	watchers.Go(func() error { watchdog(watching, manager, service); return nil })
	manager.Tell("READY=1")
	defer context.AfterFunc(ctx, func() { manager.Tell("STOPPING=1") })()
	err := service.Run(ctx)
	stop()
	return errors.Join(err, watchers.Wait())
}
