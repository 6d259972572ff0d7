package event

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
)

// ListOptions are the flags of event list.
type ListOptions struct {
	*cmdutil.Factory
	FilterFlags
	Limit int32
}

// NewCmdList makes event list.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *ListOptions) error) *cobra.Command {
	opts := &ListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the latest events, newest last",
		Example: `  edgesync event list --tenant acme --since 24h
  edgesync event list --type security. --limit 20 -o json
  edgesync event list --since 24h -o ocsf`,
		Args:        cmdutil.NoArgs,
		Annotations: hasOCSF,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, listRun)
		},
	}
	opts.add(cmd)
	cmd.Flags().Int32Var(&opts.Limit, "limit", 0, "at most so many (default: 100)")
	return cmd
}

func listRun(ctx context.Context, opts *ListOptions) error {
	if opts.Limit < 0 {
		return cmdutil.Usagef("--limit %d: want a positive number", opts.Limit)
	}
	request, err := opts.request(opts.Now())
	if err != nil {
		return err
	}
	request.Limit = opts.Limit
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.ListEvents(ctx, request)
	if err != nil {
		return err
	}
	if opts.Format == cmdutil.FormatOCSF {
		for _, e := range answer.GetEvents() {
			if err := printOCSF(opts.IO, e); err != nil {
				return err
			}
		}
		return nil
	}
	documents := make([]document, 0, len(answer.GetEvents()))
	for _, e := range answer.GetEvents() {
		documents = append(documents, newDocument(e))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, columns(), documents)
}
