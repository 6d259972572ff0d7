package source

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// TestOptions are the flags of source test.
type TestOptions struct {
	*cmdutil.Factory
	Source string
	Tenant string
}

// NewCmdTest makes source test.
func NewCmdTest(f *cmdutil.Factory, runF func(context.Context, *TestOptions) error) *cobra.Command {
	opts := &TestOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "test SOURCE",
		Short: "Read a little of an integration source where it runs",
		Long: `Read a little of an integration source on the sync service that owns it, and show up to five of its devices.

Nothing is stored and the source's schedule stays as it is; a disabled source can be tested too. What is wrong is said
exactly: its name, TLS, token, permission or query. The exit code is 1 then, and 5 when the service is offline.`,
		Example: "  edgesync source test hq-armis --tenant acme",
		Args:    cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
			return cmdutil.Run(cmd, opts, runF, testRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd
}

// testDocument is what a test found, as scripts read it.
type testDocument struct {
	OK      bool           `json:"ok"`
	Reason  string         `json:"reason"`
	Message string         `json:"message"`
	Total   int64          `json:"total"`
	Seconds float64        `json:"seconds"`
	Samples []sampleDevice `json:"samples"`
}

type sampleDevice struct {
	NativeID     string `json:"native_id"`
	Hostname     string `json:"hostname"`
	IP           string `json:"ip"`
	MAC          string `json:"mac"`
	DeviceType   string `json:"device_type"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
}

func newTestDocument(r *adminv1.TestSourceResponse) testDocument {
	d := testDocument{
		OK: r.GetOk(), Reason: r.GetReason(), Message: r.GetMessage(), Total: r.GetTotal(),
		Seconds: r.GetTook().AsDuration().Round(time.Millisecond).Seconds(), Samples: []sampleDevice{},
	}
	for _, s := range r.GetSamples() {
		d.Samples = append(d.Samples, sampleDevice{
			NativeID: s.GetNativeId(), Hostname: s.GetHostname(), IP: s.GetIp(), MAC: s.GetMac(),
			DeviceType: s.GetDeviceType(), Manufacturer: s.GetManufacturer(), Model: s.GetModel(),
		})
	}
	return d
}

func sampleColumns() []cmdutil.Column[sampleDevice] {
	return []cmdutil.Column[sampleDevice]{
		{Title: "ID", Value: func(d sampleDevice) string { return d.NativeID }},
		{Title: "HOSTNAME", Value: func(d sampleDevice) string { return d.Hostname }},
		{Title: "IP", Value: func(d sampleDevice) string { return d.IP }},
		{Title: "MAC", Value: func(d sampleDevice) string { return d.MAC }},
		{Title: "TYPE", Value: func(d sampleDevice) string { return d.DeviceType }},
		{Title: "MANUFACTURER", Value: func(d sampleDevice) string { return d.Manufacturer }},
		{Title: "MODEL", Value: func(d sampleDevice) string { return d.Model }},
	}
}

func testRun(ctx context.Context, opts *TestOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Source)
	if err != nil {
		return err
	}
	var answer *adminv1.TestSourceResponse
	err = cmdutil.Working(opts.Factory, "test source "+found.GetSpec().GetName(), func() (err error) {
		answer, err = client.TestSource(ctx, &adminv1.TestSourceRequest{Tenant: found.GetTenant(), Source: found.GetId()})
		return err
	})
	if err != nil {
		return err
	}
	d := newTestDocument(answer)
	if err := printTest(opts, d, found.GetSpec().GetName()); err != nil {
		return err
	}
	if !d.OK {
		return cmdutil.Errorf(cmdutil.ExitFailed, "test source %s: %s: %s", found.GetSpec().GetName(), d.Reason, d.Message)
	}
	return nil
}

func printTest(opts *TestOptions, d testDocument, name string) error {
	if !opts.Format.Human() {
		return cmdutil.PrintDocument(opts.IO, opts.Format, d)
	}
	if !d.OK {
		return nil // The error says it.
	}
	total := "an unknown number of devices"
	if d.Total >= 0 {
		total = cmdutil.Plural(d.Total, "device")
	}
	text := fmt.Sprintf("source %s answers: %s (%.1f s)", name, total, d.Seconds)
	if d.Message != "" {
		text += ": " + d.Message
	}
	if _, err := fmt.Fprintln(opts.IO.Out, cmdutil.Neutralise(text)); err != nil || len(d.Samples) == 0 {
		return err
	}
	return cmdutil.PrintList(opts.IO, opts.Format, sampleColumns(), d.Samples)
}
