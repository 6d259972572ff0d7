// Package store is the commands for the upkeep of what a platform is kept in.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"edgesync/cmd/backup"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
)

// NewCmdStore makes store.
func NewCmdStore(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("store", "Keep the platform's store: its files or its database",
		newCmdMigrate(f), newCmdCheck(f), newCmdCopy(f),
		// Where who keeps a store looks for them.
		backup.NewCmdBackup(f, nil), backup.NewCmdRestore(f, nil))
}

func newCmdMigrate(f *cmdutil.Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schemas of the platform and of every tenant up to date",
		Long: `Bring the schemas of the platform and of every tenant up to date, and print their versions. Without it each is
brought up to date when it is first used.`,
		Example: "  edgesync store migrate",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			parts, err := withStore(cmd.Context(), f, "migrate store", (*state.Upkeep).Migrate)
			if err != nil {
				return err
			}
			return print(f, parts, "version")
		},
	}
}

func newCmdCheck(f *cmdutil.Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Look for what should never be in the store",
		Long: `Look for what should never be in the store, in every part of it: damaged files or indexes, migrations that were left
out, rows that name what is not there, assertions that are not what was hashed, credentials and keys that the keyset
does not open, authorities that do not verify, files or schemas of no tenant. Stop serve first, or check what a backup
of it was restored to. Each problem is a line; with any, the exit code is 1.`,
		Example: "  edgesync store check",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			parts, err := withStore(cmd.Context(), f, "check store", (*state.Upkeep).Check)
			if err != nil {
				return err
			}
			if err := print(f, parts, "version", "problems"); err != nil {
				return err
			}
			if bad := tellProblems(f, parts); bad > 0 {
				return cmdutil.Errorf(cmdutil.ExitFailed, "check store: %s found: restore it from a backup taken before (`edgesync restore`)", cmdutil.Plural(int64(bad), "problem"))
			}
			return nil
		},
	}
}

func newCmdCopy(f *cmdutil.Factory) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "copy --to URL",
		Short: "Move the platform from files to a PostgreSQL database",
		Long: `Copy the platform in the state directory into an empty PostgreSQL database, compare what arrived with what was
sent, and have the directory use the database from then on. The files stay as they were. Stop serve first.`,
		Example: "  edgesync store copy --to postgres://edgesync@db.example.com/edgesync",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return cmdutil.Missing("to")
			}
			database, err := state.Database(to, true)
			if err != nil {
				return err
			}
			parts, err := withStore(cmd.Context(), f, "copy store", func(u *state.Upkeep, ctx context.Context) ([]state.Part, error) {
				return u.Copy(ctx, database)
			})
			if err != nil {
				return err
			}
			return print(f, parts, "version", "rows", "hash")
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "postgres:// URL of the empty database, without a password")
	return cmd
}

// withStore opens the store for work, and tells how far that has come.
func withStore(ctx context.Context, f *cmdutil.Factory, what string, work func(*state.Upkeep, context.Context) ([]state.Part, error)) (parts []state.Part, err error) {
	if err := f.OnlyHere("a store is kept"); err != nil {
		return nil, err
	}
	dir, err := f.StateDir()
	if err != nil {
		return nil, err
	}
	opts := state.Options{Dir: dir, Logger: f.Logger(slog.LevelError), Now: f.Now}
	told, err := f.Database()
	if err != nil {
		return nil, err
	}
	if err := opts.Told(told); err != nil {
		return nil, err
	}
	upkeep, err := state.OpenStore(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, upkeep.Close()) }()
	shown := board{progress: cmdutil.StartProgress(f, what)}
	defer shown.progress.End()
	upkeep.Observe = shown.observe
	return work(upkeep, ctx)
}

// board is a bar for the parts, and one for the rows of the part worked on.
type board struct {
	progress    *cmdutil.Progress
	parts, rows *cmdutil.Task
	phase       string
}

func (b *board) observe(s state.Step) {
	if s.Phase == "" {
		if b.parts == nil {
			b.parts = b.progress.Task("all", "part", int64(s.Parts))
		}
		b.parts.Set(int64(s.N - 1))
		b.parts.Note(partName(s.Part.Tenant))
		return
	}
	if b.rows == nil {
		b.rows = b.progress.Task("", "row", 0)
	}
	if phase := s.Phase + " " + partName(s.Part.Tenant); b.phase != phase {
		b.phase = phase
		b.rows.Begin(phase, s.Total)
	}
	b.rows.Set(s.Rows)
}

// partName is what a part is called: its tenant, or the platform.
func partName(tenant string) string {
	if tenant == "" {
		return "(platform)"
	}
	return tenant
}

// tellProblems writes each problem on a line, where the list only counts them, and
// returns how many there are.
func tellProblems(f *cmdutil.Factory, parts []state.Part) (n int) {
	for _, part := range parts {
		n += len(part.Problems)
		for _, problem := range part.Problems {
			if f.Format.Human() {
				fmt.Fprintln(f.IO.Out, cmdutil.Neutralise(partName(part.Tenant)+": "+problem))
			}
		}
	}
	return n
}

// document is a part of a store as scripts read it.
type document struct {
	// Tenant is empty for the platform's own part.
	Tenant   string   `json:"tenant"`
	TenantID string   `json:"tenant_id,omitempty"`
	Version  int64    `json:"version"`
	Problems []string `json:"problems"`
	Rows     int64    `json:"rows,omitempty"`
	Hash     string   `json:"hash,omitempty"`
}

// print prints the parts with some of their columns.
func print(f *cmdutil.Factory, parts []state.Part, columns ...string) error {
	documents := make([]document, len(parts))
	for i, part := range parts {
		documents[i] = document{Tenant: part.Tenant, Version: part.Version, Problems: append([]string{}, part.Problems...), Rows: part.Rows, Hash: part.Hash}
		if part.Tenant != "" {
			documents[i].TenantID = part.ID.String()
		}
	}
	shown := []cmdutil.Column[document]{{Title: "part", Value: func(d document) string { return partName(d.Tenant) }}}
	values := map[string]func(document) string{
		"version":  func(d document) string { return strconv.FormatInt(d.Version, 10) },
		"rows":     func(d document) string { return strconv.FormatInt(d.Rows, 10) },
		"hash":     func(d document) string { return fmt.Sprintf("%.16s", d.Hash) },
		"problems": func(d document) string { return strconv.Itoa(len(d.Problems)) },
	}
	for _, column := range columns {
		shown = append(shown, cmdutil.Column[document]{Title: column, Value: values[column]})
	}
	return cmdutil.PrintList(f.IO, f.Format, shown, documents)
}
