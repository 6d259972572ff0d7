package device

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// TraceOptions are the flags of device trace.
type TraceOptions struct {
	*cmdutil.Factory
	Query  string
	Tenant string
	By     string
	Source string
	Stored bool
}

// NewCmdTrace makes device trace.
func NewCmdTrace(f *cmdutil.Factory, runF func(context.Context, *TraceOptions) error) *cobra.Command {
	opts := &TraceOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "trace DEVICE",
		Short: "Follow a device from its source to the platform, and say why it is missing",
		Long: `Follow a device on its way: source, page, run, chunk, stream, commit, decision; and say why it is missing, and what to do.

DEVICE is anything it is known by: the platform's id, the source's own id, a MAC, an address or a host name. What the
platform has stored answers for the one end. For the other, the service that runs the source looks for the device on the
source's pages and in what waits for the gateway, or was refused by it; with --stored nobody is asked.

The exit code is 3 when no device that fits is on the platform.`,
		Example: `  edgesync device trace 7 --tenant acme
  edgesync device trace 7 --tenant acme --source hq-armis --by native-id -o json
  edgesync device trace sr:0f9a… --stored`,
		Args: cmdutil.Args("DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Query = args[0]
			return cmdutil.Run(cmd, opts, runF, traceRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant (default: the only one there is, or of an id whichever has it)")
	flags.StringVar(&opts.By, "by", "", "what DEVICE is: id, native-id, mac, ip, hostname or name (default: what it looks like)")
	flags.StringVar(&opts.Source, "source", "", "only the way from this source (default: every source of the tenant)")
	flags.BoolVar(&opts.Stored, "stored", false, "only what the platform has stored: ask no service, read no source")
	return cmd
}

// traceDocument is a trace as scripts read it.
type traceDocument struct {
	Tenant   string        `json:"tenant"`
	TenantID string        `json:"tenant_id"`
	Query    string        `json:"query"`
	By       string        `json:"by"`
	Verdict  string        `json:"verdict"`
	Reason   string        `json:"reason"`
	Summary  string        `json:"summary"`
	Next     string        `json:"next"`
	Devices  []document    `json:"devices"`
	Sources  []sourceTrace `json:"sources"`
}

type sourceTrace struct {
	Source        string      `json:"source"`
	SourceID      string      `json:"source_id"`
	SourceType    string      `json:"source_type"`
	Service       string      `json:"service"`
	ServiceID     string      `json:"service_id"`
	ServiceStatus string      `json:"service_status"`
	Verdict       string      `json:"verdict"`
	Reason        string      `json:"reason"`
	Summary       string      `json:"summary"`
	Next          string      `json:"next"`
	RunID         string      `json:"run_id"`
	TraceID       string      `json:"trace_id"`
	Steps         []traceStep `json:"steps"`
}

type traceStep struct {
	Stage string     `json:"stage"`
	State string     `json:"state"`
	Text  string     `json:"text"`
	At    *time.Time `json:"at"`
	List  string     `json:"list"`
	Page  int32      `json:"page"`
	Place int32      `json:"place"`
	Chunk int32      `json:"chunk"`
	// Chunks is how many the run has.
	Chunks int32 `json:"chunks"`
}

func newTraceDocument(t *adminv1.DeviceTrace) traceDocument {
	d := traceDocument{
		Tenant: t.GetTenant(), TenantID: t.GetTenantId(), Query: t.GetQuery(), By: t.GetBy(),
		Verdict: t.GetVerdict(), Reason: t.GetReason(), Summary: t.GetSummary(), Next: t.GetNext(),
		Devices: make([]document, 0, len(t.GetDevices())), Sources: make([]sourceTrace, 0, len(t.GetSources())),
	}
	for _, device := range t.GetDevices() {
		d.Devices = append(d.Devices, newDocument(device))
	}
	for _, s := range t.GetSources() {
		one := sourceTrace{
			Source: s.GetSource(), SourceID: s.GetSourceId(), SourceType: s.GetSourceType(),
			Service: s.GetService(), ServiceID: s.GetServiceId(), ServiceStatus: s.GetServiceStatus(),
			Verdict: s.GetVerdict(), Reason: s.GetReason(), Summary: s.GetSummary(), Next: s.GetNext(),
			RunID: s.GetRunId(), TraceID: s.GetTraceId(), Steps: make([]traceStep, 0, len(s.GetSteps())),
		}
		for _, step := range s.GetSteps() {
			one.Steps = append(one.Steps, traceStep{
				Stage: step.GetStage(), State: step.GetState(), Text: step.GetText(), At: cmdutil.Time(step.GetAt()),
				List: step.GetList(), Page: step.GetPage(), Place: step.GetPlace(), Chunk: step.GetChunk(), Chunks: step.GetChunks(),
			})
		}
		d.Sources = append(d.Sources, one)
	}
	return d
}

func traceRun(ctx context.Context, opts *TraceOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	tenant, err := traceTenant(ctx, client, opts)
	if err != nil {
		return err
	}
	answer, err := client.TraceDevice(ctx, &adminv1.TraceDeviceRequest{
		Tenant: tenant, Query: opts.Query, By: opts.By, Source: opts.Source, StoredOnly: opts.Stored,
	})
	if err != nil {
		return err
	}
	d := newTraceDocument(answer)
	if opts.Format.Human() {
		err = printTrace(opts, d)
	} else {
		err = cmdutil.PrintDocument(opts.IO, opts.Format, d)
	}
	if err == nil && d.Verdict != "present" {
		err = cmdutil.Errorf(cmdutil.ExitNotFound, "trace device %q of tenant %s: it is not on the platform: %s (%s)", d.Query, d.Tenant, d.Verdict, d.Reason)
	}
	return err
}

// traceTenant is the tenant that is named, that has the id, or that is the only one.
func traceTenant(ctx context.Context, client adminv1.AdminClient, opts *TraceOptions) (string, error) {
	if opts.Tenant != "" {
		return opts.Tenant, nil
	}
	if strings.HasPrefix(opts.Query, "sr:") {
		found, err := find(ctx, client, "", opts.Query)
		return found.GetDevice().GetTenant(), err
	}
	tenants, err := client.ListTenants(ctx, &adminv1.ListTenantsRequest{})
	if err != nil {
		return "", err
	}
	var slugs []string
	for _, t := range tenants.GetTenants() {
		if !t.GetIsPlatform() {
			slugs = append(slugs, t.GetSlug())
		}
	}
	switch len(slugs) {
	case 0:
		return "", cmdutil.Errorf(cmdutil.ExitNotFound, "trace device %q: there is no tenant: create one with `edgesync tenant create`", opts.Query)
	case 1:
		return slugs[0], nil
	}
	return "", cmdutil.Usagef("missing --tenant: there are several: %s", strings.Join(slugs[:min(len(slugs), 10)], ", "))
}

// stateMarks are what the states of a step look like.
var stateMarks = map[string]struct{ mark, style string }{
	"passed": {"ok", "success"}, "stopped": {"STOPPED", "failed"}, "waiting": {"waiting", "partial"},
	"unknown": {"?", ""}, "not_reached": {"-", ""},
}

func printTrace(opts *TraceOptions, d traceDocument) error {
	out := func(style, format string, args ...any) {
		fmt.Fprintln(opts.IO.Out, opts.IO.Paint(cmdutil.StateStyle(style), cmdutil.Neutralise(fmt.Sprintf(format, args...))))
	}
	out("", "%s %s of tenant %s: %s (%s)", d.By, d.Query, d.Tenant, d.Verdict, d.Reason)
	out("", "%s", d.Summary)
	if d.Next != "" {
		out("", "next: %s", d.Next)
	}
	for _, device := range d.Devices {
		out("", "device %s  %s  %s  %s  %s", device.ID, device.Hostname, device.IP, device.MAC, device.State)
	}
	for _, s := range d.Sources {
		fmt.Fprintln(opts.IO.Out)
		out("", "source %s (%s): %s (%s)", s.Source, s.SourceType, s.Verdict, s.Reason)
		if s.Summary != d.Summary {
			out("", "  %s", s.Summary)
		}
		if s.Next != "" && s.Next != d.Next {
			out("", "  next: %s", s.Next)
		}
		if s.TraceID != "" {
			out("", "  run %s, trace %s", s.RunID, s.TraceID)
		}
		for _, step := range s.Steps {
			mark := stateMarks[step.State]
			out(mark.style, "  %-9s %-8s %s%s", step.Stage, mark.mark, step.Text, stepTime(step))
		}
	}
	return nil
}

func stepTime(s traceStep) string {
	if s.At == nil || s.State == "not_reached" {
		return ""
	}
	return "  [" + cmdutil.Date(s.At) + "]"
}
