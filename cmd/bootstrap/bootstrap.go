// Package bootstrap is the command that creates a platform once.
package bootstrap

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"edgesync/admin"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/cmd/state"
	adminv1 "edgesync/proto/admin/v1"
)

// Options are the flags of bootstrap.
type Options struct {
	*cmdutil.Factory
	GatewayAddr  string
	CAAddr       string
	TrustDomain  string
	PlatformSlug string
	KeysetFile   string
}

// NewCmdBootstrap makes bootstrap.
func NewCmdBootstrap(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Create the platform in the state directory",
		Long: `Create the platform in the state directory: its tenant, its root and intermediate certificate authority, the
gateway's identity, and the platform's own sync service with its minimal config.

Run again it finds the same platform and changes nothing; files of identities that went missing are made anew.`,
		Example: `  edgesync bootstrap --gateway-addr gateway.example.com:50052
  edgesync bootstrap --gateway-addr gateway.example.com:50052 --database postgres://edgesync@db.example.com/edgesync`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, bootstrapRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.GatewayAddr, "gateway-addr", "", `HOST:PORT at which edge hosts reach the gateway (default "localhost:50052")`)
	flags.StringVar(&opts.CAAddr, "ca-addr", "", `HOST:PORT at which edge hosts reach the enrolment CA (default: the gateway's host, port 9443)`)
	flags.StringVar(&opts.TrustDomain, "trust-domain", "", `domain of every identity (default "edgesync.local")`)
	flags.StringVar(&opts.PlatformSlug, "platform-slug", "", `slug of the platform's own tenant (default "platform")`)
	flags.StringVar(&opts.KeysetFile, "keyset-file", "", "file of the key that seals authority keys and credentials (default: keyset.json in the state directory)")
	return cmd
}

// document is the platform as scripts read it.
type document struct {
	PlatformTenantID  string `json:"platform_tenant_id"`
	PlatformSlug      string `json:"platform_slug"`
	TrustDomain       string `json:"trust_domain"`
	RootFingerprint   string `json:"root_fingerprint"`
	GatewayAddr       string `json:"gateway_addr"`
	GatewayServerName string `json:"gateway_server_name"`
	CAAddr            string `json:"ca_addr"`
	// PlatformSyncConfig is empty where another directory of the platform has it.
	PlatformSyncConfig string `json:"platform_sync_config"`
	StateDir           string `json:"state_dir"`
	Created            bool   `json:"created"`
}

func bootstrapRun(ctx context.Context, opts *Options) error {
	stateDir, err := opts.StateDir()
	if err != nil {
		return err
	}
	// Nothing could ever serve it.
	if err := admin.CheckSocket(state.Socket(stateDir)); err != nil {
		return cmdutil.Usagef("bootstrap in %s: %w", stateDir, err)
	}
	client, err := opts.CreateAdmin(ctx, opts.KeysetFile)
	if err != nil {
		return err
	}
	answer, err := client.Bootstrap(ctx, &adminv1.BootstrapRequest{
		PlatformSlug: opts.PlatformSlug, TrustDomain: opts.TrustDomain, GatewayAddr: opts.GatewayAddr, CaAddr: opts.CAAddr,
	})
	if err != nil {
		return err
	}
	if !answer.GetCreated() {
		opts.tellDifferences(answer.GetPlatform())
	}
	if err := ensureIdentities(ctx, opts, client, stateDir, answer.GetCreated()); err != nil {
		return err
	}
	return report(opts, answer, stateDir)
}

func ensureIdentities(ctx context.Context, opts *Options, client adminv1.AdminClient, stateDir string, created bool) error {
	_, gateway, err := identity.EnsureGateway(ctx, client, stateDir, opts.Now())
	if err != nil {
		return err
	}
	platformSync, err := ensurePlatformSync(ctx, opts, client, stateDir, created)
	if err != nil {
		return err
	}
	if created {
		return nil
	}
	if gateway {
		opts.IO.Tellf("made the gateway's identity anew: restart a running serve to use it")
	}
	if platformSync {
		opts.IO.Tellf("made the identity of the platform's sync service anew: restart its runtime to use it")
	}
	return nil
}

// ensurePlatformSync leaves the identity alone where it may be in another
// directory of the same platform: a new one would end that one's.
func ensurePlatformSync(ctx context.Context, opts *Options, client adminv1.AdminClient, stateDir string, created bool) (bool, error) {
	shared, err := state.OnDatabase(stateDir)
	if err != nil {
		return false, err
	}
	if shared && !created {
		_, err := os.Stat(identity.PlatformSyncConfig(stateDir))
		if errors.Is(err, fs.ErrNotExist) {
			opts.IO.Tellf("the identity of the platform's sync service stays where the platform was bootstrapped; `edgesync onboard` gives it a new one")
			return false, nil
		}
	}
	return identity.EnsurePlatformSync(ctx, client, stateDir, opts.Now())
}

// tellDifferences says which flags a platform that exists already does not follow.
func (opts *Options) tellDifferences(platform *adminv1.Platform) {
	for _, field := range []struct{ flag, asked, is string }{
		{"gateway-addr", opts.GatewayAddr, platform.GetGatewayAddr()},
		{"ca-addr", opts.CAAddr, platform.GetCaAddr()},
		{"trust-domain", opts.TrustDomain, platform.GetTrustDomain()},
		{"platform-slug", opts.PlatformSlug, platform.GetPlatformSlug()},
	} {
		if field.asked != "" && field.asked != field.is {
			opts.IO.Tellf("--%s %s was left out: the platform exists and has %s", field.flag, field.asked, field.is)
		}
	}
}

func report(opts *Options, answer *adminv1.BootstrapResponse, stateDir string) error {
	platform := answer.GetPlatform()
	d := document{
		PlatformTenantID: platform.GetPlatformTenantId(), PlatformSlug: platform.GetPlatformSlug(), TrustDomain: platform.GetTrustDomain(),
		RootFingerprint: platform.GetRootFingerprint(), GatewayAddr: platform.GetGatewayAddr(),
		GatewayServerName: platform.GetGatewayServerName(), CAAddr: platform.GetCaAddr(),
		PlatformSyncConfig: identity.PlatformSyncConfig(stateDir), StateDir: stateDir, Created: answer.GetCreated(),
	}
	if _, err := os.Stat(d.PlatformSyncConfig); errors.Is(err, fs.ErrNotExist) {
		d.PlatformSyncConfig = ""
	}
	return cmdutil.PrintOne(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "platform", Value: func(d document) string {
			if d.Created {
				return "created in " + d.StateDir
			}
			return "exists in " + d.StateDir
		}},
		{Title: "platform tenant", Value: func(d document) string { return d.PlatformSlug + " (" + d.PlatformTenantID + ")" }},
		{Title: "root fingerprint", Value: func(d document) string { return d.RootFingerprint }},
		{Title: "gateway", Value: func(d document) string { return d.GatewayAddr }},
		{Title: "platform sync config", Value: func(d document) string { return d.PlatformSyncConfig }},
	}, d)
}
