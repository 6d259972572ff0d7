package serve

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/settings"
	"edgesync/cmd/state"
	"edgesync/proto/shell"
	"edgesync/store/postgres"
)

func newCmdShow(opts *Options) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print every setting of serve and where its value came from",
		Long: `Print every setting of serve and where its value came from, as serve would read them with the same flags. Secrets
are left out. What is wrong in the file or the environment is an error, so that it also checks a file before a restart.`,
		Example: `  edgesync serve config show
  edgesync serve config show --config ./serve.yaml -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.load(cmd.Flags()); err != nil {
				return err
			}
			return showRun(cmd.Context(), opts)
		},
	}
}

// document is a setting as scripts read it. Value is a text, or a list of texts.
type document struct {
	Setting string `json:"setting"`
	Value   any    `json:"value"`
	Origin  string `json:"origin"`
	From    string `json:"from"`
	Reload  bool   `json:"reload"`
	Flag    string `json:"flag"`
	Env     string `json:"env"`

	text string
}

// fromState is the origin of what the bootstrap settled.
const fromState settings.Origin = "state directory"

func showRun(_ context.Context, opts *Options) error {
	// What serve would refuse is an error here, too.
	dir, err := opts.stateDir()
	if err != nil {
		return err
	}
	told := opts.database()
	if _, err := state.Database(told.URL, told.Argument); err != nil {
		return err
	}
	kept, err := state.KeptDatabase(dir)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	documents := make([]document, 0, len(opts.values))
	for _, value := range opts.values {
		switch {
		case value.Flag == "state-dir":
			value.Text = dir
		case value.Flag == "database" && value.Text != "":
			value.Text = postgres.Redact(value.Text)
		case value.Flag == "database" && kept != "":
			value.Text, value.Origin, value.Where = kept, fromState, dir
		}
		documents = append(documents, documentOf(value))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "SETTING", Value: func(d document) string { return d.Setting }},
		{Title: "VALUE", Value: func(d document) string { return d.text }},
		{Title: "FROM", Value: func(d document) string { return cmp.Or(d.From, d.Origin) }},
		{Title: "CHANGES", Value: func(d document) string {
			if d.Reload {
				return "on reload"
			}
			return "on restart"
		}},
	}, documents)
}

func documentOf(value settings.Value) document {
	d := document{
		Setting: value.Key, Value: value.Text, Origin: string(value.Origin), From: value.Where, Reload: value.Live,
		Flag: "--" + value.Flag, Env: value.Env, text: value.String(),
	}
	if value.IsList {
		d.Value = append([]string{}, value.List...)
	}
	if duration, err := time.ParseDuration(value.Text); err == nil {
		d.text = shell.Duration(duration)
	}
	return d
}
