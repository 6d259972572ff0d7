package service

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
)

// ShowOptions are the flags of service show.
type ShowOptions struct {
	*cmdutil.Factory
	Service string
	Tenant  string
}

// NewCmdShow makes service show.
func NewCmdShow(f *cmdutil.Factory, runF func(context.Context, *ShowOptions) error) *cobra.Command {
	opts := &ShowOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "show SERVICE",
		Short: "Show a sync service, by name, component id or id",
		Example: `  edgesync service show hq-sync
  edgesync service show "HQ Sync" --tenant acme -o yaml`,
		Args: cmdutil.Args("SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Service = args[0]
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
	found, err := find(ctx, client, opts.Tenant, opts.Service)
	if err != nil {
		return err
	}
	return cmdutil.PrintOne(opts.IO, opts.Format, showColumns(opts.Now()), newDocument(found))
}
