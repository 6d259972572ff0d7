// Package dire is the commands on the rules of identity.
package dire

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdDire holds the verbs.
func NewCmdDire(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("dire", "Try the rules of device identity", NewCmdSimulate(f, nil))
}

// SimulateOptions are the flags of dire simulate.
type SimulateOptions struct {
	*cmdutil.Factory
	Tenant            string
	JunkSerials       []string
	JunkManufacturers []string
	TrustedSerials    []string
	IgnoredMACs       []string
	IgnoreSerials     bool
}

// NewCmdSimulate makes dire simulate.
func NewCmdSimulate(f *cmdutil.Factory, runF func(context.Context, *SimulateOptions) error) *cobra.Command {
	opts := &SimulateOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Show which devices other rules would merge and split; changes nothing",
		Long: `Replay all that a tenant's sources assert now, and what operators merged and split, under changed rules, and show
the merges and splits they would make. Nothing is changed. Without a change of rules nothing differs.`,
		Example: `  edgesync dire simulate --tenant acme --ignore-mac 00:50:56
  edgesync dire simulate --tenant acme --junk-serial "Chassis 1" -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, simulateRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant")
	flags.StringArrayVar(&opts.JunkSerials, "junk-serial", nil, "a serial number that names no thing (may be given several times)")
	flags.StringArrayVar(&opts.JunkManufacturers, "junk-manufacturer", nil, "a manufacturer that names none (may be given several times)")
	flags.StringArrayVar(&opts.TrustedSerials, "trust-serial", nil, "a serial number that is taken for junk, and is none (may be given several times)")
	flags.StringArrayVar(&opts.IgnoredMACs, "ignore-mac", nil, "a MAC, or the beginning of one, that links nobody (may be given several times)")
	flags.BoolVar(&opts.IgnoreSerials, "ignore-serials", false, "no serial number links")
	return cmd
}

type identifier struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

type assertion struct {
	Source string `json:"source_id"`
	Key    string `json:"key"`
}

// regroup is a device that would be made of several, or come apart.
type regroup struct {
	Device      string       `json:"device"`
	Devices     []string     `json:"devices"`
	Identifiers []identifier `json:"identifiers"`
	Assertions  []assertion  `json:"assertions"`
}

// simulation is what the changed rules would do, as scripts read it.
type simulation struct {
	Tenant      string    `json:"tenant"`
	DevicesNow  int64     `json:"devices_now"`
	DevicesThen int64     `json:"devices_then"`
	Merges      []regroup `json:"merges"`
	Splits      []regroup `json:"splits"`
}

func newRegroups(list []*adminv1.Regroup) []regroup {
	out := make([]regroup, 0, len(list))
	for _, g := range list {
		one := regroup{
			Device: g.GetDevice(), Devices: cmdutil.List(g.GetDevices()),
			Identifiers: make([]identifier, 0, len(g.GetIdentifiers())), Assertions: make([]assertion, 0, len(g.GetAssertions())),
		}
		for _, i := range g.GetIdentifiers() {
			one.Identifiers = append(one.Identifiers, identifier{i.GetKind(), i.GetValue()})
		}
		for _, a := range g.GetAssertions() {
			one.Assertions = append(one.Assertions, assertion{a.GetSourceId(), a.GetKey()})
		}
		out = append(out, one)
	}
	return out
}

func simulateRun(ctx context.Context, opts *SimulateOptions) error {
	if opts.Tenant == "" {
		return cmdutil.Usagef("missing --tenant: rules are tried on one tenant's devices")
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	var answer *adminv1.SimulateRulesResponse
	err = cmdutil.Working(opts.Factory, "try the rules on tenant "+opts.Tenant, func() (err error) {
		answer, err = client.SimulateRules(ctx, &adminv1.SimulateRulesRequest{
			Tenant: opts.Tenant, JunkSerials: opts.JunkSerials, JunkManufacturers: opts.JunkManufacturers,
			TrustedSerials: opts.TrustedSerials, IgnoredMacs: opts.IgnoredMACs, IgnoreSerials: opts.IgnoreSerials,
		})
		return err
	})
	if err != nil {
		return err
	}
	s := simulation{
		Tenant: opts.Tenant, DevicesNow: answer.GetDevicesNow(), DevicesThen: answer.GetDevicesThen(),
		Merges: newRegroups(answer.GetMerges()), Splits: newRegroups(answer.GetSplits()),
	}
	if !opts.Format.Human() {
		return cmdutil.PrintDocument(opts.IO, opts.Format, s)
	}
	return s.print(opts)
}

func (s simulation) print(opts *SimulateOptions) error {
	fmt.Fprintf(opts.IO.Out, "tenant %s has %s now, and would have %d: %s, %s\n", s.Tenant,
		cmdutil.Plural(s.DevicesNow, "device"), s.DevicesThen,
		cmdutil.Plural(int64(len(s.Merges)), "merge"), cmdutil.Plural(int64(len(s.Splits)), "split"))
	for _, part := range []struct {
		title string
		list  []regroup
	}{{"merges", s.Merges}, {"splits", s.Splits}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintf(opts.IO.Out, "\n%s:\n", part.title)
		if err := cmdutil.PrintList(opts.IO, opts.Format, columns(), part.list); err != nil {
			return err
		}
	}
	return nil
}

func columns() []cmdutil.Column[regroup] {
	return []cmdutil.Column[regroup]{
		{Title: "DEVICE", Value: func(g regroup) string { return g.Device }},
		{Title: "DEVICES", Value: func(g regroup) string { return strings.Join(g.Devices, ", ") }},
		{Title: "SHARED", Value: func(g regroup) string {
			parts := make([]string, len(g.Identifiers))
			for i, one := range g.Identifiers {
				parts[i] = one.Kind + " " + one.Value
			}
			return strings.Join(parts, ", ")
		}},
	}
}
