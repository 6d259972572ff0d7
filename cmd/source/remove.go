package source

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// RemoveOptions are the flags of source remove.
type RemoveOptions struct {
	*cmdutil.Factory
	Source string
	Tenant string
	Yes    bool
}

// NewCmdRemove makes source remove.
func NewCmdRemove(f *cmdutil.Factory, runF func(context.Context, *RemoveOptions) error) *cobra.Command {
	opts := &RemoveOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "remove SOURCE",
		Aliases: []string{"rm"},
		Short:   "Remove an integration source and its credentials; its devices stay",
		Example: "  edgesync source remove hq-armis --tenant acme --yes",
		Args:    cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
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
	found, err := find(ctx, client, opts.Tenant, opts.Source)
	if err != nil {
		return err
	}
	name, tenant := found.GetSpec().GetName(), found.GetTenant()
	if err := opts.Confirm(opts.Yes, "removing source %s of tenant %s", name, tenant); err != nil {
		return err
	}
	if _, err := client.RemoveSource(ctx, &adminv1.RemoveSourceRequest{Tenant: tenant, Source: found.GetId()}); err != nil {
		return err
	}
	removed := struct {
		ID      string `json:"id"`
		Tenant  string `json:"tenant"`
		Name    string `json:"name"`
		Removed bool   `json:"removed"`
	}{found.GetId(), tenant, name, true}
	return cmdutil.PrintDone(opts.IO, opts.Format, removed, "removed source %s of tenant %s", name, tenant)
}
