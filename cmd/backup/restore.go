package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/store/backup"
)

// RestoreOptions are the flags of restore.
type RestoreOptions struct {
	*cmdutil.Factory
	Path           string
	PassphraseFile string
	IdentityFile   string
	KeysetFile     string
	DryRun         bool
	Settled        bool
}

// NewCmdRestore makes restore.
func NewCmdRestore(f *cmdutil.Factory, runF func(context.Context, *RestoreOptions) error) *cobra.Command {
	opts := &RestoreOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the platform of a backup in an empty state directory or database",
		Long: `Make the platform of a backup in an empty state directory, and with --database in an empty database, whichever of
the two the backup was taken of. All of it is read and compared with what was written before any of it counts; what
fails leaves nothing behind. FILE may be - for the input.

The platform is then as it was when the backup was taken. Open join tokens are cancelled. Services send everything again
by themselves, and identities issued since are taken. What was revoked, suspended or removed since has to be once more:
doctor says so until it is told, with --settled, that it was done. See that the platform before it does not run any more.`,
		Example: `  edgesync restore monday.backup --state-dir /var/lib/edgesync --passphrase-file /etc/edgesync/backup-passphrase
  edgesync restore monday.backup --database postgres://edgesync@db.example.com/edgesync --identity-file vault.key
  edgesync restore monday.backup --dry-run --passphrase-file /etc/edgesync/backup-passphrase
  edgesync restore --settled`,
		Args: func(cmd *cobra.Command, args []string) error {
			if opts.Settled {
				return cmdutil.NoArgs(cmd, args)
			}
			return cmdutil.Args("FILE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !opts.Settled {
				opts.Path = args[0]
			}
			return cmdutil.Run(cmd, opts, runF, restoreRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.PassphraseFile, "passphrase-file", "", "file that holds the passphrase, - for the input (env EDGESYNC_BACKUP_PASSPHRASE, or a prompt)")
	flags.StringVar(&opts.IdentityFile, "identity-file", "", "file of age identities, as age-keygen writes it, for a backup encrypted to recipients")
	flags.StringVar(&opts.KeysetFile, "keyset-file", "", "where to put the platform's keyset (default: keyset.json in the state directory)")
	flags.BoolVar(&opts.DryRun, "dry-run", false, "read and check the backup to its end, and restore nothing")
	flags.BoolVar(&opts.Settled, "settled", false, "say that what was revoked, suspended or removed since the backup is so again")
	return cmd
}

// restored is a restore as scripts read it.
type restored struct {
	document
	StateDir        string    `json:"state_dir"`
	RestoredAt      time.Time `json:"restored_at"`
	RestorationID   string    `json:"restoration_id"`
	TokensCancelled int       `json:"tokens_cancelled"`
	GatewayAddr     string    `json:"gateway_addr"`
}

func restoreRun(ctx context.Context, opts *RestoreOptions) error {
	if opts.Settled {
		return settle(ctx, opts)
	}
	stateOpts, err := stateOptions(opts.Factory)
	if err != nil {
		return err
	}
	if opts.Path == "-" && opts.PassphraseFile == "-" {
		return cmdutil.Usagef("--passphrase-file -: the input is the backup")
	}
	stateOpts.KeysetFile = opts.KeysetFile
	from, err := opts.open()
	if err != nil {
		return err
	}
	defer from.Close()
	key, err := opts.key()
	if err != nil {
		return err
	}
	if opts.DryRun {
		return dryRun(ctx, opts, from, key)
	}
	meter := newMeter(opts.Factory, "restoring")
	defer meter.clear()
	actor := core.Actor{Name: "local:" + strconv.Itoa(opts.UID), Origin: "cli"}
	done, err := state.Restore(ctx, stateOpts, from, key, actor, meter.tell)
	if err != nil {
		return explain(err)
	}
	meter.clear()
	d := restored{
		document: newDocument(opts.Path, done.Summary), StateDir: stateOpts.Dir, RestoredAt: done.RestoredAt,
		RestorationID: done.Restoration.ID.String(), TokensCancelled: done.Tokens, GatewayAddr: done.GatewayAddr,
	}
	if err := cmdutil.PrintOne(opts.IO, opts.Format, restoredColumns(), d); err != nil {
		return err
	}
	opts.advise(d)
	return nil
}

func restoredColumns() []cmdutil.Column[restored] {
	var all []cmdutil.Column[restored]
	for _, column := range columns {
		all = append(all, cmdutil.Column[restored]{Title: column.Title, Value: func(d restored) string { return column.Value(d.document) }})
	}
	return append(all,
		cmdutil.Column[restored]{Title: "restored in", Value: func(d restored) string { return d.StateDir }},
		cmdutil.Column[restored]{Title: "tokens cancelled", Value: func(d restored) string { return strconv.Itoa(d.TokensCancelled) }})
}

// advise says what is left to be done.
func (o *RestoreOptions) advise(d restored) {
	since := d.TakenAt.Format(time.RFC3339)
	if d.TokensCancelled > 0 {
		o.IO.Tellf("%s cancelled: hosts that had not enrolled need new ones (`edgesync onboard --mode token`)", cmdutil.Plural(int64(d.TokensCancelled), "open join token"))
	}
	o.IO.Tellf("revoke, suspend and remove again what was since %s, then run `edgesync restore --settled`; `edgesync doctor` reminds of it", since)
	o.IO.Tellf("tenants, services and sources made since %s are not there: make them again", since)
	o.IO.Tellf("start `edgesync serve`, once the platform before it is off for good; services find it at %s and send everything again", d.GatewayAddr)
}

func dryRun(ctx context.Context, opts *RestoreOptions, from io.Reader, key backup.Key) error {
	meter := newMeter(opts.Factory, "reading")
	defer meter.clear()
	summary, err := state.ReadBackup(ctx, from, key, meter.tell)
	if err != nil {
		return explain(err)
	}
	meter.clear()
	return cmdutil.PrintOne(opts.IO, opts.Format, columns, newDocument(opts.Path, summary))
}

func (o *RestoreOptions) open() (io.ReadCloser, error) {
	if o.Path == "-" {
		return io.NopCloser(o.IO.In), nil
	}
	file, err := os.Open(o.Path)
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		_ = file.Close()
		return nil, cmdutil.Usagef("read backup %s: it is a directory: name the file", o.Path)
	}
	return file, nil
}

// explain gives the exit codes that a backup's own errors mean, and the way out.
func explain(err error) error {
	switch {
	case errors.Is(err, backup.ErrWrongKey):
		return cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	case errors.Is(err, backup.ErrDamaged):
		return cmdutil.Errorf(cmdutil.ExitFailed, "%w: restore another copy of it, or another backup", err)
	}
	return err
}

func settle(ctx context.Context, opts *RestoreOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.SettleRestorations(ctx, &adminv1.SettleRestorationsRequest{})
	if err != nil {
		return err
	}
	type settled struct {
		Settled int `json:"settled"`
	}
	n := len(answer.GetRestorations())
	return cmdutil.PrintDone(opts.IO, opts.Format, settled{n}, "settled %s", cmdutil.Plural(int64(n), "restoration"))
}
