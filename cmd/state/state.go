package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"edgesync/core"
	"edgesync/seal"
	"edgesync/store/sqlite"
)

// Options say which platform is opened and how.
type Options struct {
	Dir string
	// Create makes the directory, the keyset and the store where there are none.
	Create bool
	// KeysetFile is where Create puts the keyset, when not in Dir.
	KeysetFile string
	Logger     *slog.Logger
	Now        func() time.Time
}

// State is an open platform. Nobody else has it open.
type State struct {
	Core  *core.Core
	store *sqlite.Store
	lock  *os.File
}

// open takes the directory's lock and opens the platform in it. errHeld is
// returned while another process has it.
func open(ctx context.Context, opts Options) (*State, error) {
	found, err := exists(opts.Dir)
	if err != nil {
		return nil, err
	}
	if !found && !opts.Create {
		return nil, noPlatform(opts.Dir)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := acquire(opts.Dir)
	if err != nil {
		return nil, err
	}
	s := &State{lock: lock}
	if err := s.load(ctx, opts); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *State) load(ctx context.Context, opts Options) error {
	keyset, err := openKeyset(opts)
	if err != nil {
		return err
	}
	if s.store, err = sqlite.Open(ctx, opts.Dir, sqlite.Options{}); err != nil {
		return err
	}
	s.Core, err = core.New(ctx, core.Options{Store: s.store, Keyset: keyset, Logger: opts.Logger, Now: opts.Now})
	return err
}

// openKeyset makes a keyset only where there is no platform yet: a new one
// would not open what the lost one sealed.
func openKeyset(opts Options) (*seal.Keyset, error) {
	kept, err := readSettings(opts.Dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(opts.Dir, keysetFile)
	if kept.KeysetFile != "" {
		path = kept.KeysetFile
	}
	begun, err := exists(opts.Dir)
	if err != nil {
		return nil, err
	}
	if begun {
		return seal.Open(path)
	}
	if opts.KeysetFile != "" {
		if path, err = filepath.Abs(opts.KeysetFile); err != nil {
			return nil, fmt.Errorf("find keyset file: %w", err)
		}
		if err := writeSettings(opts.Dir, settings{KeysetFile: path}); err != nil {
			return nil, err
		}
	}
	return seal.OpenOrCreate(path)
}

// Open opens the platform for a process that stays, such as serve.
func Open(ctx context.Context, opts Options) (*State, error) {
	s, err := open(ctx, opts)
	if errors.Is(err, errHeld) {
		return nil, held(opts.Dir)
	}
	return s, err
}

// Close closes the store and gives the lock back.
func (s *State) Close() error {
	var err error
	if s.store != nil {
		err = s.store.Close()
	}
	return errors.Join(err, s.lock.Close())
}
