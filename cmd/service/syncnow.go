package service

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// SyncNowOptions are the flags of service sync-now.
type SyncNowOptions struct {
	*cmdutil.Factory
	Service string
	Tenant  string
}

// NewCmdSyncNow makes service sync-now.
func NewCmdSyncNow(f *cmdutil.Factory, runF func(context.Context, *SyncNowOptions) error) *cobra.Command {
	opts := &SyncNowOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "sync-now SERVICE",
		Short: "Run all sources of a sync service at once and wait for their results",
		Long: `Run all enabled sources of a sync service at once and wait until their devices are stored.

Interrupting the command does not interrupt the runs. The exit code is 1 when a run fails and 5 when the service is offline.`,
		Example: "  edgesync service sync-now hq-sync --tenant acme",
		Args:    cmdutil.Args("SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Service = args[0]
			return cmdutil.Run(cmd, opts, runF, syncNowRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd
}

func syncNowRun(ctx context.Context, opts *SyncNowOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Service)
	if err != nil {
		return err
	}
	return cmdutil.SyncNow(ctx, opts.Factory, client, &adminv1.SyncNowRequest{Tenant: found.GetTenant(), Service: found.GetId()},
		"sync service "+found.GetName())
}
