package tenant

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// RemoveOptions are the flags of tenant remove.
type RemoveOptions struct {
	*cmdutil.Factory
	Slug string
	Yes  bool
}

// NewCmdRemove makes tenant remove.
func NewCmdRemove(f *cmdutil.Factory, runF func(context.Context, *RemoveOptions) error) *cobra.Command {
	opts := &RemoveOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "remove SLUG",
		Aliases: []string{"rm"},
		Short:   "Delete a tenant, its devices, services, sources and certificate authority",
		Example: "  edgesync tenant remove acme --yes",
		Args:    cmdutil.Args("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Slug = args[0]
			return cmdutil.Run(cmd, opts, runF, removeRun)
		},
	}
	cmd.Flags().BoolVarP(&opts.Yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

func removeRun(ctx context.Context, opts *RemoveOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := client.GetTenant(ctx, &adminv1.GetTenantRequest{Slug: opts.Slug})
	if err != nil {
		return err
	}
	if err := opts.Confirm(opts.Yes, "removing tenant %s with all its devices", found.GetSlug()); err != nil {
		return err
	}
	err = cmdutil.Working(opts.Factory, "remove tenant "+found.GetSlug(), func() error {
		_, err := client.RemoveTenant(ctx, &adminv1.RemoveTenantRequest{Slug: opts.Slug})
		return err
	})
	if err != nil {
		return err
	}
	removed := struct {
		ID      string `json:"id"`
		Slug    string `json:"slug"`
		Removed bool   `json:"removed"`
	}{found.GetId(), found.GetSlug(), true}
	return cmdutil.PrintDone(opts.IO, opts.Format, removed, "removed tenant %s", found.GetSlug())
}
