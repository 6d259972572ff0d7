// Package tui is the command that opens the terminal interface, and how other
// commands open a part of it.
package tui

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	"edgesync/tui"
)

// Options are the flags of tui.
type Options struct {
	*cmdutil.Factory
	Tenant string
	Out    string
}

// NewCmdTUI makes tui.
func NewCmdTUI(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "tui",
		Short: "Open the dashboard: watch and administer the platform",
		Long: `Open the dashboard: watch and administer the platform.

Pages for what there is and how it does: overview, integrations, sync services, devices, events, tenants. Press ? for
the keys. It follows the platform live while "edgesync serve" runs. NO_COLOR is honoured; with a screen reader use
the other commands: each asks plain questions and prints plain lines, and "edgesync onboard --accessible" is the wizard.`,
		Example: "  edgesync tui\n  edgesync tui --tenant acme",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, tuiRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "show this tenant only")
	flags.StringVar(&opts.Out, "out", ".", "directory that edge packages are offered to be written to")
	return cmd
}

func tuiRun(ctx context.Context, opts *Options) error {
	if !opts.IO.FullScreen() {
		return cmdutil.Usagef("open the dashboard: standard input and output are no terminal: use the other commands, each has --output json")
	}
	return Show(ctx, opts.Factory, tui.Options{Tenant: opts.Tenant, Out: opts.Out})
}

// Show connects to the platform and takes the terminal over.
func Show(ctx context.Context, f *cmdutil.Factory, opts tui.Options) error {
	f.Origin = "tui"
	client, err := f.Admin(ctx)
	if err != nil {
		return err
	}
	opts.Client, opts.Unserved = client, f.Local
	return Take(ctx, f, opts)
}

// Take takes the terminal over for a platform that is connected.
func Take(ctx context.Context, f *cmdutil.Factory, opts tui.Options) error {
	opts.Now = f.Now
	return tui.Run(ctx, opts, tui.Terminal{In: f.IO.Keyboard, Out: f.IO.Out, Env: environment(f.Env)})
}

// Here tells that there is a platform and a terminal to show it on.
func Here(f *cmdutil.Factory) bool {
	if f.NoInput || !f.IO.FullScreen() {
		return false
	}
	if f.Server != "" {
		return true
	}
	dir, err := f.StateDir()
	return err == nil && state.Exists(dir)
}

// Open opens the dashboard with nothing said.
func Open(ctx context.Context, f *cmdutil.Factory) error {
	return Show(ctx, f, tui.Options{})
}

// environment is what says how the terminal draws.
func environment(lookup func(string) (string, bool)) []string {
	var env []string
	for _, name := range []string{
		"TERM", "COLORTERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM_PROGRAM", "TERM_PROGRAM_VERSION",
		"TMUX", "STY", "SSH_TTY", "SSH_CONNECTION", "WT_SESSION", "VTE_VERSION", "LANG", "LC_ALL", "LC_CTYPE",
	} {
		if value, set := lookup(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}
