package run

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
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
	// DataDir is where runs wait for the gateway; empty means a temporary one.
	DataDir string
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
	if err := prepareDataDir(config.DataDir); err != nil {
		return nil, err
	}
	// Without a name the gateway just does not learn one.
	hostname, _ := os.Hostname()
	return syncrun.New(syncrun.Options{
		Config: minimal, Transport: credentials.NewTLS(tls), DataDir: config.DataDir, Once: config.Once,
		Adapters: adapters, Source: source.Options{TempDir: config.DataDir, Now: config.Now},
		Logger: config.Logger, Observe: config.Observe, Now: config.Now,
		Version: cmdutil.Version, Hostname: hostname,
	})
}

func prepareDataDir(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

// adapters is the table of source types that can be run.
var adapters = map[string]syncrun.NewAdapter{
	payload.TypeArmis:  armis.New,
	payload.TypeNetBox: netbox.New,
	payload.TypeFaker:  faker.New,
}
