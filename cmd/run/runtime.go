package run

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/credentials"

	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
	"edgesync/proto/payload"
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
	Once    bool
	Logger  *slog.Logger
	Observe func(syncrun.Event)
	Now     func() time.Time
}

// New reads the config and the identity it names, and makes the runtime.
func New(config Config) (*syncrun.Runtime, error) {
	minimal, err := onboarding.LoadConfig(config.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, cmdutil.Errorf(cmdutil.ExitNotFound, "%w: name the minimal config of an edge package with --config", err)
	case err != nil:
		return nil, cmdutil.Usagef("%w", err)
	}
	tls, err := minimal.ClientTLS()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, cmdutil.Errorf(cmdutil.ExitNotFound, "%w", err)
	case err != nil:
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	}
	dir, err := dataDir(config, minimal)
	if err != nil {
		return nil, err
	}
	// Without a name the gateway just does not learn one.
	hostname, _ := os.Hostname()
	return syncrun.New(syncrun.Options{
		Config: minimal, Transport: credentials.NewTLS(tls), DataDir: dir, Once: config.Once,
		OutboxMax: config.OutboxMax, CacheLife: config.CacheLife, Egress: config.Egress,
		Adapters: adapters, Source: source.Options{TempDir: dir, Now: config.Now},
		Logger: config.Logger, Observe: config.Observe, Now: config.Now,
		Version: cmdutil.Version, Hostname: hostname,
	})
}

// dataDir makes the directory in which a service keeps what must outlive it. One
// that nobody named is the identity's own: what waits for the gateway is never
// sent under another's name.
func dataDir(config Config, minimal onboarding.MinimalConfig) (string, error) {
	dir := config.DataDir
	if dir == "" && config.DataRoot != "" {
		identity, err := onboarding.LoadIdentity(minimal.Paths())
		if err != nil {
			return "", err
		}
		sum := sha256.New()
		for _, uri := range identity.Chain[0].URIs {
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
