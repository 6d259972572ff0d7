// Package doctor is the command that looks at this host for what keeps it from
// working, and says what to mend.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/onboarding/doctor"
	adminv1 "edgesync/proto/admin/v1"
)

// edgeConfig is where an edge package is installed.
const edgeConfig = "/etc/edgesync/config/sync.json"

// Options are the flags of doctor.
type Options struct {
	*cmdutil.Factory
	Config string
}

// NewCmdDoctor makes doctor.
func NewCmdDoctor(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this host, its identity and its way to the gateway, and say what to mend",
		Long: `Check this host and say what to mend: the config, the key and who can read it, the clock, the certificate and its
name, whom it trusts, the way to the gateway, Hello and GetConfig. On a platform's machine its state directory is
checked first. Nothing is changed; Hello counts as a sign of life. It fails when there is a problem.`,
		Example: `  sudo edgesync doctor
  edgesync doctor --config /etc/edgesync/config/sync.json -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, doctorRun)
		},
	}
	cmd.Flags().StringVar(&opts.Config, "config", "", "minimal config of the sync service (default "+edgeConfig+", or the platform's own)")
	return cmd
}

// document is a finding as scripts read it.
type document struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Mend   string `json:"mend"`
}

func doctorRun(ctx context.Context, opts *Options) error {
	var findings []doctor.Finding
	config := opts.Config
	if config == "" {
		config = edgeConfig
		dir, err := opts.StateDir()
		if err != nil {
			return err
		}
		if _, err := os.Stat(identity.PlatformSyncConfig(dir)); err == nil {
			config = identity.PlatformSyncConfig(dir)
			findings = examinePlatform(ctx, opts, dir)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look into state directory: %w", err)
		}
	}
	findings = append(findings, doctor.Examine(ctx, doctor.Options{Config: config, Now: opts.Now, Version: cmdutil.Version})...)
	return report(opts, findings)
}

// examinePlatform looks at the state directory.
func examinePlatform(ctx context.Context, opts *Options, dir string) []doctor.Finding {
	findings := []doctor.Finding{examineDir(dir, opts.UID)}
	client, err := opts.Admin(ctx)
	if err == nil {
		var platform *adminv1.Platform
		if platform, err = client.GetPlatform(ctx, &adminv1.GetPlatformRequest{}); err == nil {
			findings = append(findings, doctor.Finding{
				Check: "platform", Result: doctor.OK,
				Detail: "it opens; trust domain " + platform.GetTrustDomain() + ", gateway " + platform.GetGatewayAddr(),
			})
			return append(findings, examineRenewals(ctx, client), examineRestorations(ctx, client))
		}
	}
	return append(findings, doctor.Finding{
		Check: "platform", Result: doctor.Problem, Detail: cmdutil.ErrorLine(err), Mend: "see that the keyset and the store are those of this platform",
	})
}

func examineDir(dir string, uid int) doctor.Finding {
	f := doctor.Finding{Check: "state-directory", Result: doctor.OK, Detail: dir + " is its owner's alone"}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		f.Result, f.Detail, f.Mend = doctor.Problem, err.Error(), fmt.Sprintf("let user %d read it", uid)
	case info.Mode().Perm()&0o077 != 0:
		f.Result, f.Detail, f.Mend = doctor.Warning, fmt.Sprintf("%s has mode %#o: others can look into it", dir, info.Mode().Perm()), "chmod 700 "+dir
	}
	return f
}

// examineRenewals looks for who has to renew before a rotation's overlap ends.
func examineRenewals(ctx context.Context, client adminv1.AdminClient) doctor.Finding {
	f := doctor.Finding{Check: "rotation", Result: doctor.OK, Detail: "nobody holds a certificate of an authority that was replaced"}
	answer, err := client.ListCertificates(ctx, &adminv1.ListCertificatesRequest{Old: true})
	switch {
	case err != nil:
		f.Result, f.Detail, f.Mend = doctor.Problem, cmdutil.ErrorLine(err), "see the platform's log"
	case len(answer.GetCertificates()) > 0:
		f.Result = doctor.Warning
		f.Detail = fmt.Sprintf("%d component(s) still hold certificates from before a rotation", len(answer.GetCertificates()))
		f.Mend = "see who with `edgesync cert list --old` and until when with `edgesync cert list --authorities`"
	}
	return f
}

func report(opts *Options, findings []doctor.Finding) error {
	documents := make([]document, 0, len(findings))
	problems := 0
	for _, f := range findings {
		documents = append(documents, document{f.Check, string(f.Result), f.Detail, f.Mend})
		if f.Result == doctor.Problem {
			problems++
		}
	}
	err := cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "CHECK", Value: func(d document) string { return d.Check }},
		{Title: "RESULT", Value: func(d document) string { return d.Result }, Style: func(d document) string { return cmdutil.StateStyle(d.Result) }},
		{Title: "FOUND", Value: func(d document) string { return d.Detail }},
		{Title: "TO MEND IT", Value: func(d document) string { return d.Mend }},
	}, documents)
	if err == nil && problems > 0 {
		err = cmdutil.Errorf(cmdutil.ExitFailed, "check this host: %s: mend what the list says and run `edgesync doctor` again", cmdutil.Plural(int64(problems), "problem"))
	}
	return err
}
