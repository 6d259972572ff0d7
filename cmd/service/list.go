package service

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ListOptions are the flags of service list.
type ListOptions struct {
	*cmdutil.Factory
	Tenant    string
	Available bool
}

// NewCmdList makes service list.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *ListOptions) error) *cobra.Command {
	opts := &ListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sync services and their health",
		Example: `  edgesync service list
  edgesync service list --tenant acme --available -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, listRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "only this tenant's")
	cmd.Flags().BoolVar(&opts.Available, "available", false,
		"only those that may run the tenant's sources, the platform's own among them (needs --tenant)")
	return cmd
}

func listRun(ctx context.Context, opts *ListOptions) error {
	if opts.Available && opts.Tenant == "" {
		return cmdutil.Usagef("missing --tenant: --available asks what one tenant may use")
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.ListServices(ctx, &adminv1.ListServicesRequest{Tenant: opts.Tenant, Available: opts.Available})
	if err != nil {
		return err
	}
	documents := make([]document, 0, len(answer.GetServices()))
	for _, s := range answer.GetServices() {
		documents = append(documents, newDocument(s))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, listColumns(opts.Now()), documents)
}
