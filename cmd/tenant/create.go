package tenant

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// CreateOptions are the flags of tenant create.
type CreateOptions struct {
	*cmdutil.Factory
	Slug           string
	Name           string
	NoPlatformSync bool
}

// NewCmdCreate makes tenant create.
func NewCmdCreate(f *cmdutil.Factory, runF func(context.Context, *CreateOptions) error) *cobra.Command {
	opts := &CreateOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "create SLUG",
		Short: "Create a tenant, its certificate authority and its storage",
		Long: `Create a tenant, its certificate authority and its storage.

The slug is of lower-case letters, digits and hyphens. It is part of every name in the tenant's certificates, which with
the component, the partition and the trust domain have at most 64 characters: keep it short.`,
		Example: "  edgesync tenant create acme --name \"Acme Corporation\"",
		Args:    cmdutil.Args("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Slug = args[0]
			return cmdutil.Run(cmd, opts, runF, createRun)
		},
	}
	cmd.Flags().StringVar(&opts.Name, "name", "", "name to show (default: the slug)")
	cmd.Flags().BoolVar(&opts.NoPlatformSync, "no-platform-sync", false,
		"withhold the platform's sync service: only the tenant's own services run its sources")
	return cmd
}

func createRun(ctx context.Context, opts *CreateOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	created, err := client.CreateTenant(ctx, &adminv1.CreateTenantRequest{
		Slug: opts.Slug, Name: opts.Name, NoPlatformSync: opts.NoPlatformSync,
	})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(created),
		"created tenant %s (%s)", created.GetSlug(), created.GetId())
}
