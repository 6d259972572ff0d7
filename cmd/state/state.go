package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/core"
	"edgesync/seal"
	"edgesync/store/sqlite"
)

// Options say which platform is opened and how.
type Options struct {
	Dir string
	// Database is the URL of the platform's database; empty means the one the
	// directory names, or files in it.
	Database string
	// Password, if set, is asked for the database's password at each connection.
	Password func() (string, error)
	// Create makes the directory, the keyset and the store where there are none.
	Create bool
	// KeysetFile is where Create puts the keyset, when not in Dir.
	KeysetFile string
	Logger     *slog.Logger
	Now        func() time.Time
	// CertLife is how long the certificates live that are signed here; zero takes
	// the default.
	CertLife time.Duration
	// Origin is through what the user acts; empty means "cli".
	Origin string
}

func (o Options) origin() string {
	if o.Origin == "" {
		return "cli"
	}
	return o.Origin
}

// State is an open platform. Nobody else has the directory open.
type State struct {
	Core  *core.Core
	store core.Store
	// keyset opens what is sealed in the store.
	keyset *seal.Keyset
	lock   *os.File
	// made are the paths that opening may have made, innermost first. They go
	// again if no platform comes of them.
	made []string
}

// open takes the directory's lock and opens the platform in it. errHeld is
// returned while another process has it.
func open(ctx context.Context, opts Options) (*State, error) {
	if err := becomeOwner(opts.Dir); err != nil {
		return nil, err
	}
	if err := opts.choose(); err != nil {
		return nil, err
	}
	found, err := exists(opts.Dir)
	if err != nil {
		return nil, err
	}
	if !found && sqlite.CutShort(opts.Dir) {
		return nil, cmdutil.Errorf(cmdutil.ExitConflict, "open platform in %s: a restore was cut short there: run `edgesync restore` again, or empty the directory", opts.Dir)
	}
	if !found && !opts.Create && opts.Database == "" {
		return nil, noPlatform(opts.Dir)
	}
	_, missing := os.Stat(opts.Dir)
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w: name another with --state-dir", err)
	}
	s := &State{}
	if s.lock, err = acquire(opts.Dir); err != nil {
		return nil, err
	}
	if err := s.load(ctx, opts); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if missing != nil && s.made != nil {
		s.made = append(s.made, filepath.Join(opts.Dir, lockFile), opts.Dir)
	}
	return s, nil
}

// Shared tells that the platform is in a database, which other processes may
// have open too.
func (s *State) Shared() bool {
	_, files := s.store.(*sqlite.Store)
	return !files
}

func (s *State) load(ctx context.Context, opts Options) error {
	var keyset *seal.Keyset
	var err error
	if opts.Database != "" {
		keyset, err = s.openDatabase(ctx, opts)
	} else {
		keyset, err = s.openFiles(ctx, opts)
	}
	if err != nil {
		return err
	}
	s.keyset = keyset
	s.Core, err = core.New(ctx, core.Options{Store: s.store, Keyset: keyset, Logger: opts.Logger, Now: opts.Now, LeafLife: opts.CertLife})
	return err
}

// openFiles opens the store that is in the directory.
func (s *State) openFiles(ctx context.Context, opts Options) (*seal.Keyset, error) {
	begun, err := exists(opts.Dir)
	if err != nil {
		return nil, err
	}
	var keyset *seal.Keyset
	if begun {
		keyset, err = openKeyset(opts)
	} else {
		keyset, err = s.makeKeyset(opts)
	}
	if err != nil {
		return nil, err
	}
	files, err := sqlite.Open(ctx, opts.Dir, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	s.store = files
	return keyset, nil
}

// openKeyset never makes one: a new keyset would not open what the lost one
// sealed.
func openKeyset(opts Options) (*seal.Keyset, error) {
	path, err := keysetPath(opts.Dir)
	if err != nil {
		return nil, err
	}
	keyset, err := seal.Open(path)
	return keyset, keysetError(err)
}

func (s *State) makeKeyset(opts Options) (*seal.Keyset, error) {
	for _, name := range []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm", tenantsDir, settingsFile} {
		s.made = append(s.made, filepath.Join(opts.Dir, name))
	}
	path := filepath.Join(opts.Dir, keysetFile)
	if opts.KeysetFile != "" {
		var err error
		if path, err = filepath.Abs(opts.KeysetFile); err != nil {
			return nil, fmt.Errorf("find keyset file: %w", err)
		}
	}
	if opts.KeysetFile != "" || opts.Database != "" {
		if err := writeSettings(opts.Dir, opts.settings()); err != nil {
			return nil, err
		}
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		s.made = append(s.made, path)
	}
	keyset, err := seal.OpenOrCreate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: make its directory first, or name another file with --keyset-file", err)
	}
	return keyset, keysetError(err)
}

func keysetError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cmdutil.Errorf(cmdutil.ExitNotFound, "%w: the platform's keys do not open without it: copy it from where the platform was bootstrapped, or restore it from a backup", err)
	case errors.Is(err, seal.ErrNotPrivate):
		return cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	}
	return err
}

// Close closes the store and gives the lock back.
func (s *State) Close() error {
	var err error
	if s.store != nil {
		err = s.store.Close()
	}
	if s.Core == nil || s.Core.Issuers() == nil {
		for _, path := range s.made {
			// What holds something else stays.
			_ = os.Remove(path)
		}
	}
	return errors.Join(err, s.lock.Close())
}
