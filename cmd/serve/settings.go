package serve

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/settings"
	"edgesync/store/postgres"
)

// credential is the origin of what the service manager hands over.
const credential settings.Origin = "credential"

// load fills the options that are not on the command line.
func (opts *Options) load(flags *pflag.FlagSet) error {
	opts.flags = flags
	file, err := opts.ReadConfig(opts.Config)
	if err != nil {
		return err
	}
	if opts.values, err = settings.Load(flags, file, opts.Env); err != nil {
		return cmdutil.Usagef("%w", err)
	}
	if path := opts.CredentialFile(); path != "" && opts.DatabasePasswordFlag == "" {
		opts.DatabasePasswordFlag = path
		for i := range opts.values {
			if value := &opts.values[i]; value.Flag == "database-password-file" {
				value.Text, value.Origin, value.Where = path, credential, "CREDENTIALS_DIRECTORY"
			}
		}
	}
	if database := opts.values.Get("database"); database.Origin == settings.FromFile && postgres.HasPassword(database.Text) && settings.ReadableByAll(file.Mode) {
		return cmdutil.Errorf(cmdutil.ExitRefused, "read database from %s: there is a password in it, and every user of this host can read the file: chmod 640 it, or put the password in a file for database_password_file", database.Where)
	}
	return nil
}

// again reads the settings anew, with the same command line.
func (opts *Options) again() (*Options, error) {
	factory := *opts.Factory
	factory.StateDirFlag, factory.DatabaseFlag, factory.DatabasePasswordFlag = "", "", ""
	fresh := &Options{Factory: &factory}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	factory.AddPlatformFlags(flags)
	fresh.declare(flags)
	if err := settings.Copy(flags, opts.flags); err != nil {
		return nil, err
	}
	return fresh, fresh.load(flags)
}

// stateDir is the platform's directory. The layers were laid already.
func (opts *Options) stateDir() (string, error) {
	return cmdutil.StateDir(opts.StateDirFlag, opts.Env, opts.UID)
}

func (opts *Options) database() cmdutil.Database {
	return cmdutil.Database{
		URL: opts.DatabaseFlag, Argument: opts.values.Get("database").Origin == settings.CommandLine,
		PasswordFile: opts.DatabasePasswordFlag,
	}
}

func (opts *Options) logger(threshold slog.Leveler) *slog.Logger {
	if opts.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(opts.IO.Err, &slog.HandlerOptions{Level: threshold}))
	}
	return opts.Logger(threshold)
}

// level is a flag of a log level.
type level slog.Level

var levels = []struct {
	name  string
	level slog.Level
}{{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError}}

// Set implements pflag.Value.
func (l *level) Set(text string) error {
	for _, known := range levels {
		if strings.EqualFold(text, known.name) {
			*l = level(known.level)
			return nil
		}
	}
	return fmt.Errorf("%q is none of debug, info, warn and error", text)
}

// String implements pflag.Value.
func (l *level) String() string { return strings.ToLower(slog.Level(*l).String()) }

// Type implements pflag.Value.
func (*level) Type() string { return "level" }

// format is a flag of how lines are logged.
type format string

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	if text != "text" && text != "json" {
		return fmt.Errorf("%q is neither text nor json", text)
	}
	*f = format(text)
	return nil
}

// String implements pflag.Value.
func (f *format) String() string {
	if *f == "" {
		return "text"
	}
	return string(*f)
}

// Type implements pflag.Value.
func (*format) Type() string { return "format" }

// limit is a flag of a number that is at least one.
type limit int

const maxLimit = 1_000_000

// Set implements pflag.Value.
func (l *limit) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return fmt.Errorf("%q is no number from 1 to %d", text, maxLimit)
	}
	*l = limit(n)
	return nil
}

// String implements pflag.Value.
func (l *limit) String() string { return strconv.Itoa(int(*l)) }

// Type implements pflag.Value.
func (*limit) Type() string { return "number" }

// networks is a flag of CIDR networks, given more than once or with commas.
type networks []netip.Prefix

// Set implements pflag.Value; it adds to what is there.
func (n *networks) Set(text string) error {
	for item := range strings.SplitSeq(text, ",") {
		if err := n.Append(strings.TrimSpace(item)); err != nil {
			return err
		}
	}
	return nil
}

// Append implements pflag.SliceValue.
func (n *networks) Append(text string) error {
	prefix, err := netip.ParsePrefix(text)
	if addr, alone := netip.ParseAddr(text); alone == nil && addr.Zone() == "" {
		prefix, err = addr.Prefix(addr.BitLen())
	}
	if err != nil {
		return fmt.Errorf("%q is no network such as 10.0.0.0/8 and no address", text)
	}
	*n = append(*n, prefix.Masked())
	return nil
}

// Replace implements pflag.SliceValue.
func (n *networks) Replace(items []string) error {
	fresh := networks{}
	for _, item := range items {
		if err := fresh.Append(item); err != nil {
			return err
		}
	}
	*n = fresh
	return nil
}

// GetSlice implements pflag.SliceValue.
func (n *networks) GetSlice() []string {
	items := []string{}
	for _, prefix := range *n {
		items = append(items, prefix.String())
	}
	return slices.Clip(items)
}

// String implements pflag.Value.
func (n *networks) String() string { return strings.Join(n.GetSlice(), ",") }

// Type implements pflag.Value.
func (*networks) Type() string { return "networks" }
