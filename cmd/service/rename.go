package service

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// RenameOptions are the flags of service rename.
type RenameOptions struct {
	*cmdutil.Factory
	Service string
	Name    string
	Tenant  string
}

// NewCmdRename makes service rename.
func NewCmdRename(f *cmdutil.Factory, runF func(context.Context, *RenameOptions) error) *cobra.Command {
	opts := &RenameOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "rename SERVICE NAME",
		Short:   "Give a sync service another name; its component id and identity stay",
		Example: `  edgesync service rename hq-sync "Head Office" --tenant acme`,
		Args:    cmdutil.Args("SERVICE", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Service, opts.Name = args[0], args[1]
			return cmdutil.Run(cmd, opts, runF, renameRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd
}

func renameRun(ctx context.Context, opts *RenameOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Service)
	if err != nil {
		return err
	}
	renamed, err := client.RenameService(ctx, &adminv1.RenameServiceRequest{
		Tenant: found.GetTenant(), Service: found.GetId(), Name: opts.Name,
	})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(renamed),
		"renamed sync service %s of tenant %s to %s", found.GetName(), found.GetTenant(), renamed.GetName())
}
