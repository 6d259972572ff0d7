package device

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ChangeOptions are the flags of device merge, unmerge and split.
type ChangeOptions struct {
	*cmdutil.Factory
	// IDs are a device's and further ones: those to merge it with, or the former
	// id of a member to part.
	IDs     []string
	Tenant  string
	Reason  string
	Members []string
}

func (o *ChangeOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.Tenant, "tenant", "t", "", "slug of the tenant (default: whichever has the device)")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why, kept with the decision")
}

// NewCmdMerge makes device merge.
func NewCmdMerge(f *cmdutil.Factory, runF func(context.Context, *ChangeOptions) error) *cobra.Command {
	opts := &ChangeOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "merge ID ID…",
		Short: "Make devices one, whatever their sources say",
		Long: `Make devices one, and keep them one through every later sync.

Devices that an operator parted before are joined again by taking that back, where that is enough.
"device unmerge" undoes it.`,
		Example: "  edgesync device merge sr:0f9a… sr:77c1… --reason \"the same laptop, new network card\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return cmdutil.Usagef("missing ID: usage is `%s`", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.IDs = args
			return cmdutil.Run(cmd, opts, runF, mergeRun)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

// NewCmdUnmerge makes device unmerge.
func NewCmdUnmerge(f *cmdutil.Factory, runF func(context.Context, *ChangeOptions) error) *cobra.Command {
	opts := &ChangeOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "unmerge ID [FORMER-ID]",
		Short: "Take back what was merged into a device",
		Long: `Take back what operators merged into a device. With the former id of a member ("home_id" of its assertions),
part that member from the rest instead, with what the rules make one with it, whoever merged them; it stays parted
through every later sync, and "device merge" undoes it.`,
		Example: `  edgesync device unmerge sr:0f9a…
  edgesync device unmerge sr:0f9a… sr:3be2… --reason "two laptops on one dock"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return cmdutil.Args("ID", "FORMER-ID")(cmd, args)
			}
			return cmdutil.Args("ID")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.IDs = args
			return cmdutil.Run(cmd, opts, runF, unmergeRun)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

// NewCmdSplit makes device split.
func NewCmdSplit(f *cmdutil.Factory, runF func(context.Context, *ChangeOptions) error) *cobra.Command {
	opts := &ChangeOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "split ID --member MEMBER…",
		Short: "Part members of a device from the others, whatever their sources say",
		Long: `Part some of the assertions a device is made of from the others, and keep them apart through every later sync.
A member is named by its "home_id", or as SOURCE/KEY. "device merge" undoes it.`,
		Example: "  edgesync device split sr:0f9a… --member dc-netbox/id:device:7 --reason \"shares a dock\"",
		Args:    cmdutil.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.IDs = args
			return cmdutil.Run(cmd, opts, runF, splitRun)
		},
	}
	opts.addFlags(cmd)
	cmd.Flags().StringArrayVar(&opts.Members, "member", nil, "an assertion to part from the others (may be given several times)")
	return cmd
}

// begin dials and finds the tenant that has the device.
func (o *ChangeOptions) begin(ctx context.Context) (adminv1.AdminClient, string, error) {
	client, err := o.Admin(ctx)
	if err != nil || o.Tenant != "" {
		return client, o.Tenant, err
	}
	found, err := find(ctx, client, "", o.IDs[0])
	return client, found.GetDevice().GetTenant(), err
}

func mergeRun(ctx context.Context, opts *ChangeOptions) error {
	client, tenant, err := opts.begin(ctx)
	if err != nil {
		return err
	}
	merged, err := client.MergeDevices(ctx, &adminv1.MergeDevicesRequest{Tenant: tenant, Ids: opts.IDs, Reason: opts.Reason})
	if err != nil {
		return err
	}
	d := newDetail(merged)
	return cmdutil.PrintDone(opts.IO, opts.Format, d, "merged %d devices of tenant %s into %s", len(opts.IDs), tenant, d.ID)
}

func unmergeRun(ctx context.Context, opts *ChangeOptions) error {
	client, tenant, err := opts.begin(ctx)
	if err != nil {
		return err
	}
	request := &adminv1.UnmergeDeviceRequest{Tenant: tenant, Id: opts.IDs[0], Reason: opts.Reason}
	if len(opts.IDs) > 1 {
		request.FormerId = opts.IDs[1]
	}
	parts, err := client.UnmergeDevice(ctx, request)
	return opts.printParts(tenant, parts, err)
}

func splitRun(ctx context.Context, opts *ChangeOptions) error {
	if len(opts.Members) == 0 {
		return cmdutil.Usagef("missing --member: name the assertions to part from the others, as `edgesync device show` lists them")
	}
	client, tenant, err := opts.begin(ctx)
	if err != nil {
		return err
	}
	parts, err := client.SplitDevice(ctx, &adminv1.SplitDeviceRequest{
		Tenant: tenant, Id: opts.IDs[0], Members: opts.Members, Reason: opts.Reason,
	})
	return opts.printParts(tenant, parts, err)
}

// printParts lists the devices there are now.
func (o *ChangeOptions) printParts(tenant string, parts *adminv1.PartedDevices, err error) error {
	if err != nil {
		return err
	}
	details := make([]detail, 0, len(parts.GetDevices()))
	for _, part := range parts.GetDevices() {
		details = append(details, newDetail(part))
	}
	if !o.Format.Human() {
		return cmdutil.PrintDocument(o.IO, o.Format, details)
	}
	if _, err := fmt.Fprintf(o.IO.Out, "device %s of tenant %s is %s now:\n", cmdutil.Neutralise(o.IDs[0]), tenant,
		cmdutil.Plural(int64(len(details)), "device")); err != nil {
		return err
	}
	documents := make([]document, len(details))
	for i := range details {
		documents[i] = details[i].document
	}
	return cmdutil.PrintList(o.IO, o.Format, listColumns(o.Now()), documents)
}
