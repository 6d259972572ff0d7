// Package onboard is the command that adds an edge sync service.
package onboard

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// How an identity gets to its host: made here and carried there, or made there
// in exchange for a token.
const (
	modePackage = "package"
	modeToken   = "token"
)

// Options are the flags of onboard.
type Options struct {
	*cmdutil.Factory
	Tenant      string
	Name        string
	Partition   string
	GatewayAddr string
	Mode        string
	Out         string
	// OutGiven is whether --out was: without it a token is printed.
	OutGiven bool
	TTL      time.Duration
}

// NewCmdOnboard makes onboard.
func NewCmdOnboard(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "onboard --tenant T --name NAME",
		Short: "Add an edge sync service to a tenant and write its edge package or join token",
		Long: `Add an edge sync service to a tenant and write its edge package or join token.

The component id is the slug of the name. The package holds the service's identity, the gateway's address and TLS
paths, and nothing else; everything more arrives over the gateway. Treat it as a secret: there is a private key in it.
Onboarding a name again issues a new identity and revokes the old one.

With --mode token there is no package: the host makes its own key and exchanges the token, once, for its identity
(edgesync enroll). The token is a secret until then. It is written to --out, or printed when there is none.`,
		Example: `  edgesync onboard --tenant acme --name "HQ Sync" --out ./packages --no-input
  edgesync onboard --tenant acme --name "HQ Sync" --mode token --ttl 2h --out ./tokens --no-input`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.OutGiven = cmd.Flags().Changed("out")
			return cmdutil.Run(cmd, opts, runF, onboardRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant")
	flags.StringVar(&opts.Name, "name", "", "name of the sync service")
	flags.StringVar(&opts.Partition, "partition", "", `partition it stands in (default "default")`)
	flags.StringVar(&opts.GatewayAddr, "gateway-addr", "", "HOST:PORT at which it reaches the gateway (default: the platform's)")
	flags.StringVar(&opts.Mode, "mode", modePackage, "how the identity gets there: package or token")
	flags.StringVar(&opts.Out, "out", ".", "directory to write the package or the token to")
	flags.DurationVar(&opts.TTL, "ttl", 0, "how long the token is good for, 5m to 168h (default 24h)")
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions([]string{modePackage, modeToken}, cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(NewCmdTokens(f))
	return cmd
}

// document is what onboarding left, as scripts read it.
type document struct {
	ComponentID    string     `json:"component_id"`
	Tenant         string     `json:"tenant"`
	TenantID       string     `json:"tenant_id"`
	ServiceID      string     `json:"service_id"`
	Name           string     `json:"name"`
	Partition      string     `json:"partition"`
	GatewayAddr    string     `json:"gateway_addr"`
	Mode           string     `json:"mode"`
	Path           string     `json:"path,omitempty"`
	Token          string     `json:"token,omitempty"`
	ExpiresAt      *time.Time `json:"expires_at"`
	InstallCommand string     `json:"install_command"`
}

func onboardRun(ctx context.Context, opts *Options) error {
	if opts.Mode != modePackage && opts.Mode != modeToken {
		return cmdutil.Usagef("--mode %q: the modes are package and token", opts.Mode)
	}
	if opts.Mode == modePackage && opts.TTL != 0 {
		return cmdutil.Usagef("--ttl is for --mode token: a package holds the identity itself")
	}
	if err := opts.Require(&opts.Tenant, "tenant", "Tenant"); err != nil {
		return err
	}
	if err := opts.Require(&opts.Name, "name", "Name of the sync service"); err != nil {
		return err
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	if opts.Mode == modeToken {
		return tokenRun(ctx, opts, client)
	}
	undo, err := prepareOut(opts.Out)
	if err != nil {
		return err
	}
	answer, path, err := onboardInto(ctx, opts, client)
	if err != nil {
		undo()
		return err
	}
	return report(opts, answer, path)
}

func onboardInto(ctx context.Context, opts *Options, client adminv1.AdminClient) (*adminv1.OnboardServiceResponse, string, error) {
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		return nil, "", err
	}
	answer, err := client.OnboardService(ctx, &adminv1.OnboardServiceRequest{
		Tenant: opts.Tenant, Name: opts.Name, Partition: opts.Partition, Csr: csr, GatewayAddr: opts.GatewayAddr,
	})
	if err != nil {
		return nil, "", err
	}
	made, err := identity.New(key, answer.GetCertificate(), answer.GetCaUrl())
	if err != nil {
		return nil, "", err
	}
	path, err := writePackage(opts.Out, answer, made)
	return answer, path, err
}

func writePackage(out string, answer *adminv1.OnboardServiceResponse, made onboarding.Identity) (string, error) {
	service := answer.GetService()
	files, err := onboarding.PackageFiles(onboarding.PackageInput{
		Name: service.GetName(), Tenant: service.GetTenant(), Partition: service.GetPartition(),
		Component: service.GetComponentId(), GatewayAddr: answer.GetGatewayAddr(), ServerName: answer.GetGatewayServerName(),
		Identity: made,
	})
	if err != nil {
		return "", err
	}
	path, err := onboarding.WritePackage(out, files)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

func report(opts *Options, answer *adminv1.OnboardServiceResponse, path string) error {
	service := answer.GetService()
	d := document{
		ComponentID: service.GetComponentId(), Tenant: service.GetTenant(), TenantID: service.GetTenantId(),
		ServiceID: service.GetId(), Name: service.GetName(), Partition: service.GetPartition(),
		GatewayAddr: answer.GetGatewayAddr(), Mode: modePackage, Path: path,
		ExpiresAt:      cmdutil.Time(answer.GetCertificate().GetNotAfter()),
		InstallCommand: installCommand(service.GetComponentId()),
	}
	return cmdutil.PrintOne(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "sync service", Value: func(d document) string { return d.Name + " (" + d.ComponentID + ") of tenant " + d.Tenant }},
		{Title: "gateway", Value: func(d document) string { return d.GatewayAddr }},
		{Title: "edge package", Value: func(d document) string { return d.Path }},
		{Title: "expires", Value: func(d document) string { return cmdutil.Date(d.ExpiresAt) }},
		{Title: "on the edge host", Value: func(d document) string { return d.InstallCommand }},
	}, d)
}

// installCommand is run on the edge host, beside the package. The component id
// is a label: it needs no quotes.
func installCommand(component string) string {
	archive := onboarding.ArchiveName(component)
	folder := archive[:len(archive)-len(".tar.gz")]
	return "tar -xzf " + archive + " && sudo ./" + folder + "/install.sh"
}
