// Package operator is the commands on operators: who administers the platform,
// and with what role.
package operator

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdOperator holds the verbs.
func NewCmdOperator(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("operator", "Add, list and revoke operators of the platform or of one tenant",
		NewCmdAdd(f, nil),
		NewCmdList(f, nil),
		NewCmdRevoke(f, nil),
	)
}

// document is an operator as scripts read it.
type document struct {
	Name          string     `json:"name"`
	Role          string     `json:"role"`
	Tenant        string     `json:"tenant"`
	State         string     `json:"state"`
	CertSerial    string     `json:"cert_serial"`
	CertExpiresAt *time.Time `json:"cert_expires_at"`
	CreatedAt     *time.Time `json:"created_at"`
}

func newDocument(o *adminv1.Operator) document {
	return document{
		Name: o.GetName(), Role: o.GetRole(), Tenant: o.GetTenant(), State: o.GetState(), CertSerial: o.GetCertSerial(),
		CertExpiresAt: cmdutil.Time(o.GetCertExpiresAt()), CreatedAt: cmdutil.Time(o.GetCreatedAt()),
	}
}

func columns() []cmdutil.Column[document] {
	return []cmdutil.Column[document]{
		{Title: "NAME", Value: func(d document) string { return d.Name }},
		{Title: "ROLE", Value: func(d document) string { return d.Role }},
		{Title: "TENANT", Value: tenantOf},
		{Title: "STATE", Value: func(d document) string { return d.State }, Style: func(d document) string { return cmdutil.StateStyle(d.State) }},
		{Title: "CERT EXPIRES", Value: func(d document) string { return cmdutil.Date(d.CertExpiresAt) }},
		{Title: "CREATED", Value: func(d document) string { return cmdutil.Date(d.CreatedAt) }},
	}
}

func tenantOf(d document) string {
	if d.Tenant == "" {
		return "(all)"
	}
	return d.Tenant
}

// ListOptions are the flags of operator list.
type ListOptions struct {
	*cmdutil.Factory
	Tenant string
}

// NewCmdList makes operator list.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *ListOptions) error) *cobra.Command {
	opts := &ListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List operators, revoked ones too",
		Example: "  edgesync operator list",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, listRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "only those limited to this tenant")
	return cmd
}

func listRun(ctx context.Context, opts *ListOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.ListOperators(ctx, &adminv1.ListOperatorsRequest{Tenant: opts.Tenant})
	if err != nil {
		return err
	}
	documents := make([]document, 0, len(answer.GetOperators()))
	for _, o := range answer.GetOperators() {
		documents = append(documents, newDocument(o))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, columns(), documents)
}

// RevokeOptions are the arguments of operator revoke.
type RevokeOptions struct {
	*cmdutil.Factory
	Name string
}

// NewCmdRevoke makes operator revoke.
func NewCmdRevoke(f *cmdutil.Factory, runF func(context.Context, *RevokeOptions) error) *cobra.Command {
	opts := &RevokeOptions{Factory: f}
	return &cobra.Command{
		Use:     "revoke NAME",
		Short:   "Refuse an operator's identity from now on",
		Example: "  edgesync operator revoke bob",
		Args:    cmdutil.Args("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			return cmdutil.Run(cmd, opts, runF, revokeRun)
		},
	}
}

func revokeRun(ctx context.Context, opts *RevokeOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	revoked, err := client.RevokeOperator(ctx, &adminv1.RevokeOperatorRequest{Name: opts.Name})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(revoked), "revoked the identity of operator %s", revoked.GetName())
}
