package source

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// SyncNowOptions are the flags of source sync-now.
type SyncNowOptions struct {
	*cmdutil.Factory
	Source string
	Tenant string
}

// NewCmdSyncNow makes source sync-now.
func NewCmdSyncNow(f *cmdutil.Factory, runF func(context.Context, *SyncNowOptions) error) *cobra.Command {
	opts := &SyncNowOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "sync-now SOURCE",
		Short: "Run an integration source at once and wait for its result",
		Long: `Run an integration source at once, on the sync service that owns it, and wait until its devices are stored.

Interrupting the command does not interrupt the run. The exit code is 1 when the run fails and 5 when the service is offline.`,
		Example: "  edgesync source sync-now hq-armis --tenant acme",
		Args:    cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
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
	found, err := find(ctx, client, opts.Tenant, opts.Source)
	if err != nil {
		return err
	}
	return cmdutil.SyncNow(ctx, opts.Factory, client, &adminv1.SyncNowRequest{Tenant: found.GetTenant(), Source: found.GetId()},
		"source "+found.GetSpec().GetName())
}
