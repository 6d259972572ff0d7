package cert

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ListOptions are the flags of cert list.
type ListOptions struct {
	*cmdutil.Factory
	Tenant      string
	Old         bool
	History     bool
	Authorities bool
}

// NewCmdList makes cert list.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *ListOptions) error) *cobra.Command {
	opts := &ListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the certificates that are good, or the authorities that sign them",
		Long: `List the certificates that are good, the latest of each component.

After a rotation --old lists who still holds a certificate that the old authority signed, or that was handed out with
the old root alone: these have to renew before the overlap ends. --authorities says when that is, and how many hold
what.`,
		Example: `  edgesync cert list --tenant acme
  edgesync cert list --old
  edgesync cert list --authorities`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, listRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "only this tenant's")
	flags.BoolVar(&opts.Old, "old", false, "only those whose holders have to renew because of a rotation")
	flags.BoolVar(&opts.History, "history", false, "also those that were revoked, have ended, or were followed by another")
	flags.BoolVar(&opts.Authorities, "authorities", false, "the authorities instead of what they have signed")
	return cmd
}

func listRun(ctx context.Context, opts *ListOptions) error {
	if opts.Old && opts.History || opts.Authorities && (opts.Old || opts.History) {
		return cmdutil.Usagef("--old, --history and --authorities are different lists: choose one")
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	if opts.Authorities {
		return listAuthorities(ctx, opts, client)
	}
	answer, err := client.ListCertificates(ctx, &adminv1.ListCertificatesRequest{Tenant: opts.Tenant, Old: opts.Old, History: opts.History})
	if err != nil {
		return err
	}
	documents := make([]document, 0, len(answer.GetCertificates()))
	for _, c := range answer.GetCertificates() {
		documents = append(documents, newDocument(c))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, columns(), documents)
}

// document is a certificate as scripts read it.
type document struct {
	Tenant      string     `json:"tenant"`
	TenantID    string     `json:"tenant_id"`
	Type        string     `json:"type"`
	Partition   string     `json:"partition"`
	ComponentID string     `json:"component_id"`
	Serial      string     `json:"serial"`
	Issuer      string     `json:"issuer"`
	State       string     `json:"state"`
	Latest      bool       `json:"latest"`
	OldIssuer   bool       `json:"old_issuer"`
	OldRoot     bool       `json:"old_root"`
	IssuedAt    *time.Time `json:"issued_at"`
	NotAfter    *time.Time `json:"not_after"`
	RevokedAt   *time.Time `json:"revoked_at"`
	Reason      string     `json:"reason"`
}

func newDocument(c *adminv1.Certificate) document {
	return document{
		Tenant: c.GetTenant(), TenantID: c.GetTenantId(), Type: c.GetType(), Partition: c.GetPartition(),
		ComponentID: c.GetComponentId(), Serial: c.GetSerial(), Issuer: c.GetIssuer(), State: c.GetState(),
		Latest: c.GetLatest(), OldIssuer: c.GetOldIssuer(), OldRoot: c.GetOldRoot(), IssuedAt: cmdutil.Time(c.GetIssuedAt()),
		NotAfter: cmdutil.Time(c.GetNotAfter()), RevokedAt: cmdutil.Time(c.GetRevokedAt()), Reason: c.GetReason(),
	}
}

func columns() []cmdutil.Column[document] {
	return []cmdutil.Column[document]{
		{Title: "TENANT", Value: func(d document) string { return d.Tenant }},
		{Title: "TYPE", Value: func(d document) string { return d.Type }},
		{Title: "COMPONENT", Value: func(d document) string { return d.ComponentID }},
		{Title: "STATE", Value: func(d document) string { return d.State }, Style: func(d document) string { return cmdutil.StateStyle(d.State) }},
		{Title: "HAS TO RENEW", Value: hasToRenew},
		{Title: "EXPIRES", Value: func(d document) string { return cmdutil.Date(d.NotAfter) }},
		{Title: "SERIAL", Value: func(d document) string { return d.Serial }},
		{Title: "REASON", Value: func(d document) string { return d.Reason }},
	}
}

func hasToRenew(d document) string {
	switch {
	case d.State != "good" || !d.Latest || !d.OldIssuer && !d.OldRoot:
		return ""
	case d.OldIssuer && d.OldRoot:
		return "old authority and root"
	case d.OldIssuer:
		return "old authority"
	}
	return "old root"
}

// authority is an authority as scripts read it.
type authority struct {
	KeyID     string     `json:"key_id"`
	Kind      string     `json:"kind"`
	Tenant    string     `json:"tenant"`
	State     string     `json:"state"`
	CreatedAt *time.Time `json:"created_at"`
	NotAfter  *time.Time `json:"not_after"`
	EndsAt    *time.Time `json:"ends_at"`
	Holders   int32      `json:"holders"`
}

func listAuthorities(ctx context.Context, opts *ListOptions, client adminv1.AdminClient) error {
	answer, err := client.ListAuthorities(ctx, &adminv1.ListAuthoritiesRequest{Tenant: opts.Tenant})
	if err != nil {
		return err
	}
	documents := make([]authority, 0, len(answer.GetAuthorities()))
	for _, a := range answer.GetAuthorities() {
		documents = append(documents, authority{
			KeyID: a.GetKeyId(), Kind: a.GetKind(), Tenant: a.GetTenant(), State: a.GetState(), CreatedAt: cmdutil.Time(a.GetCreatedAt()),
			NotAfter: cmdutil.Time(a.GetNotAfter()), EndsAt: cmdutil.Time(a.GetEndsAt()), Holders: a.GetHolders(),
		})
	}
	return cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[authority]{
		{Title: "KIND", Value: func(a authority) string { return a.Kind }},
		{Title: "TENANT", Value: func(a authority) string { return a.Tenant }},
		{Title: "STATE", Value: func(a authority) string { return a.State }, Style: func(a authority) string { return cmdutil.StateStyle(a.State) }},
		{Title: "HOLDERS", Value: func(a authority) string { return strconv.Itoa(int(a.Holders)) }},
		{Title: "OVERLAP ENDS", Value: func(a authority) string { return cmdutil.Date(a.EndsAt) }},
		{Title: "EXPIRES", Value: func(a authority) string { return cmdutil.Date(a.NotAfter) }},
		{Title: "KEY ID", Value: func(a authority) string { return a.KeyID }},
	}, documents)
}
