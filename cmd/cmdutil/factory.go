// Package cmdutil is what every command is made from: the factory that hands
// out streams and the admin client, output as table, JSON or YAML, prompts, and
// the errors that become exit codes. It knows no noun and no verb, and it never
// opens a store: whoever builds the factory says how the platform is reached.
package cmdutil

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"edgesync/cmd/settings"
	adminv1 "edgesync/proto/admin/v1"
)

// Version is this build's, Commit and CommitTime (RFC 3339) those of its sources.
// A release sets them with the linker; other builds have what Go knows of them.
var (
	Version    = "dev"
	Commit     = ""
	CommitTime = ""
)

// AdminFunc reaches the platform. It may be called more than once; the
// connection stays open until the program ends.
type AdminFunc func(ctx context.Context) (adminv1.AdminClient, error)

// Factory is what the root command gives to all others. The fields under
// "persistent flags" are set once the command line is parsed, so a command
// reads them when it runs, not when it is built.
type Factory struct {
	IO  *IOStreams
	Env func(name string) (string, bool)
	Now func() time.Time
	// UID is the effective user id.
	UID int
	// Admin is the platform of StateDir; CreateAdmin makes the directory for one
	// first, with the keyset in keysetFile unless that is empty.
	Admin       AdminFunc
	CreateAdmin func(ctx context.Context, keysetFile string) (adminv1.AdminClient, error)

	// Local tells, once Admin was called, that nobody serves the platform: each
	// call opens it in this process, and nobody is kept from serving it between
	// them. Nil where that cannot be.
	Local func() bool
	// Origin is through what the user acts, for the events of it: "cli" unless
	// it is set before Admin is first called.
	Origin string

	// Persistent flags.
	StateDirFlag         string
	DatabaseFlag         string
	DatabasePasswordFlag string
	// Server is a platform elsewhere, HOST:PORT, and Identity the folder of the
	// operator that speaks to it; empty for the one of StateDir.
	Server   string
	Identity string
	Format   Format
	NoInput  bool
}

// AddPersistentFlags declares the flags that every command has.
func (f *Factory) AddPersistentFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	f.AddPlatformFlags(flags)
	flags.StringVar(&f.Server, "server", "", "HOST:PORT of the administration API of a platform elsewhere, instead of --state-dir")
	flags.StringVar(&f.Identity, "identity", "", "folder of the operator's identity for --server")
	flags.VarP(&f.Format, "output", "o", "output format: table, json or yaml")
	flags.BoolVar(&f.NoInput, "no-input", false, "never prompt: a missing value is an error that names its flag")
	settings.Exclude(flags, "server", "identity", "output", "no-input")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

// AddPlatformFlags declares the flags that say which platform of this machine
// is meant.
func (f *Factory) AddPlatformFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.StateDirFlag, "state-dir", "",
		"directory of the platform (env EDGESYNC_STATE_DIR; default /var/lib/edgesync for root, else $XDG_STATE_HOME/edgesync)")
	flags.StringVar(&f.DatabaseFlag, "database", "",
		"postgres:// URL of the platform's database, without a password (env EDGESYNC_DATABASE; default: what the state directory was bootstrapped with)")
	flags.StringVar(&f.DatabasePasswordFlag, "database-password-file", "",
		"file with the database's password, read at each connection (env EDGESYNC_DATABASE_PASSWORD_FILE)")
}

// StateDir is the platform's directory, absolute.
func (f *Factory) StateDir() (string, error) {
	told, err := f.platform()
	return told.Dir, err
}

// Database is the URL of the platform's database and how its password is read;
// empty means what the state directory says.
func (f *Factory) Database() (Database, error) {
	told, err := f.platform()
	return told.Database, err
}

// CanPrompt tells whether a question may be asked.
func (f *Factory) CanPrompt() bool {
	return !f.NoInput && f.IO.InTerminal && f.IO.ErrTerminal
}

// Logger writes to the error stream. Its text handler quotes whatever does not
// print, so that no log line can move the cursor of who reads it.
func (f *Factory) Logger(level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(f.IO.Err, &slog.HandlerOptions{Level: level}))
}

// Run calls runF, which a test may set to look at the parsed options, or else
// run.
func Run[T any](cmd *cobra.Command, opts T, runF, run func(context.Context, T) error) error {
	if output := cmd.Flag("output"); output != nil && output.Value.String() == string(FormatOCSF) && cmd.Annotations[string(FormatOCSF)] == "" {
		return Usagef("--output ocsf: only events are written so: want table, json or yaml")
	}
	if runF != nil {
		return runF(cmd.Context(), opts)
	}
	return run(cmd.Context(), opts)
}

// NewGroup makes a command that only holds others. Called alone it prints its
// help; with a verb it does not have it is wrong usage.
func NewGroup(use, short string, verbs ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:                   use,
		Short:                 short,
		DisableFlagsInUseLine: true,
	}
	group.AddCommand(verbs...)
	OnlyVerbs(group)
	return group
}

// OnlyVerbs makes group refuse what is none of its commands.
func OnlyVerbs(group *cobra.Command) {
	group.Args = knownVerb
	group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

func knownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return Usagef("unknown command %q for %q: see `%s --help`", args[0], cmd.CommandPath(), cmd.CommandPath())
}
