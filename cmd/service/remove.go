package service

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// RemoveOptions are the flags of service remove.
type RemoveOptions struct {
	*cmdutil.Factory
	Service string
	Tenant  string
	Yes     bool
}

// NewCmdRemove makes service remove.
func NewCmdRemove(f *cmdutil.Factory, runF func(context.Context, *RemoveOptions) error) *cobra.Command {
	opts := &RemoveOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "remove SERVICE",
		Aliases: []string{"rm"},
		Short:   "Remove a sync service that no source is assigned to, and revoke its identity",
		Example: "  edgesync service remove old-sync --tenant acme --yes",
		Args:    cmdutil.Args("SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Service = args[0]
			return cmdutil.Run(cmd, opts, runF, removeRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	cmd.Flags().BoolVarP(&opts.Yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

func removeRun(ctx context.Context, opts *RemoveOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Service)
	if err != nil {
		return err
	}
	if err := opts.Confirm(opts.Yes, "removing sync service %s of tenant %s", found.GetName(), found.GetTenant()); err != nil {
		return err
	}
	if _, err := client.RemoveService(ctx, &adminv1.RemoveServiceRequest{Tenant: found.GetTenant(), Service: found.GetId()}); err != nil {
		return err
	}
	removed := struct {
		ID      string `json:"id"`
		Tenant  string `json:"tenant"`
		Name    string `json:"name"`
		Removed bool   `json:"removed"`
	}{found.GetId(), found.GetTenant(), found.GetName(), true}
	return cmdutil.PrintDone(opts.IO, opts.Format, removed,
		"removed sync service %s of tenant %s", found.GetName(), found.GetTenant())
}
