package onboard

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdTokens makes onboard tokens.
func NewCmdTokens(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("tokens", "List and cancel join tokens", NewCmdTokensList(f, nil), NewCmdTokensCancel(f, nil))
}

// tokenDocument is a join token as scripts read it; never its text.
type tokenDocument struct {
	ID          string     `json:"id"`
	Tenant      string     `json:"tenant"`
	ComponentID string     `json:"component_id"`
	Partition   string     `json:"partition"`
	ServiceID   string     `json:"service_id"`
	State       string     `json:"state"`
	CreatedBy   string     `json:"created_by"`
	CreatedAt   *time.Time `json:"created_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	UsedAt      *time.Time `json:"used_at"`
	CancelledAt *time.Time `json:"cancelled_at"`
}

func newTokenDocument(t *adminv1.JoinToken) tokenDocument {
	return tokenDocument{
		ID: t.GetId(), Tenant: t.GetTenant(), ComponentID: t.GetComponentId(), Partition: t.GetPartition(),
		ServiceID: t.GetServiceId(), State: t.GetState(), CreatedBy: t.GetCreatedBy(),
		CreatedAt: cmdutil.Time(t.GetCreatedAt()), ExpiresAt: cmdutil.Time(t.GetExpiresAt()),
		UsedAt: cmdutil.Time(t.GetUsedAt()), CancelledAt: cmdutil.Time(t.GetCancelledAt()),
	}
}

// TokensListOptions are the flags of onboard tokens list.
type TokensListOptions struct {
	*cmdutil.Factory
	Tenant string
}

// NewCmdTokensList makes onboard tokens list.
func NewCmdTokensList(f *cmdutil.Factory, runF func(context.Context, *TokensListOptions) error) *cobra.Command {
	opts := &TokensListOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List join tokens and what became of them",
		Example: "  edgesync onboard tokens list --tenant acme",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, tokensListRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant (default: all tenants)")
	return cmd
}

func tokensListRun(ctx context.Context, opts *TokensListOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answer, err := client.ListJoinTokens(ctx, &adminv1.ListJoinTokensRequest{Tenant: opts.Tenant})
	if err != nil {
		return err
	}
	documents := make([]tokenDocument, 0, len(answer.GetTokens()))
	for _, token := range answer.GetTokens() {
		documents = append(documents, newTokenDocument(token))
	}
	return cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[tokenDocument]{
		{Title: "ID", Value: func(d tokenDocument) string { return d.ID }},
		{Title: "TENANT", Value: func(d tokenDocument) string { return d.Tenant }},
		{Title: "COMPONENT", Value: func(d tokenDocument) string { return d.ComponentID }},
		{Title: "STATE", Value: func(d tokenDocument) string { return d.State }},
		{Title: "GOOD UNTIL", Value: func(d tokenDocument) string { return cmdutil.Date(d.ExpiresAt) }},
		{Title: "CREATED BY", Value: func(d tokenDocument) string { return d.CreatedBy }},
	}, documents)
}

// TokensCancelOptions are the flags of onboard tokens cancel.
type TokensCancelOptions struct {
	*cmdutil.Factory
	Tenant string
	ID     string
}

// NewCmdTokensCancel makes onboard tokens cancel.
func NewCmdTokensCancel(f *cmdutil.Factory, runF func(context.Context, *TokensCancelOptions) error) *cobra.Command {
	opts := &TokensCancelOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "cancel ID --tenant T",
		Short:   "Make a join token worthless",
		Example: "  edgesync onboard tokens cancel 1d9c5a0e-7c1b-4b7a-9f5e-2a1f6c3f8f10 --tenant acme",
		Args:    cmdutil.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.ID = args[0]
			return cmdutil.Run(cmd, opts, runF, tokensCancelRun)
		},
	}
	cmd.Flags().StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant")
	return cmd
}

func tokensCancelRun(ctx context.Context, opts *TokensCancelOptions) error {
	if err := opts.Require(&opts.Tenant, "tenant", "Tenant"); err != nil {
		return err
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	token, err := client.CancelJoinToken(ctx, &adminv1.CancelJoinTokenRequest{Tenant: opts.Tenant, Id: opts.ID})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newTokenDocument(token), "join token %s for %s is %s", token.GetId(), token.GetComponentId(), token.GetState())
}
