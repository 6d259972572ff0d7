package device

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ShowOptions are the flags of device show.
type ShowOptions struct {
	*cmdutil.Factory
	ID     string
	Tenant string
	Why    bool
}

// NewCmdShow makes device show.
func NewCmdShow(f *cmdutil.Factory, runF func(context.Context, *ShowOptions) error) *cobra.Command {
	opts := &ShowOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a device and what each source says of it",
		Example: `  edgesync device show sr:0f9a…
  edgesync device show sr:0f9a… --why`,
		Args: cmdutil.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.ID = args[0]
			return cmdutil.Run(cmd, opts, runF, showRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant (default: whichever has the device)")
	cmd.Flags().BoolVar(&opts.Why, "why", false, "also what makes it one device, every decision about it, and where each value comes from")
	return cmd
}

// assertion is what one source says of the device.
type assertion struct {
	Source       string            `json:"source"`
	SourceID     string            `json:"source_id"`
	Key          string            `json:"key"`
	HomeID       string            `json:"home_id"`
	State        string            `json:"state"`
	FirstSeen    *time.Time        `json:"first_seen"`
	LastSeen     *time.Time        `json:"last_seen"`
	RunID        string            `json:"run_id"`
	IPs          []string          `json:"ips"`
	MACs         []string          `json:"macs"`
	Hostname     string            `json:"hostname"`
	SerialNumber string            `json:"serial_number"`
	Metadata     map[string]string `json:"metadata"`
}

// detail is a device with its assertions.
type detail struct {
	document
	Assertions []assertion `json:"assertions"`
}

func newDetail(d *adminv1.DeviceDetail) detail {
	out := detail{document: newDocument(d.GetDevice()), Assertions: make([]assertion, 0, len(d.GetAssertions()))}
	for _, a := range d.GetAssertions() {
		out.Assertions = append(out.Assertions, assertion{
			Source: a.GetSource(), SourceID: a.GetSourceId(), Key: a.GetKey(), HomeID: a.GetHomeId(), State: a.GetState(),
			FirstSeen: cmdutil.Time(a.GetFirstSeen()), LastSeen: cmdutil.Time(a.GetLastSeen()), RunID: a.GetRunId(),
			IPs: cmdutil.List(a.GetIps()), MACs: cmdutil.List(a.GetMacs()), Hostname: a.GetHostname(),
			SerialNumber: a.GetSerialNumber(), Metadata: cmdutil.Map(a.GetMetadata()),
		})
	}
	return out
}

func showRun(ctx context.Context, opts *ShowOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.ID)
	if err != nil {
		return err
	}
	if opts.Why {
		return explain(ctx, opts, client, found)
	}
	d := newDetail(found)
	if !opts.Format.Human() {
		return cmdutil.PrintDocument(opts.IO, opts.Format, d)
	}
	return printDetail(opts.IO, opts.Format, opts.Now(), d)
}

func printDetail(streams *cmdutil.IOStreams, format cmdutil.Format, now time.Time, d detail) error {
	if err := cmdutil.PrintOne(streams, format, showColumns(now), d.document); err != nil {
		return err
	}
	fmt.Fprintln(streams.Out)
	return cmdutil.PrintList(streams, format, assertionColumns(now), d.Assertions)
}

// find asks the tenant, or without one each of them until one has the device:
// ids are unique over the platform.
func find(ctx context.Context, client adminv1.AdminClient, tenant, id string) (*adminv1.DeviceDetail, error) {
	if tenant != "" {
		return client.GetDevice(ctx, &adminv1.GetDeviceRequest{Tenant: tenant, Id: id})
	}
	tenants, err := client.ListTenants(ctx, &adminv1.ListTenantsRequest{})
	if err != nil {
		return nil, err
	}
	for _, t := range tenants.GetTenants() {
		found, err := client.GetDevice(ctx, &adminv1.GetDeviceRequest{Tenant: t.GetSlug(), Id: id})
		if status.Code(err) != codes.NotFound {
			return found, err
		}
	}
	return nil, cmdutil.Errorf(cmdutil.ExitNotFound, "find device %q: no tenant has it", id)
}

func showColumns(now time.Time) []cmdutil.Column[document] {
	return append(listColumns(now), []cmdutil.Column[document]{
		{Title: "ADDRESSES", Value: func(d document) string { return strings.Join(d.IPs, ", ") }},
		{Title: "MACS", Value: func(d document) string { return strings.Join(d.MACs, ", ") }},
		{Title: "SERIAL NUMBER", Value: func(d document) string { return d.SerialNumber }},
		{Title: "MANUFACTURER", Value: func(d document) string { return d.Manufacturer }},
		{Title: "MODEL", Value: func(d document) string { return d.Model }},
		{Title: "OPERATING SYSTEM", Value: func(d document) string { return d.OperatingSystem }},
		{Title: "DEVICE TYPE", Value: func(d document) string { return d.DeviceType }},
		{Title: "SITE", Value: func(d document) string { return d.Site }},
		{Title: "TAGS", Value: func(d document) string { return strings.Join(d.Tags, ", ") }},
		{Title: "FIRST SEEN", Value: func(d document) string { return cmdutil.Date(d.FirstSeen) }},
	}...)
}

func assertionColumns(now time.Time) []cmdutil.Column[assertion] {
	return []cmdutil.Column[assertion]{
		{Title: "SOURCE", Value: func(a assertion) string { return a.Source }},
		{Title: "KEY", Value: func(a assertion) string { return a.Key }},
		{Title: "STATE", Value: func(a assertion) string { return a.State },
			Style: func(a assertion) string { return cmdutil.StateStyle(a.State) }},
		{Title: "LAST SEEN", Value: func(a assertion) string { return cmdutil.Ago(a.LastSeen, now) }},
		{Title: "ADDRESSES", Value: func(a assertion) string { return strings.Join(a.IPs, ", ") }},
		{Title: "MACS", Value: func(a assertion) string { return strings.Join(a.MACs, ", ") }},
		{Title: "HOSTNAME", Value: func(a assertion) string { return a.Hostname }},
		{Title: "METADATA", Value: metadata},
	}
}

func metadata(a assertion) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(a.Metadata)) {
		parts = append(parts, key+"="+a.Metadata[key])
	}
	return strings.Join(parts, " ")
}
