package tenant

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ShowOptions are the arguments of tenant show.
type ShowOptions struct {
	*cmdutil.Factory
	Slug string
}

// NewCmdShow makes tenant show.
func NewCmdShow(f *cmdutil.Factory, runF func(context.Context, *ShowOptions) error) *cobra.Command {
	opts := &ShowOptions{Factory: f}
	return &cobra.Command{
		Use:     "show SLUG",
		Short:   "Show a tenant",
		Example: "  edgesync tenant show acme",
		Args:    cmdutil.Args("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Slug = args[0]
			return cmdutil.Run(cmd, opts, runF, showRun)
		},
	}
}

func showRun(ctx context.Context, opts *ShowOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := client.GetTenant(ctx, &adminv1.GetTenantRequest{Slug: opts.Slug})
	if err != nil {
		return err
	}
	return cmdutil.PrintOne(opts.IO, opts.Format, columns(), newDocument(found))
}
