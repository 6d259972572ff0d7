package source

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// EditOptions are the flags of source edit.
type EditOptions struct {
	*cmdutil.Factory
	SpecFlags
	Source            string
	Tenant            string
	Name              string
	Service           string
	Credentials       []string
	RemoveCredentials []string

	given func(flag string) bool
}

// NewCmdEdit makes source edit.
func NewCmdEdit(f *cmdutil.Factory, runF func(context.Context, *EditOptions) error) *cobra.Command {
	opts := &EditOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "edit SOURCE",
		Short: "Change an integration source; what is not named stays",
		Long: `Change an integration source; what is not named stays.

Lists (--query, --blacklist) replace what there was, and an empty one clears it. A --setting without a value
removes it. The change is refused if somebody else changed the source in the meantime.`,
		Example: "  edgesync source edit hq-armis --tenant acme --poll-interval 30m --credential secret_key=@new-key",
		Args:    cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
			opts.given = cmd.Flags().Changed
			return cmdutil.Run(cmd, opts, runF, editRun)
		},
	}
	flags := cmd.Flags()
	addTenantFlag(cmd, &opts.Tenant)
	flags.StringVar(&opts.Name, "name", "", "new name")
	flags.StringVar(&opts.Service, "service", "", "sync service that runs it from now on, by name or id")
	flags.StringArrayVar(&opts.Credentials, "credential", nil, credentialUsage)
	flags.StringSliceVar(&opts.RemoveCredentials, "remove-credential", nil, "forget the credential of this `KEY`; may be repeated")
	opts.SpecFlags.add(cmd)
	return cmd
}

func editRun(ctx context.Context, opts *EditOptions) error {
	credentials, err := ReadCredentials(opts.Factory, opts.Credentials)
	if err != nil {
		return err
	}
	if err := removeCredentials(credentials, opts.RemoveCredentials); err != nil {
		return err
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Source)
	if err != nil {
		return err
	}
	spec := proto.CloneOf(found.GetSpec())
	if err := opts.apply(opts.given, spec); err != nil {
		return err
	}
	if opts.given("name") {
		spec.Name = opts.Name
	}
	if proto.Equal(spec, found.GetSpec()) && opts.Service == "" && len(credentials) == 0 {
		return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(found),
			"source %s of tenant %s is as asked already: nothing was changed", found.GetSpec().GetName(), found.GetTenant())
	}
	changed, err := client.UpdateSource(ctx, &adminv1.UpdateSourceRequest{
		Tenant: found.GetTenant(), Source: found.GetId(), Spec: spec, Service: opts.Service,
		Credentials: credentials, IfUpdatedAt: found.GetUpdatedAt(),
	})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(changed),
		"changed source %s of tenant %s", changed.GetSpec().GetName(), changed.GetTenant())
}
