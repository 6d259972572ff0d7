package device

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ListOptions are the flags of device list.
type ListOptions struct {
	*cmdutil.Factory
	Tenant string
	Source string
	Search string
	State  string
	Limit  int64
	Count  bool
}

// NewCmdList makes device list.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *ListOptions) error) *cobra.Command {
	opts := &ListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List canonical devices, or count them",
		Example: `  edgesync device list --tenant acme --search 10.1.
  edgesync device list --tenant acme --source hq-armis --count`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, listRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "only this tenant's (default: all tenants)")
	flags.StringVar(&opts.Source, "source", "", "only those this source names, by name or id (needs --tenant)")
	flags.StringVar(&opts.Search, "search", "", "only those with this in an address, MAC, host name or id")
	flags.StringVar(&opts.State, "state", "", "active, retracted or all (default: active)")
	flags.Int64Var(&opts.Limit, "limit", 0, "at most so many (default: no limit)")
	flags.BoolVar(&opts.Count, "count", false, "print how many there are")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"active", "retracted", "all"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func listRun(ctx context.Context, opts *ListOptions) error {
	switch {
	case opts.Limit < 0:
		return cmdutil.Usagef("--limit %d: want a positive number", opts.Limit)
	case opts.Source != "" && opts.Tenant == "":
		return cmdutil.Usagef("missing --tenant: --source names a source of one tenant")
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	request := &adminv1.ListDevicesRequest{
		Tenant: opts.Tenant, Source: opts.Source, Search: opts.Search, State: opts.State, Limit: opts.Limit,
	}
	if opts.Count {
		return count(ctx, opts, client, request)
	}
	stream, err := client.ListDevices(ctx, request)
	if err != nil {
		return err
	}
	return printDevices(opts, stream.Recv)
}

// printDevices writes devices as they come: a tenant may have a million.
func printDevices(opts *ListOptions, next func() (*adminv1.Device, error)) error {
	first, err := next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	printer := cmdutil.NewPrinter(opts.IO, opts.Format, listColumns(opts.Now()))
	for d := first; err == nil; d, err = next() {
		if err := printer.Add(newDocument(d)); err != nil {
			return err
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return printer.Close()
}

func count(ctx context.Context, opts *ListOptions, client adminv1.AdminClient, request *adminv1.ListDevicesRequest) error {
	answer, err := client.CountDevices(ctx, request)
	if err != nil {
		return err
	}
	if opts.Format.Human() {
		_, err := fmt.Fprintln(opts.IO.Out, answer.GetCount())
		return err
	}
	return cmdutil.PrintDocument(opts.IO, opts.Format, struct {
		Count int64 `json:"count"`
	}{answer.GetCount()})
}
