package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"edgesync/cmd/cmdutil"
	"edgesync/core"
	"edgesync/onboarding"
	"edgesync/seal"
	"edgesync/store/backup"
	"edgesync/store/dump"
	"edgesync/store/postgres"
	"edgesync/store/sqlite"
)

// The kinds of store, as a backup's header names them.
const (
	kindFiles    = "sqlite"
	kindDatabase = "postgresql"
)

// beside are the files of a state directory that go with its store: the package
// of the platform's own sync service. Servers' identities are made anew.
var beside = []string{
	path.Join("platform-sync", onboarding.CertDir, onboarding.CertFile),
	path.Join("platform-sync", onboarding.CertDir, onboarding.KeyFile),
	path.Join("platform-sync", onboarding.CertDir, onboarding.CAFile),
	path.Join("platform-sync", onboarding.CertDir, onboarding.CAInfoFile),
	path.Join("platform-sync", onboarding.ConfigFile),
}

// Backup writes a backup of the platform of a state directory, also while another
// process serves it: nothing is locked but, for moments, writers.
func Backup(ctx context.Context, opts Options, into io.Writer, lock backup.Lock, progress func(backup.Progress)) (backup.Summary, error) {
	if err := opts.choose(); err != nil {
		return backup.Summary{}, err
	}
	found, err := exists(opts.Dir)
	if err != nil {
		return backup.Summary{}, err
	}
	if !found && opts.Database == "" {
		return backup.Summary{}, noPlatform(opts.Dir)
	}
	contents := backup.Contents{Progress: progress}
	contents.Header = backup.Header{Program: cmdutil.Version, Store: kindFiles}
	keyset, err := openKeyset(opts)
	if err != nil {
		return backup.Summary{}, err
	}
	if contents.Keyset, err = exportKeyset(opts); err != nil {
		return backup.Summary{}, err
	}
	if contents.Files, err = readBeside(opts.Dir); err != nil {
		return backup.Summary{}, err
	}
	// Whatever was issued after this is not in the backup, or may not be.
	contents.Header.TakenAt = opts.Now().UTC().Truncate(time.Microsecond)
	snapshot, err := openSnapshot(ctx, opts, &contents.Header)
	if err != nil {
		return backup.Summary{}, err
	}
	contents.Snapshot = proved{snapshot, keyset}
	summary, err := backup.Write(ctx, into, lock, contents)
	return summary, errors.Join(err, snapshot.Close())
}

func openSnapshot(ctx context.Context, opts Options, header *backup.Header) (snapshot backup.Snapshot, err error) {
	if opts.Database == "" {
		snapshot, err = sqlite.OpenSnapshot(ctx, opts.Dir, sqlite.Options{})
	} else {
		header.Store = kindDatabase
		snapshot, err = postgres.OpenSnapshot(ctx, opts.Database, postgres.Options{Password: opts.Password})
	}
	if errors.Is(err, core.ErrNotFound) {
		if opts.Database != "" {
			return nil, emptyDatabase(opts)
		}
		return nil, noPlatform(opts.Dir)
	}
	return snapshot, err
}

func exportKeyset(opts Options) ([]byte, error) {
	path, err := keysetPath(opts.Dir)
	if err != nil {
		return nil, err
	}
	encoded, err := seal.Export(path)
	return encoded, keysetError(err)
}

// readBeside reads those of the files beside the store that there are.
func readBeside(dir string) ([]backup.File, error) {
	var files []backup.File
	for _, name := range beside {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		files = append(files, backup.File{Name: name, Content: content})
	}
	return files, nil
}

// proved is a snapshot whose authorities the keyset is found to open: a backup
// with another keyset would be worth nothing, and nobody would know.
type proved struct {
	backup.Snapshot
	keyset *seal.Keyset
}

// Dump implements backup.Snapshot.
func (p proved) Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error {
	return p.Snapshot.Dump(ctx, tenant, func(table dump.Table) error {
		if tenant == uuid.Nil && table.Name == "authority" {
			table.Next = p.prove(table)
		}
		return visit(table)
	})
}

func (p proved) prove(table dump.Table) func() ([]any, error) {
	next, id, key := table.Next, slices.Index(table.Columns, "key_id"), slices.Index(table.Columns, "sealed_key")
	return func() ([]any, error) {
		row, err := next()
		if err != nil || row == nil || id < 0 || key < 0 {
			return row, err
		}
		keyID, _ := row[id].(string)
		if sealed, ok := row[key].([]byte); ok && len(sealed) > 0 && !core.OpensAuthority(p.keyset, keyID, sealed) {
			return nil, cmdutil.Errorf(cmdutil.ExitConflict, "the keyset does not open authority %s: use the keyset the platform was bootstrapped with", keyID)
		}
		return row, nil
	}
}
