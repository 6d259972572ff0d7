package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"edgesync/cmd/cmdutil"
	"edgesync/core"
	"edgesync/seal"
	"edgesync/store/backup"
	"edgesync/store/dump"
	"edgesync/store/postgres"
	"edgesync/store/sqlite"
)

// blankStore is a store of any kind that is being filled. Nothing of it counts
// before Commit.
type blankStore interface {
	Load(ctx context.Context, part dump.Part, from dump.Source) (dump.Sums, error)
	Open(ctx context.Context) (core.Store, error)
	Commit(ctx context.Context) error
	Discard() error
}

var (
	_ blankStore = (*sqlite.Blank)(nil)
	_ blankStore = (*postgres.Blank)(nil)
)

// Restored is what came of a restore.
type Restored struct {
	backup.Summary
	core.Restoration
	core.SetBackReport
	// GatewayAddr is where edge services look for the platform.
	GatewayAddr string
}

// Restore makes the platform of a backup in a directory and, with a database, in
// an empty one. All of it is there afterwards, or nothing.
func Restore(ctx context.Context, opts Options, from io.Reader, key backup.Key, actor core.Actor, progress func(backup.Progress)) (Restored, error) {
	r := &restoring{opts: opts, actor: actor}
	if err := r.begin(ctx); err != nil {
		return Restored{}, errors.Join(err, r.giveUp())
	}
	reader, err := backup.Open(ctx, from, key)
	if err == nil {
		reader.Progress = progress
		err = r.restore(ctx, reader)
		reader.Close()
	}
	if err != nil {
		return Restored{}, errors.Join(err, r.giveUp())
	}
	return r.done, r.lock.Close()
}

// ReadBackup reads a backup to its end without keeping any of it.
func ReadBackup(ctx context.Context, from io.Reader, key backup.Key, progress func(backup.Progress)) (backup.Summary, error) {
	reader, err := backup.Open(ctx, from, key)
	if err != nil {
		return backup.Summary{}, err
	}
	defer reader.Close()
	reader.Progress = progress
	return readParts(reader, func(_ dump.Part, from dump.Source) (dump.Sums, error) { return dump.SumsOf(from) })
}

func readParts(reader *backup.Reader, load func(dump.Part, dump.Source) (dump.Sums, error)) (backup.Summary, error) {
	for {
		err := reader.Part(load)
		if errors.Is(err, io.EOF) {
			return reader.End()
		}
		if err != nil {
			return backup.Summary{}, err
		}
	}
}

// restoring is a restore under way.
type restoring struct {
	opts  Options
	actor core.Actor
	lock  *os.File
	store blankStore
	// placed are the paths that go again if nothing comes of it.
	placed []string
	done   Restored
}

