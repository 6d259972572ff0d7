package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"edgesync/certs/client"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/renewal"
	"edgesync/onboarding"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/armis"
	"edgesync/syncrun/source/faker"
	"edgesync/syncrun/source/netbox"
)

// Config says which sync service is run and how.
type Config struct {
	// File is the minimal config.
	File string
	// DataDir is where runs wait for the gateway; empty means a temporary one,
	// unless DataRoot names the folder in which the service gets one of its own.
	DataDir, DataRoot string
	// OutboxMax bounds what waits, in bytes; CacheLife is how old a cached
	// configuration may be, and below zero there is none. Zero takes the defaults.
	OutboxMax int64
	CacheLife time.Duration
	// Egress are the networks that the platform's own service may reach besides
	// the public internet.
	Egress *source.Egress
	// Once reads every source once and ends.
	Once   bool
	Logger *slog.Logger
	// Tracer follows each run; nil follows none.
	Tracer  *tracing.Tracer
	Observe func(syncrun.Event)
	Now     func() time.Time
}

// Service is a sync service: its runtime, and the identity that is kept renewed
// while it runs.
type Service struct {
	runtime *syncrun.Runtime
	kept    *renewal.Kept
}

// New reads the config and the identity it names, and makes the service.
func New(config Config) (*Service, error) {
	minimal, err := onboarding.LoadConfig(config.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, cmdutil.Errorf(cmdutil.ExitNotFound, "%w: name the minimal config of an edge package with --config", err)
	case err != nil:
		return nil, cmdutil.Usagef("%w", err)
	}
	held, err := minimal.LoadIdentity()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, cmdutil.Errorf(cmdutil.ExitNotFound, "%w", err)
	case err != nil:
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	}
	kept := renewal.Keep(minimal.Paths(), held, config.Now, config.Logger)
	transport, err := kept.Transport(minimal.ServerName())
	if err != nil {
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	}
	dir, err := dataDir(config, minimal, held)
	if err != nil {
		return nil, err
	}
	// Without a name the gateway just does not learn one.
	hostname, _ := os.Hostname()
	runtime, err := syncrun.New(syncrun.Options{
		Config: minimal, Transport: transport, DataDir: dir, Once: config.Once,
		OutboxMax: config.OutboxMax, CacheLife: config.CacheLife, Egress: config.Egress,
		Adapters: adapters, Source: source.Options{TempDir: dir, Now: config.Now},
		Logger: config.Logger, Tracer: config.Tracer, Observe: config.Observe, Now: config.Now,
		Version: cmdutil.Version, Hostname: hostname,
	})
	if err != nil {
		return nil, err
	}
	return &Service{runtime: runtime, kept: kept}, nil
}

// Run renews the identity if that is due, and then runs the runtime, renewing
// whenever it is due again, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if err := s.renewFirst(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { s.kept.Run(ctx) })
	defer renewing.Wait()
	defer stop()
	return s.runtime.Run(ctx)
}

// Healthy says why the runtime does not work, or nil.
func (s *Service) Healthy(patience time.Duration) error { return s.runtime.Healthy(patience) }

// Collectors count what the runtime does, and tell when its identity ends.
func (s *Service) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.runtime.Collector(), cmdutil.CertificateExpiry(
		"edgesync_run_certificate_expiry_timestamp_seconds", "When the service's certificate ends, in unix time.", s.kept.Certificate)}
}

// renewFirst is no reason not to run, unless it never will be possible.
func (s *Service) renewFirst(ctx context.Context) error {
	err := s.kept.Check(ctx)
	if errors.Is(err, client.ErrEnded) {
		return cmdutil.Errorf(cmdutil.ExitRefused, "run: %w", err)
	}
	return nil
}

// dataDir makes the directory in which a service keeps what must outlive it. One
// that nobody named is the identity's own: what waits for the gateway is never
// sent under another's name.
func dataDir(config Config, minimal onboarding.MinimalConfig, held onboarding.Identity) (string, error) {
	dir := config.DataDir
	if dir == "" && config.DataRoot != "" {
		sum := sha256.New()
		for _, uri := range held.Chain[0].URIs {
			sum.Write([]byte(uri.String()))
		}
		dir = filepath.Join(config.DataRoot, minimal.AgentID+"-"+hex.EncodeToString(sum.Sum(nil)[:4]))
	}
	if dir == "" {
		return "", nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make data directory: %w; name another with --data-dir", err)
	}
	return dir, nil
}

// adapters is the table of source types that can be run.
var adapters = map[string]syncrun.NewAdapter{
	payload.TypeArmis:  armis.New,
	payload.TypeNetBox: netbox.New,
	payload.TypeFaker:  faker.New,
}
