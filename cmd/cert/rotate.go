package cert

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// RotateCAOptions are the flags of cert rotate-ca.
type RotateCAOptions struct {
	*cmdutil.Factory
	Tenant string
	Root   bool
	Now    bool
	Yes    bool
}

// NewCmdRotateCA makes cert rotate-ca.
func NewCmdRotateCA(f *cmdutil.Factory, runF func(context.Context, *RotateCAOptions) error) *cobra.Command {
	opts := &RotateCAOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "rotate-ca --tenant T | --root",
		Short: "Replace a tenant's authority, the platform's, or the root",
		Long: `Replace the authority of a tenant, or of the platform (name its own tenant), or the root.

The old one is accepted until the last certificate that depends on it has ended and can be renewed no more; whoever
connects meanwhile renews to the new one unaided. See who is left with cert list --old.

--now is for a key that leaked: there is no overlap. With --tenant every identity of that tenant is refused at once and
has to be onboarded again; with --root every host has to be given the new root by hand.`,
		Example: `  edgesync cert rotate-ca --tenant acme
  edgesync cert rotate-ca --root
  edgesync cert rotate-ca --tenant acme --now --yes`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, rotateRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant whose authority is replaced")
	flags.BoolVar(&opts.Root, "root", false, "replace the root")
	flags.BoolVar(&opts.Now, "now", false, "the key leaked: no overlap")
	flags.BoolVarP(&opts.Yes, "yes", "y", false, "do not ask for confirmation of --now")
	return cmd
}

// rotation is what was done, as scripts read it.
type rotation struct {
	Tenant   string     `json:"tenant"`
	Root     bool       `json:"root"`
	OldKeyID string     `json:"old_key_id"`
	NewKeyID string     `json:"new_key_id"`
	EndsAt   *time.Time `json:"ends_at"`
}

func rotateRun(ctx context.Context, opts *RotateCAOptions) error {
	if opts.Root == (opts.Tenant != "") {
		return cmdutil.Usagef("name what is replaced: either --tenant or --root")
	}
	what := "the root"
	if !opts.Root {
		what = "the authority of tenant " + opts.Tenant
	}
	if opts.Now {
		if err := opts.Confirm(opts.Yes, "replacing %s without an overlap", what); err != nil {
			return err
		}
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	done, err := rotate(ctx, opts, client)
	if err != nil {
		return err
	}
	document := rotation{
		Tenant: done.GetTenant(), Root: opts.Root, OldKeyID: done.GetOldKeyId(), NewKeyID: done.GetNewKeyId(), EndsAt: cmdutil.Time(done.GetEndsAt()),
	}
	if opts.Now {
		return cmdutil.PrintDone(opts.IO, opts.Format, document, "replaced %s; the old one is refused from now on", what)
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, document,
		"replaced %s; the old one ends on %s: see `edgesync cert list --old` for who has to renew until then", what, cmdutil.Date(document.EndsAt))
}

func rotate(ctx context.Context, opts *RotateCAOptions, client adminv1.AdminClient) (*adminv1.Rotation, error) {
	if opts.Root {
		return client.RotateRoot(ctx, &adminv1.RotateRootRequest{Leaked: opts.Now})
	}
	return client.RotateAuthority(ctx, &adminv1.RotateAuthorityRequest{Tenant: opts.Tenant, Leaked: opts.Now})
}
