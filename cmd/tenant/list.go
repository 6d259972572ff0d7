package tenant

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ListOptions are the flags of tenant list.
type ListOptions struct {
	*cmdutil.Factory
}

// NewCmdList makes tenant list.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *ListOptions) error) *cobra.Command {
	opts := &ListOptions{Factory: f}
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List tenants, the platform's own among them",
		Example: `  edgesync tenant list
  edgesync tenant list -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, listRun)
		},
	}
}

func listRun(ctx context.Context, opts *ListOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.ListTenants(ctx, &adminv1.ListTenantsRequest{})
	if err != nil {
		return err
	}
	documents := make([]document, 0, len(answer.GetTenants()))
	for _, t := range answer.GetTenants() {
		documents = append(documents, newDocument(t))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, columns(), documents)
}
