package source

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/payload"
)

// AddOptions are the flags of source add.
type AddOptions struct {
	*cmdutil.Factory
	SpecFlags
	Name        string
	Tenant      string
	Type        string
	Service     string
	Credentials []string
	Disabled    bool

	given func(flag string) bool
}

// NewCmdAdd makes source add.
func NewCmdAdd(f *cmdutil.Factory, runF func(context.Context, *AddOptions) error) *cobra.Command {
	opts := &AddOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "add NAME --tenant T --type TYPE --endpoint URL",
		Short: "Add an integration source to a tenant",
		Long: `Add an integration source to a tenant.

One sync service runs it: the one named with --service, or the only one that is available to the tenant. While
there is none the source is refused; onboard an edge service first with "edgesync onboard".

A credential is never taken from the command line. Armis wants secret_key (or api_key), NetBox wants api_token.`,
		Example: `  edgesync source add hq-armis --tenant acme --type armis --endpoint https://acme.armis.com \
      --credential secret_key=@/run/secrets/armis --query corp='in:devices boundaries:"Corporate"'
  edgesync source add dc-netbox --tenant acme --type netbox --endpoint https://netbox.acme.example \
      --credential api_token=env:NETBOX_TOKEN --service hq-sync --poll-interval 15m`,
		Args: cmdutil.Args("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			opts.given = cmd.Flags().Changed
			return cmdutil.Run(cmd, opts, runF, addRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant")
	flags.StringVar(&opts.Type, "type", "", "type of the source: armis, netbox or faker")
	flags.StringVar(&opts.Service, "service", "", "sync service that runs it, by name or id")
	flags.StringArrayVar(&opts.Credentials, "credential", nil, credentialUsage)
	flags.BoolVar(&opts.Disabled, "disabled", false, "add it without running it")
	opts.SpecFlags.add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(sourceTypes, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var sourceTypes = []string{payload.TypeArmis, payload.TypeNetBox, payload.TypeFaker}

func addRun(ctx context.Context, opts *AddOptions) error {
	if err := opts.complete(); err != nil {
		return err
	}
	spec := &adminv1.SourceSpec{Name: opts.Name, SourceType: opts.Type, Endpoint: opts.Endpoint}
	if err := opts.apply(opts.given, spec); err != nil {
		return err
	}
	credentials, err := ReadCredentials(opts.Factory, opts.Credentials)
	if err != nil {
		return err
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	created, err := client.CreateSource(ctx, &adminv1.CreateSourceRequest{
		Tenant: opts.Tenant, Spec: spec, Service: opts.Service, Disabled: opts.Disabled, Credentials: credentials,
	})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(created),
		"added source %s to tenant %s, run by %s", created.GetSpec().GetName(), created.GetTenant(), created.GetSyncServiceName())
}

// complete asks for what is missing and known to be needed.
func (opts *AddOptions) complete() error {
	if err := opts.Require(&opts.Tenant, "tenant", "Tenant"); err != nil {
		return err
	}
	if err := opts.Require(&opts.Type, "type", "Type (armis, netbox or faker)"); err != nil {
		return err
	}
	if opts.Type == payload.TypeFaker {
		return nil
	}
	if err := opts.Require(&opts.Endpoint, "endpoint", "Endpoint URL"); err != nil {
		return err
	}
	if len(opts.Credentials) == 0 && opts.CanPrompt() {
		opts.Credentials = defaultCredential(opts.Type)
	}
	return nil
}

// defaultCredential is what a source of the type is asked for on a terminal.
func defaultCredential(sourceType string) []string {
	switch sourceType {
	case payload.TypeArmis:
		return []string{payload.CredentialSecretKey}
	case payload.TypeNetBox:
		return []string{payload.CredentialAPIToken}
	default:
		return nil
	}
}
