// Package man writes the reference of the command line from the command line
// itself: manual pages, and the Markdown in docs/cli.
package man

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"edgesync/cmd/cmdutil"
)

// Options are the flags of man.
type Options struct {
	*cmdutil.Factory
	Root     *cobra.Command
	Command  []string
	Dir      string
	Markdown bool
	// Date is printed on manual pages.
	Date time.Time
}

// NewCmdMan makes man. date is that of the build, so that equal builds print
// equal pages.
func NewCmdMan(f *cmdutil.Factory, date *time.Time, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f, Date: time.Unix(0, 0).UTC()}
	if date != nil {
		opts.Date = *date
	}
	cmd := &cobra.Command{
		Use:   "man [COMMAND]...",
		Short: "Print a command's manual page, or write all of them to a directory",
		Example: `  edgesync man source add | man -l -
  edgesync man --dir /usr/local/share/man/man1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Root, opts.Command = cmd.Root(), args
			return cmdutil.Run(cmd, opts, runF, manRun)
		},
	}
	cmd.Flags().StringVar(&opts.Dir, "dir", "", "write a page for every command into this directory")
	cmd.Flags().BoolVar(&opts.Markdown, "markdown", false, "write Markdown instead")
	return cmd
}

func manRun(_ context.Context, opts *Options) error {
	undated(opts.Root)
	if opts.Dir == "" {
		return opts.printPage()
	}
	if len(opts.Command) > 0 {
		return cmdutil.Usagef("--dir writes every command's page: leave the command out")
	}
	if opts.Markdown {
		return WriteMarkdown(opts.Root, opts.Dir)
	}
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return fmt.Errorf("make directory for manual pages: %w", err)
	}
	if err := doc.GenManTree(opts.Root, opts.header(), opts.Dir); err != nil {
		return fmt.Errorf("write manual pages: %w", err)
	}
	return nil
}

func (opts *Options) printPage() error {
	target, rest, err := opts.Root.Find(opts.Command)
	if err != nil || len(rest) > 0 {
		return cmdutil.Usagef("no such command: see `%s --help`", opts.Root.Name())
	}
	if opts.Markdown {
		err = doc.GenMarkdown(target, opts.IO.Out)
	} else {
		err = doc.GenMan(target, opts.header(), opts.IO.Out)
	}
	if err != nil {
		return fmt.Errorf("write manual page: %w", err)
	}
	return nil
}

func (opts *Options) header() *doc.GenManHeader {
	return &doc.GenManHeader{Section: "1", Source: "edgesync", Manual: "edgesync", Date: &opts.Date}
}

// undated keeps the day a page was made out of it: equal commands, equal pages.
func undated(root *cobra.Command) { root.DisableAutoGenTag = true }

// WriteMarkdown replaces every page in dir, and removes those of commands that
// are no more.
func WriteMarkdown(root *cobra.Command, dir string) error {
	undated(root)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory for the reference: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, root.Name()+"_*.md"))
	if err != nil {
		return fmt.Errorf("list old pages: %w", err)
	}
	for _, page := range old {
		if err := os.Remove(page); err != nil {
			return fmt.Errorf("remove old page: %w", err)
		}
	}
	if err := doc.GenMarkdownTree(root, dir); err != nil {
		return fmt.Errorf("write pages: %w", err)
	}
	return nil
}
