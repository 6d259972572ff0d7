package source

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ListOptions are the flags of source list.
type ListOptions struct {
	*cmdutil.Factory
	Tenant  string
	Service string
}

// NewCmdList makes source list.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *ListOptions) error) *cobra.Command {
	opts := &ListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List integration sources and how their last runs ended",
		Example: `  edgesync source list --tenant acme
  edgesync source list -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, listRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "only this tenant's")
	cmd.Flags().StringVar(&opts.Service, "service", "", "only those the sync service with this id runs")
	return cmd
}

func listRun(ctx context.Context, opts *ListOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.ListSources(ctx, &adminv1.ListSourcesRequest{Tenant: opts.Tenant, SyncServiceId: opts.Service})
	if err != nil {
		return err
	}
	documents := make([]document, 0, len(answer.GetSources()))
	for _, s := range answer.GetSources() {
		documents = append(documents, newDocument(s))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, listColumns(opts.Now()), documents)
}
