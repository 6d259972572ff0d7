// Package backup is the commands that write everything a platform is made of
// into a file, and make the platform of that file elsewhere.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	"edgesync/seal/ownfile"
	"edgesync/store/backup"
)

// Options are the flags of backup.
type Options struct {
	*cmdutil.Factory
	Path           string
	PassphraseFile string
	Recipients     []string
	RecipientsFile string
}

// NewCmdBackup makes backup.
func NewCmdBackup(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the platform with all its tenants and keys into an encrypted file",
		Long: `Write the platform into a file: its tenants, services, sources, devices and events, its authorities, and the keyset
that opens what is sealed in them. It may be served meanwhile: the file holds the state of one moment over all tenants.
FILE must not exist; - is the output, for a program that stores it elsewhere.

The file is encrypted (age, age-encryption.org/v1): to a passphrase, or to recipients whose identities stay offline.
Whoever opens it has the platform's keys.`,
		Example: `  edgesync backup monday.backup --passphrase-file /etc/edgesync/backup-passphrase
  edgesync backup monday.backup --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  edgesync backup - --passphrase-file /etc/edgesync/backup-passphrase | ssh vault 'cat > edgesync.backup'`,
		Args: cmdutil.Args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Path = args[0]
			return cmdutil.Run(cmd, opts, runF, backupRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.PassphraseFile, "passphrase-file", "", "file that holds the passphrase, - for the input (env EDGESYNC_BACKUP_PASSPHRASE, or a prompt)")
	flags.StringArrayVar(&opts.Recipients, "recipient", nil, "age recipient (age1…) to encrypt to, instead of a passphrase; more than once for several")
	flags.StringVar(&opts.RecipientsFile, "recipients-file", "", "file of age recipients, one a line")
	return cmd
}

// document is a backup as scripts read it.
type document struct {
	Path             string    `json:"path"`
	TakenAt          time.Time `json:"taken_at"`
	PlatformTenantID string    `json:"platform_tenant_id"`
	PlatformSlug     string    `json:"platform_slug"`
	// Store is "sqlite" or "postgresql".
	Store string `json:"store"`
	// Tenants are counted with the platform's own.
	Tenants int    `json:"tenants"`
	Rows    int64  `json:"rows"`
	Hash    string `json:"hash"`
	Bytes   int64  `json:"bytes,omitempty"`
}

func newDocument(path string, s backup.Summary) document {
	return document{
		Path: path, TakenAt: s.TakenAt, PlatformTenantID: s.Platform.TenantID.String(), PlatformSlug: s.Platform.Slug,
		Store: s.Store, Tenants: len(s.Parts) - 1, Rows: s.Rows, Hash: s.Hash(),
	}
}

var columns = []cmdutil.Column[document]{
	{Title: "backup", Value: func(d document) string { return d.Path }},
	{Title: "state of", Value: func(d document) string { return d.TakenAt.Format(time.RFC3339) }},
	{Title: "platform tenant", Value: func(d document) string { return d.PlatformSlug + " (" + d.PlatformTenantID + ")" }},
	{Title: "tenants", Value: func(d document) string { return strconv.Itoa(d.Tenants) }},
	{Title: "rows", Value: func(d document) string { return strconv.FormatInt(d.Rows, 10) }},
	{Title: "hash", Value: func(d document) string { return d.Hash }},
}

func backupRun(ctx context.Context, opts *Options) error {
	stateOpts, err := stateOptions(opts.Factory)
	if err != nil {
		return err
	}
	if opts.Path == "-" && opts.IO.OutTerminal {
		return cmdutil.Usagef("a backup is not for a terminal: name a file, or lead the output elsewhere")
	}
	if opts.Path != "-" {
		if err := free(opts.Path); err != nil {
			return err
		}
	}
	lock, err := opts.lock()
	if err != nil {
		return err
	}
	meter := newMeter(opts.Factory, "backing up")
	defer meter.clear()
	if opts.Path == "-" {
		// What it holds is told on the other stream: this one holds it.
		summary, err := state.Backup(ctx, stateOpts, opts.IO.Out, lock, meter.tell)
		if meter.clear(); err == nil {
			opts.IO.Tellf("backup of %s written: %d rows, hash %s", summary.TakenAt.Format(time.RFC3339), summary.Rows, summary.Hash())
		}
		return err
	}
	var summary backup.Summary
	size, err := writeBeside(opts.Path, func(into io.Writer) (err error) {
		summary, err = state.Backup(ctx, stateOpts, into, lock, meter.tell)
		return err
	})
	if err != nil {
		return err
	}
	meter.clear()
	d := newDocument(opts.Path, summary)
	d.Bytes = size
	return cmdutil.PrintOne(opts.IO, opts.Format, append(columns[:len(columns):len(columns)],
		cmdutil.Column[document]{Title: "size", Value: func(d document) string { return strconv.FormatInt(d.Bytes, 10) + " bytes" }}), d)
}

// free finds out that there is no file of that name, before anything is read.
func free(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return cmdutil.Errorf(cmdutil.ExitConflict, "write backup %s: a file of that name exists: name another", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("write backup: %w: name another file", err)
}

func stateOptions(f *cmdutil.Factory) (state.Options, error) {
	if err := f.OnlyHere("a backup is taken and restored"); err != nil {
		return state.Options{}, err
	}
	dir, err := f.StateDir()
	if err != nil {
		return state.Options{}, err
	}
	told, err := f.Database()
	if err != nil {
		return state.Options{}, err
	}
	opts := state.Options{Dir: dir, Logger: f.Logger(logLevel), Now: f.Now}
	return opts, opts.Told(told)
}

// writeBeside writes a file that only its owner can read, which is there whole or
// not at all and never replaces another. It returns its size.
func writeBeside(path string, write func(io.Writer) error) (size int64, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return 0, fmt.Errorf("write backup %s: %w: name a file in a directory that can be written", path, err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	err = write(file)
	if info, statErr := file.Stat(); statErr == nil {
		size = info.Size()
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return 0, err
	}
	if err := putInPlace(file.Name(), path); err != nil {
		return 0, fmt.Errorf("write backup %s: %w", path, err)
	}
	return size, ownfile.SyncDir(filepath.Dir(path))
}

// putInPlace gives a file its name, unless another has it. Not every file system
// knows the way that cannot be raced.
func putInPlace(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fs.ErrExist, err)
	}
	return os.Rename(from, to)
}
