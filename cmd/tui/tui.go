// Package tui is the command that opens the terminal interface, and how other
// commands open a part of it.
package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	"edgesync/tui"
)

// Options are the flags of tui.
type Options struct {
	*cmdutil.Factory
	Tenant     string
	Out        string
	Accessible bool
}

// NewCmdTUI makes tui.
func NewCmdTUI(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "tui",
		Short: "Open the dashboard: watch and administer the platform",
		Long: `Open the dashboard: watch and administer the platform.

Pages for what there is and how it does: overview, integrations, sync services, devices, events, tenants. Press ? for
the keys. It follows the platform live while "edgesync serve" runs, and looks at it now and then while nobody serves
it. NO_COLOR is honoured. With --accessible nothing is drawn: it asks plain questions line by line and prints plain
lines, which a screen reader reads in their order.`,
		Example: "  edgesync tui\n  edgesync tui --tenant acme\n  edgesync tui --accessible",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, tuiRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "show this tenant only")
	flags.StringVar(&opts.Out, "out", ".", "directory that edge packages are offered to be written to")
	flags.BoolVar(&opts.Accessible, "accessible", false, "ask plain questions line by line instead of drawing")
	return cmd
}

func tuiRun(ctx context.Context, opts *Options) error {
	if opts.Accessible {
		return accessible(ctx, opts)
	}
	if !opts.IO.FullScreen() {
		return cmdutil.Usagef("open the dashboard: standard input and output are no terminal that can be drawn on: use the other commands, each has --output json, or --accessible")
	}
	return Show(ctx, opts.Factory, tui.Options{Tenant: opts.Tenant, Out: opts.Out})
}

// Show connects to the platform and takes the terminal over. What is logged
// meanwhile follows when the terminal is given back.
func Show(ctx context.Context, f *cmdutil.Factory, opts tui.Options) error {
	f.Origin = "tui"
	held := &heldWriter{to: f.IO.Err}
	f.IO.Err = held
	defer func() {
		f.IO.Err = held.to
		held.release()
	}()
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
	err := tui.Run(ctx, opts, tui.Terminal{In: f.IO.Keyboard, Out: f.IO.Out, Env: environment(f.Env)})
	var fault *tui.Fault
	if errors.As(err, &fault) {
		return broken(f, fault)
	}
	return err
}

// broken keeps the details of a bug in a file, and is one line about it.
func broken(f *cmdutil.Factory, fault *tui.Fault) error {
	file, err := os.CreateTemp("", "edgesync-crash-*.log")
	if err != nil {
		return fmt.Errorf("show terminal interface: it broke down (%w), and its details could not be kept: %w", fault, err)
	}
	_, err = fmt.Fprintf(file, "edgesync %s, %s\n%s: %v\n\n%s", cmdutil.Version, f.Now().UTC().Format("2006-01-02 15:04:05 MST"), fault.Doing, fault.Value, fault.Stack)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("show terminal interface: it broke down (%w), and its details could not be kept: %w", fault, err)
	}
	return cmdutil.Errorf(cmdutil.ExitFailed, "show terminal interface: it broke down (%w): the details are in %s: report them, and open it again", fault, file.Name())
}

// heldWriter keeps what is written until the terminal is given back.
type heldWriter struct {
	mu       sync.Mutex
	to       io.Writer
	kept     bytes.Buffer
	released bool
}

// Write implements io.Writer.
func (h *heldWriter) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return h.to.Write(text)
	}
	return h.kept.Write(text)
}

func (h *heldWriter) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	// It is told on the way out: there is nobody to tell if that fails.
	_, _ = h.kept.WriteTo(h.to)
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
