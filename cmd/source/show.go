package source

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
)

// ShowOptions are the flags of source show.
type ShowOptions struct {
	*cmdutil.Factory
	Source string
	Tenant string
}

// NewCmdShow makes source show.
func NewCmdShow(f *cmdutil.Factory, runF func(context.Context, *ShowOptions) error) *cobra.Command {
	opts := &ShowOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "show SOURCE",
		Short:   "Show an integration source, by name or id; its credentials by key only",
		Example: "  edgesync source show hq-armis --tenant acme",
		Args:    cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
			return cmdutil.Run(cmd, opts, runF, showRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd
}

func showRun(ctx context.Context, opts *ShowOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Source)
	if err != nil {
		return err
	}
	return cmdutil.PrintOne(opts.IO, opts.Format, showColumns(opts.Now()), newDocument(found))
}
