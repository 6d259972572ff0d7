package device

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// DuplicatesOptions are the flags of device duplicates.
type DuplicatesOptions struct {
	*cmdutil.Factory
	Tenant string
	Limit  int32
}

// NewCmdDuplicates makes device duplicates.
func NewCmdDuplicates(f *cmdutil.Factory, runF func(context.Context, *DuplicatesOptions) error) *cobra.Command {
	opts := &DuplicatesOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "duplicates",
		Short: "List what several devices share that does not make them one",
		Long: `List what several devices share that does not make them one: hardware ids that two things of one source hold,
and host names.`,
		Example: "  edgesync device duplicates --tenant acme --limit 20",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, duplicatesRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "only this tenant's (default: all tenants)")
	cmd.Flags().Int32Var(&opts.Limit, "limit", 0, "at most so many of each tenant (default: no limit)")
	return cmd
}

// duplicate is something devices share, as scripts read it.
type duplicate struct {
	Tenant    string   `json:"tenant"`
	Kind      string   `json:"kind"`
	Partition string   `json:"partition"`
	Value     string   `json:"value"`
	Count     int64    `json:"count"`
	Devices   []string `json:"devices"`
}

func duplicatesRun(ctx context.Context, opts *DuplicatesOptions) error {
	if opts.Limit < 0 {
		return cmdutil.Usagef("--limit %d: want a positive number", opts.Limit)
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	var answer *adminv1.ListDuplicatesResponse
	err = cmdutil.Working(opts.Factory, "look for duplicates", func() (err error) {
		answer, err = client.ListDuplicates(ctx, &adminv1.ListDuplicatesRequest{Tenant: opts.Tenant, Limit: opts.Limit})
		return err
	})
	if err != nil {
		return err
	}
	list := make([]duplicate, 0, len(answer.GetDuplicates()))
	for _, d := range answer.GetDuplicates() {
		list = append(list, duplicate{
			d.GetTenant(), d.GetKind(), d.GetPartition(), d.GetValue(), d.GetCount(), cmdutil.List(d.GetDevices()),
		})
	}
	return cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[duplicate]{
		{Title: "TENANT", Value: func(d duplicate) string { return d.Tenant }},
		{Title: "SHARED", Value: func(d duplicate) string { return d.Kind }},
		{Title: "VALUE", Value: func(d duplicate) string { return d.Value }},
		{Title: "PARTITION", Value: func(d duplicate) string { return d.Partition }},
		{Title: "DEVICES", Value: func(d duplicate) string { return strconv.FormatInt(d.Count, 10) }},
		{Title: "IDS", Value: func(d duplicate) string { return strings.Join(d.Devices, ", ") }},
	}, list)
}
