// Package onboard is the command that adds an edge sync service: as a wizard on
// a terminal, at plain prompts, or by its flags alone. All three answer the same
// questions and carry them out in the same way.
package onboard

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// Options are the flags of onboard.
type Options struct {
	*cmdutil.Factory
	onboarding.Answers
	// OutGiven is whether --out was: without it a token is printed.
	OutGiven   bool
	Accessible bool
}

// NewCmdOnboard makes onboard.
func NewCmdOnboard(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "onboard --tenant T --name NAME",
		Short: "Add an edge sync service to a tenant and write its edge package or join token",
		Long: `Add an edge sync service to a tenant and write its edge package or join token.

On a terminal it opens a wizard, with --accessible plain questions instead; what flags say is answered already. Nothing
is created before the review at its end is confirmed. With --no-input, or without a terminal, flags say everything.

The component id is the slug of the name. The package holds the service's identity, the gateway's address and TLS
paths, and nothing else; everything more arrives over the gateway. Treat it as a secret: there is a private key in it.
Onboarding a name again issues a new identity and revokes the old one.

With --mode token there is no package: the host makes its own key and exchanges the token, once, for its identity
(edgesync enroll). The token is a secret until then. It is written to --out, or printed when there is none.`,
		Example: `  edgesync onboard
  edgesync onboard --tenant acme --name "HQ Sync" --out ./packages --no-input
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
	flags.StringVar(&opts.Mode, "mode", onboarding.ModePackage, "how the identity gets there: package or token")
	flags.StringVar(&opts.Out, "out", ".", "directory to write the package or the token to")
	flags.DurationVar(&opts.TTL, "ttl", 0, "how long the token is good for, 5m to 168h (default 24h)")
	flags.BoolVar(&opts.Accessible, "accessible", false, "ask plain questions line by line instead of drawing the wizard")
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions([]string{onboarding.ModePackage, onboarding.ModeToken}, cobra.ShellCompDirectiveNoFileComp))
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
	if opts.Mode != onboarding.ModePackage && opts.Mode != onboarding.ModeToken {
		return cmdutil.Usagef("--mode %q: the modes are package and token", opts.Mode)
	}
	if opts.Mode == onboarding.ModePackage && opts.TTL != 0 {
		return cmdutil.Usagef("--ttl is for --mode token: a package holds the identity itself")
	}
	switch {
	case opts.CanPrompt() && (opts.Accessible || opts.IO.Dumb && opts.Format.Human()):
		return accessible(ctx, opts)
	case opts.CanPrompt() && opts.IO.FullScreen() && opts.Format.Human():
		return draw(ctx, opts)
	}
	return scripted(ctx, opts)
}

// scripted does what the flags say.
func scripted(ctx context.Context, opts *Options) error {
	if err := opts.Require(&opts.Tenant, "tenant", "Tenant"); err != nil {
		return err
	}
	if err := opts.Require(&opts.Name, "name", "Name of the sync service"); err != nil {
		return err
	}
	if opts.Out == "" {
		return cmdutil.Missing("out")
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	answers := opts.Answers
	if answers.Mode == onboarding.ModeToken && !opts.OutGiven {
		answers.Out = ""
	}
	done, err := onboarding.Onboard(ctx, client, answers)
	if err != nil {
		return err
	}
	return report(opts, done)
}

func report(opts *Options, done onboarding.Onboarded) error {
	service := done.Service
	if done.Mode == onboarding.ModePackage && service.GetFirstHelloAt().IsValid() {
		opts.IO.Tellf("sync service %s was onboarded before: what it ran with is refused from now on: run it with this package", service.GetName())
	}
	d := document{
		ComponentID: service.GetComponentId(), Tenant: service.GetTenant(), TenantID: service.GetTenantId(),
		ServiceID: service.GetId(), Name: service.GetName(), Partition: done.Partition,
		GatewayAddr: done.GatewayAddr, Mode: done.Mode, Path: done.Path,
		ExpiresAt: &done.ExpiresAt, InstallCommand: done.InstallCommand,
	}
	what, until := "edge package", "expires"
	if done.Mode == onboarding.ModeToken {
		if what, until = "join token", "good until"; d.Path == "" {
			d.Token = done.Token
		}
	}
	err := cmdutil.PrintOne(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "sync service", Value: func(d document) string { return d.Name + " (" + d.ComponentID + ") of tenant " + d.Tenant }},
		{Title: "gateway", Value: func(d document) string { return d.GatewayAddr }},
		{Title: what, Value: func(d document) string { return d.Path + d.Token }},
		{Title: until, Value: func(d document) string { return cmdutil.Date(d.ExpiresAt) }},
		{Title: "on the edge host", Value: func(d document) string { return d.InstallCommand }},
	}, d)
	if err != nil && d.Token != "" {
		return fmt.Errorf("print join token: %w: nobody has it: run this again for another, with --out to have it in a file", err)
	}
	return err
}

// defaults are what the platform knows beforehand.
func defaults(ctx context.Context, client adminv1.AdminClient) (onboarding.Defaults, *adminv1.Platform, error) {
	platform, err := client.GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	if err != nil {
		return onboarding.Defaults{}, nil, err
	}
	answer, err := client.ListTenants(ctx, &adminv1.ListTenantsRequest{})
	if err != nil {
		return onboarding.Defaults{}, nil, err
	}
	known := onboarding.Defaults{GatewayAddr: platform.GetGatewayAddr(), TrustDomain: platform.GetTrustDomain()}
	for _, tenant := range answer.GetTenants() {
		if !tenant.GetIsPlatform() && tenant.GetState() == "active" {
			known.Tenants = append(known.Tenants, tenant.GetSlug())
		}
	}
	return known, platform, nil
}
