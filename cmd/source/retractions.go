package source

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdRetractions holds the verbs on held retractions.
func NewCmdRetractions(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("retractions", "List, release and reject retractions that wait for an operator",
		NewCmdRetractionsList(f, nil),
		NewCmdRelease(f, nil),
		NewCmdReject(f, nil),
	)
}

// RetractionsListOptions are the flags of source retractions list.
type RetractionsListOptions struct {
	*cmdutil.Factory
	Tenant string
	Source string
}

// NewCmdRetractionsList makes source retractions list.
func NewCmdRetractionsList(f *cmdutil.Factory, runF func(context.Context, *RetractionsListOptions) error) *cobra.Command {
	opts := &RetractionsListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the retractions that are held",
		Long: `List the retractions that are held.

A snapshot that would retract more than 20 % of a source's devices, and more than 10, retracts nothing until an
operator releases or rejects it. So do the deletions of one run.`,
		Example: `  edgesync source retractions list
  edgesync source retractions list --tenant acme --source dc-netbox`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, retractionsListRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "only this tenant's")
	cmd.Flags().StringVar(&opts.Source, "source", "", "only those of this source, by name or id (needs --tenant)")
	return cmd
}

// held is a source's held retractions as scripts read them.
type held struct {
	Tenant      string     `json:"tenant"`
	Source      string     `json:"source"`
	SourceID    string     `json:"source_id"`
	Kind        string     `json:"kind"`
	RunID       string     `json:"run_id"`
	RunStarted  *time.Time `json:"run_started"`
	HeldAt      *time.Time `json:"held_at"`
	Retractions int64      `json:"retractions"`
	Living      int64      `json:"living"`
}

func retractionsListRun(ctx context.Context, opts *RetractionsListOptions) error {
	if opts.Source != "" && opts.Tenant == "" {
		return cmdutil.Usagef("missing --tenant: --source names a source of one tenant")
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.ListRetractions(ctx, &adminv1.ListRetractionsRequest{Tenant: opts.Tenant, Source: opts.Source})
	if err != nil {
		return err
	}
	list := make([]held, 0, len(answer.GetRetractions()))
	for _, h := range answer.GetRetractions() {
		list = append(list, held{
			Tenant: h.GetTenant(), Source: h.GetSource(), SourceID: h.GetSourceId(), Kind: h.GetKind(), RunID: h.GetRunId(),
			RunStarted: cmdutil.Time(h.GetRunStarted()), HeldAt: cmdutil.Time(h.GetHeldAt()),
			Retractions: h.GetRetractions(), Living: h.GetLiving(),
		})
	}
	now := opts.Now()
	return cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[held]{
		{Title: "TENANT", Value: func(h held) string { return h.Tenant }},
		{Title: "SOURCE", Value: func(h held) string { return h.Source }},
		{Title: "KIND", Value: func(h held) string { return h.Kind }},
		{Title: "RETRACTIONS", Value: func(h held) string { return strconv.FormatInt(h.Retractions, 10) }},
		{Title: "OF", Value: func(h held) string { return strconv.FormatInt(h.Living, 10) }},
		{Title: "HELD", Value: func(h held) string { return cmdutil.Ago(h.HeldAt, now) }},
		{Title: "RUN", Value: func(h held) string { return h.RunID }},
	}, list)
}

// SettleOptions are the flags of source retractions release and reject.
type SettleOptions struct {
	*cmdutil.Factory
	Source  string
	Tenant  string
	Release bool
	Yes     bool
}

// NewCmdRelease makes source retractions release.
func NewCmdRelease(f *cmdutil.Factory, runF func(context.Context, *SettleOptions) error) *cobra.Command {
	cmd, opts := newCmdSettle(f, runF, true, "release", "Retract what a source is held for")
	cmd.Example = "  edgesync source retractions release dc-netbox --tenant acme --yes"
	cmd.Flags().BoolVarP(&opts.Yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

// NewCmdReject makes source retractions reject.
func NewCmdReject(f *cmdutil.Factory, runF func(context.Context, *SettleOptions) error) *cobra.Command {
	cmd, _ := newCmdSettle(f, runF, false, "reject", "Forget what a source is held for: its snapshots up to now count no more")
	cmd.Example = "  edgesync source retractions reject dc-netbox --tenant acme"
	return cmd
}

func newCmdSettle(f *cmdutil.Factory, runF func(context.Context, *SettleOptions) error, release bool, verb, short string) (*cobra.Command, *SettleOptions) {
	opts := &SettleOptions{Factory: f, Release: release}
	cmd := &cobra.Command{
		Use:   verb + " SOURCE",
		Short: short,
		Args:  cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
			return cmdutil.Run(cmd, opts, runF, settleRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd, opts
}

func settleRun(ctx context.Context, opts *SettleOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	request, name := &adminv1.SettleRetractionsRequest{Tenant: opts.Tenant, Source: opts.Source}, opts.Source
	if opts.Tenant == "" {
		found, err := find(ctx, client, "", opts.Source)
		if err != nil {
			return err
		}
		request.Tenant, request.Source, name = found.GetTenant(), found.GetId(), found.GetSpec().GetName()
	}
	call, done := client.RejectRetractions, "spared %s of source %s of tenant %s"
	if opts.Release {
		if err := opts.Confirm(opts.Yes, "releasing the held retractions of source %s of tenant %s", name, request.Tenant); err != nil {
			return err
		}
		call, done = client.ReleaseRetractions, "retracted %s of source %s of tenant %s"
	}
	answer, err := call(ctx, request)
	if err != nil {
		return err
	}
	settled := struct {
		Tenant      string `json:"tenant"`
		Source      string `json:"source"`
		Released    bool   `json:"released"`
		Retractions int64  `json:"retractions"`
	}{request.Tenant, name, opts.Release, answer.GetRetractions()}
	return cmdutil.PrintDone(opts.IO, opts.Format, settled, done, cmdutil.Plural(answer.GetRetractions(), "device"), name, request.Tenant)
}
