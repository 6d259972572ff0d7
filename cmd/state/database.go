package state

import (
	"context"
	"errors"
	"path/filepath"

	"edgesync/cmd/cmdutil"
	"edgesync/core"
	"edgesync/seal"
	"edgesync/store/postgres"
)

// Database is the URL of a database as a command was told it. On the command
// line it must not hold a password.
func Database(url string, argument bool) (string, error) {
	if url == "" {
		return "", nil
	}
	if err := postgres.CheckArgument(url); err != nil && (argument || !postgres.IsURL(url)) {
		return "", cmdutil.Errorf(cmdutil.ExitUsage, "%w", err)
	}
	return url, nil
}

// Told takes the database that a command was told.
func (o *Options) Told(told cmdutil.Database) (err error) {
	o.Password = told.Password()
	o.Database, err = Database(told.URL, told.Argument)
	return err
}

// OnDatabase tells whether the directory's platform is in a database, which other
// directories may be of, too.
func OnDatabase(dir string) (bool, error) {
	kept, err := readSettings(dir)
	return kept.Database != "", err
}

// KeptDatabase is the database the directory was bootstrapped with, without
// secrets; empty for files in it.
func KeptDatabase(dir string) (string, error) {
	kept, err := readSettings(dir)
	return kept.Database, err
}

// choose settles which database the platform is in. A directory is of one
// platform: what it was bootstrapped with is not overruled by mistake.
func (o *Options) choose() error {
	kept, err := readSettings(o.Dir)
	if err != nil {
		return err
	}
	if o.Database == "" {
		o.Database = kept.Database
		return nil
	}
	if kept.Database != "" && kept.Database != postgres.Redact(o.Database) {
		return cmdutil.Errorf(cmdutil.ExitConflict, "open platform in %s: it is in database %s, not in %s: name another directory with --state-dir, or leave --database and EDGESYNC_DATABASE out",
			o.Dir, kept.Database, postgres.Redact(o.Database))
	}
	if kept.Database != "" {
		return nil
	}
	begun, err := exists(o.Dir)
	if err == nil && begun {
		err = cmdutil.Errorf(cmdutil.ExitConflict, "open platform in %s: it is in files there, not in a database: name another directory with --state-dir, or move it with `edgesync store copy`", o.Dir)
	}
	return err
}

// settings are those of a directory that is being made.
func (o *Options) settings() settings {
	var s settings
	if o.Database != "" {
		s.Database = postgres.Redact(o.Database)
	}
	if o.KeysetFile != "" {
		s.KeysetFile, _ = filepath.Abs(o.KeysetFile)
	}
	return s
}

// openDatabase opens the store in a database. Any number of directories, on any
// number of hosts, may be of one platform: each has a copy of its keyset.
func (s *State) openDatabase(ctx context.Context, opts Options) (*seal.Keyset, error) {
	store, err := postgres.Open(ctx, opts.Database, postgres.Options{MustExist: !opts.Create, Password: opts.Password})
	if errors.Is(err, core.ErrNotFound) {
		return nil, emptyDatabase(opts)
	}
	if err != nil {
		return nil, err
	}
	s.store = store
	err = store.Platform().View(ctx, func(tx core.PlatformTx) error {
		_, err := tx.Platform(ctx)
		return err
	})
	switch {
	case errors.Is(err, core.ErrNotFound) && opts.Create:
		return s.makeKeyset(opts)
	case errors.Is(err, core.ErrNotFound):
		return nil, emptyDatabase(opts)
	case err != nil:
		return nil, err
	}
	return joinPlatform(opts)
}

func emptyDatabase(opts Options) error {
	return cmdutil.Errorf(cmdutil.ExitConflict, "open platform in database %s: there is none: run `edgesync bootstrap --database URL`, or name its database", postgres.Redact(opts.Database))
}

// joinPlatform opens the keyset of a platform that is in the database already,
// and has a directory that is being made remember both.
func joinPlatform(opts Options) (*seal.Keyset, error) {
	begun, err := exists(opts.Dir)
	if err != nil {
		return nil, err
	}
	path := opts.KeysetFile
	if begun || path == "" {
		if path, err = keysetPath(opts.Dir); err != nil {
			return nil, err
		}
	}
	keyset, err := seal.Open(path)
	if err != nil {
		return nil, keysetError(err)
	}
	if opts.Create && !begun {
		err = writeSettings(opts.Dir, opts.settings())
	}
	return keyset, err
}