// begin takes the directory, and the database, and makes sure that there is
// nothing in them.
func (r *restoring) begin(ctx context.Context) error {
	if _, err := os.Stat(r.opts.Dir); errors.Is(err, fs.ErrNotExist) {
		r.placed = []string{filepath.Join(r.opts.Dir, lockFile), r.opts.Dir}
	}
	if err := os.MkdirAll(r.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	var err error
	if r.lock, err = acquire(r.opts.Dir); errors.Is(err, errHeld) {
		return alreadyServed(r.opts.Dir)
	} else if err != nil {
		return err
	}
	if err := r.wantEmpty(); err != nil {
		return err
	}
	if r.opts.Database == "" {
		r.store, err = asBlank(sqlite.NewBlank(ctx, r.opts.Dir, sqlite.Options{}))
	} else {
		if err = os.MkdirAll(filepath.Join(r.opts.Dir, sqlite.StagingDir), 0o700); err == nil {
			r.store, err = asBlank(postgres.NewBlank(ctx, r.opts.Database, postgres.Options{Password: r.opts.Password}))
		}
	}
	if errors.Is(err, core.ErrConflict) {
		return cmdutil.Errorf(cmdutil.ExitConflict, "restore platform: %s holds one: name an empty one", r.target())
	}
	return err
}

// asBlank keeps a nil store from being one in an interface.
func asBlank[T blankStore](store T, err error) (blankStore, error) {
	if err != nil {
		return nil, err
	}
	return store, nil
}

func (r *restoring) target() string {
	if r.opts.Database != "" {
		return "database " + postgres.Redact(r.opts.Database)
	}
	return "state directory " + r.opts.Dir
}

// wantEmpty refuses a directory with anything in it. What a restore left that was
// cut short is cleared away.
func (r *restoring) wantEmpty() error {
	entries, err := os.ReadDir(r.opts.Dir)
	if err != nil {
		return fmt.Errorf("look into state directory: %w", err)
	}
	cutShort := sqlite.CutShort(r.opts.Dir)
	_, there := os.Lstat(filepath.Join(r.opts.Dir, databaseFile))
	for _, entry := range entries {
		name := entry.Name()
		ours := []string{keysetFile, settingsFile, tenantsDir, "platform-sync", sqlite.StagingDir}
		switch {
		case name == lockFile:
		case cutShort && errors.Is(there, fs.ErrNotExist) && slices.Contains(ours, name):
			if name == sqlite.StagingDir || name == tenantsDir {
				continue // The store's own.
			}
			if err := os.RemoveAll(filepath.Join(r.opts.Dir, name)); err != nil {
				return fmt.Errorf("clear state directory: %w", err)
			}
		default:
			return cmdutil.Errorf(cmdutil.ExitConflict, "restore platform into %s: the directory is not empty (%s): name another with --state-dir, or empty it", r.opts.Dir, name)
		}
	}
	return nil
}

func (r *restoring) restore(ctx context.Context, reader *backup.Reader) error {
	keyset, err := r.placeKeyset(reader.Keyset)
	if err != nil {
		return err
	}
	if err := knowsVersions(reader.Header); err != nil {
		return err
	}
	r.done.Summary, err = readParts(reader, func(part dump.Part, from dump.Source) (dump.Sums, error) {
		return r.store.Load(ctx, part, from)
	})
	if err != nil {
		return err
	}
	if err := r.setBack(ctx, keyset); err != nil {
		return err
	}
	if err := r.placeFiles(reader.Files); err != nil {
		return err
	}
	if r.opts.Database != "" {
		// From here on the directory is the database's, whatever becomes of it: its
		// keyset must never be taken for what a restore left that was cut short.
		if err := os.Remove(filepath.Join(r.opts.Dir, sqlite.StagingDir)); err != nil {
			return fmt.Errorf("restore platform: %w", err)
		}
	}
	return r.store.Commit(ctx)
}

// knowsVersions refuses what a newer program wrote.
func knowsVersions(header backup.Header) error {
	for _, part := range header.Parts {
		inFiles, err := sqlite.Latest(part.Tenant == uuid.Nil)
		if err != nil {
			return err
		}
		inDatabase, err := postgres.Latest(part.Tenant == uuid.Nil)
		if err != nil {
			return err
		}
		if known := max(inFiles, inDatabase); part.Version > known {
			return cmdutil.Errorf(cmdutil.ExitConflict, "read backup: %s has version %d and this program knows %d: restore it with the newer program that wrote it (%s)",
				part.Name(), part.Version, known, header.Program)
		}
	}
	return nil
}

// setBack records in the filled store that it was restored, and opens the
// platform in it as serve will.
func (r *restoring) setBack(ctx context.Context, keyset *seal.Keyset) error {
	store, err := r.store.Open(ctx)
	if err != nil {
		return err
	}
	r.done.Restoration = core.Restoration{ID: uuid.New(), BackupAt: r.done.TakenAt, RestoredAt: r.opts.Now().UTC().Truncate(time.Microsecond)}
	if r.done.SetBackReport, err = core.SetBack(ctx, store, r.actor, r.done.Restoration); err != nil {
		return err
	}
	opened, err := core.New(ctx, core.Options{Store: store, Keyset: keyset, Logger: r.opts.Logger, Now: r.opts.Now})
	if err != nil {
		return err
	}
	info, err := opened.PlatformInfo(ctx)
	r.done.GatewayAddr = info.GatewayAddr
	return err
}

// placeKeyset puts the keyset where the platform will look for it. One that is
// there must be the same.
func (r *restoring) placeKeyset(encoded []byte) (*seal.Keyset, error) {
	path := filepath.Join(r.opts.Dir, keysetFile)
	if r.opts.KeysetFile != "" {
		var err error
		if path, err = filepath.Abs(r.opts.KeysetFile); err != nil {
			return nil, fmt.Errorf("find keyset file: %w", err)
		}
	}
	keyset, err := seal.Import(path, encoded)
	if errors.Is(err, fs.ErrExist) {
		found, readErr := seal.Export(path)
		if readErr != nil || !slices.Equal(found, encoded) {
			return nil, cmdutil.Errorf(cmdutil.ExitConflict, "restore keyset to %s: another file is there: name another with --keyset-file", path)
		}
		return seal.Open(path)
	}
	if err != nil {
		return nil, keysetError(err)
	}
	r.placed = append(r.placed, path)
	return keyset, nil
}

// placeFiles writes the settings, and the files that go with the store.
func (r *restoring) placeFiles(files []backup.File) error {
	if r.opts.Database != "" || r.opts.KeysetFile != "" {
		r.placed = append(r.placed, filepath.Join(r.opts.Dir, settingsFile))
		if err := writeSettings(r.opts.Dir, r.opts.settings()); err != nil {
			return err
		}
	}
	for _, file := range files {
		if !slices.Contains(beside, file.Name) {
			continue // A later program's.
		}
		path := filepath.Join(r.opts.Dir, filepath.FromSlash(file.Name))
		for dir := filepath.Dir(path); dir != r.opts.Dir && strings.HasPrefix(dir, r.opts.Dir); dir = filepath.Dir(dir) {
			if !slices.Contains(r.placed, dir) {
				r.placed = append(r.placed, dir)
			}
		}
		r.placed = append(r.placed, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("restore %s: %w", file.Name, err)
		}
		if err := writeFile(path, file.Content); err != nil {
			return fmt.Errorf("restore %s: %w", file.Name, err)
		}
	}
	return nil
}

func writeFile(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// giveUp leaves everything as it was.
func (r *restoring) giveUp() error {
	var err error
	if r.store != nil {
		err = r.store.Discard()
	}
	if r.lock == nil {
		return err
	}
	_ = os.Remove(filepath.Join(r.opts.Dir, sqlite.StagingDir))
	// Longer paths first: a folder goes when it is empty.
	slices.SortStableFunc(r.placed, func(a, b string) int { return len(b) - len(a) })
	for _, path := range r.placed {
		// What holds something else stays.
		_ = os.Remove(path)
	}
	return errors.Join(err, r.lock.Close())
}
