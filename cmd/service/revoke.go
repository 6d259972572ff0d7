package service

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// RevokeOptions are the flags of service revoke.
type RevokeOptions struct {
	*cmdutil.Factory
	Service string
	Tenant  string
}

// NewCmdRevoke makes service revoke.
func NewCmdRevoke(f *cmdutil.Factory, runF func(context.Context, *RevokeOptions) error) *cobra.Command {
	opts := &RevokeOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "revoke SERVICE",
		Short: "Refuse a sync service's identity from now on",
		Long: `Refuse a sync service's identity from now on, also on connections that are open.

Its sources stay assigned to it. Onboarding the same name again issues a new identity.`,
		Example: "  edgesync service revoke hq-sync --tenant acme",
		Args:    cmdutil.Args("SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Service = args[0]
			return cmdutil.Run(cmd, opts, runF, revokeRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd
}

func revokeRun(ctx context.Context, opts *RevokeOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Service)
	if err != nil {
		return err
	}
	revoked, err := client.RevokeService(ctx, &adminv1.RevokeServiceRequest{Tenant: found.GetTenant(), Service: found.GetId()})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(revoked),
		"revoked the identity of sync service %s of tenant %s", revoked.GetName(), revoked.GetTenant())
}
