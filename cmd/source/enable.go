package source

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// EnableOptions are the flags of source enable and source disable.
type EnableOptions struct {
	*cmdutil.Factory
	Source string
	Tenant string
	Enable bool
}

// NewCmdEnable makes source enable.
func NewCmdEnable(f *cmdutil.Factory, runF func(context.Context, *EnableOptions) error) *cobra.Command {
	return newCmdEnable(&EnableOptions{Factory: f, Enable: true}, runF, "enable", "Run an integration source")
}

// NewCmdDisable makes source disable.
func NewCmdDisable(f *cmdutil.Factory, runF func(context.Context, *EnableOptions) error) *cobra.Command {
	return newCmdEnable(&EnableOptions{Factory: f}, runF, "disable", "Stop running an integration source; its devices stay")
}

func newCmdEnable(opts *EnableOptions, runF func(context.Context, *EnableOptions) error, verb, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     verb + " SOURCE",
		Short:   short,
		Example: "  edgesync source " + verb + " hq-armis --tenant acme",
		Args:    cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
			return cmdutil.Run(cmd, opts, runF, enableRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd
}

func enableRun(ctx context.Context, opts *EnableOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Source)
	if err != nil {
		return err
	}
	changed, err := client.SetSourceEnabled(ctx, &adminv1.SetSourceEnabledRequest{
		Tenant: found.GetTenant(), Source: found.GetId(), Enabled: opts.Enable,
	})
	if err != nil {
		return err
	}
	d := newDocument(changed)
	return cmdutil.PrintDone(opts.IO, opts.Format, d, "source %s of tenant %s is %s", d.Name, d.Tenant, state(d))
}
