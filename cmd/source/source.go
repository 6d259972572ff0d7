// Package source is the commands on integration sources. A credential is read
// from a file, the environment, standard input or a prompt, is sent, and is
// never shown again: nothing here prints, logs or puts one into an error.
package source

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdSource holds the verbs.
func NewCmdSource(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("source", "Add, show, change, test, run and remove integration sources",
		NewCmdAdd(f, nil),
		NewCmdList(f, nil),
		NewCmdShow(f, nil),
		NewCmdEdit(f, nil),
		NewCmdEnable(f, nil),
		NewCmdDisable(f, nil),
		NewCmdRemove(f, nil),
		NewCmdRetractions(f),
		NewCmdTest(f, nil),
		NewCmdSyncNow(f, nil),
	)
}

// find looks a source up by its name or id. Without a tenant it looks in all of
// them and wants exactly one that fits.
func find(ctx context.Context, client adminv1.AdminClient, tenant, ref string) (*adminv1.Source, error) {
	if tenant != "" {
		return client.GetSource(ctx, &adminv1.GetSourceRequest{Tenant: tenant, Source: ref})
	}
	answer, err := client.ListSources(ctx, &adminv1.ListSourcesRequest{})
	if err != nil {
		return nil, err
	}
	var found []*adminv1.Source
	var tenants []string
	for _, s := range answer.GetSources() {
		if ref == s.GetId() || ref == s.GetSpec().GetName() {
			found, tenants = append(found, s), append(tenants, s.GetTenant())
		}
	}
	return cmdutil.OnlyOne(found, tenants, "source", ref)
}

func addTenantFlag(cmd *cobra.Command, tenant *string) {
	cmd.Flags().StringVarP(tenant, "tenant", "t", "", "slug of the tenant (may be left out while only one tenant has a source of that name)")
}
