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
name, whom it trusts, the enrolment CA that renews it, the way to the gateway, Hello and GetConfig. On a platform's
machine its state directory is checked first. With --server and --identity it is the operator's identity and its way to
that platform. Nothing is changed; Hello counts as a sign of life. It fails when there is a problem.`,
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
	options := doctor.Options{Now: opts.Now, Version: cmdutil.Version}
	if opts.Server != "" || opts.Identity != "" {
		switch {
		case opts.Server == "":
			return cmdutil.Missing("server")
		case opts.Identity == "":
			return cmdutil.Missing("identity")
		}
		return report(opts, doctor.ExamineOperator(ctx, options, opts.Server, opts.Identity))
	}
	var findings []doctor.Finding
	config := opts.Config
	if config == "" {
		config = edgeConfig
		dir, err := opts.StateDir()
		if err != nil {
			return err
		}
		if _, err := os.Stat(identity.PlatformSyncConfig(dir)); err == nil {
			config, options.Again = identity.PlatformSyncConfig(dir), "run `edgesync bootstrap`, which makes it anew"
			findings = examinePlatform(ctx, opts, dir)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look into state directory: %w", err)
		}
	}
	options.Config = config
	findings = append(findings, doctor.Examine(ctx, options)...)
	return report(opts, findings)
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
