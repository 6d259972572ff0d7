// Package enroll is the command that gets an edge host its identity: the key is
// made here, and a join token is exchanged for a certificate of it. It knows the
// enrolment CA and nothing of the platform behind.
package enroll

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"edgesync/certs/client"
	"edgesync/certs/join"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/renewal"
	"edgesync/onboarding"
)

// tokenEnv is where a token is looked for when no file is named.
const tokenEnv = "EDGESYNC_JOIN_TOKEN"

// Options are the flags of enroll.
type Options struct {
	*cmdutil.Factory
	Dir       string
	TokenFile string
	Install   bool
	Replace   bool
	// Client asks the CA.
	Client client.Client
	// RunInstall runs a package's install.sh.
	RunInstall func(ctx context.Context, script string, args ...string) error
	// Installed is where install.sh puts an identity.
	Installed string
}

// NewCmdEnroll makes enroll.
func NewCmdEnroll(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f, Client: client.Client{Now: f.Now}, Installed: "/etc/edgesync"}
	opts.RunInstall = opts.runInstall
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "On an edge host: exchange a join token for an identity",
		Long: `Exchange a join token for an identity, on the host that is to have it.

The key is made here and never leaves. The enrolment CA must be the one whose root the token pins. What is written is
what an edge package's folder holds; with --install it is installed as well, with its systemd unit. The token comes
from --token-file (- is the standard input), from EDGESYNC_JOIN_TOKEN, or is asked for: never from an argument, which
everybody on the host could read.

A token is good once. Where its answer is lost, or the host stops, run the same command again within ten minutes: the
key was kept, in --dir or where it is installed, and the enrolment CA answers it again.`,
		Example: `  sudo edgesync enroll --install --token-file join-token-hq-sync.jwt
  edgesync enroll --dir ./hq-sync --token-file - < join-token-hq-sync.jwt`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.NoPlatform("the platform is the one that the join token names"); err != nil {
				return err
			}
			return cmdutil.Run(cmd, opts, runF, Run)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Dir, "dir", "", "directory to write to (default edge-package-<component>; with --install a temporary one)")
	flags.StringVar(&opts.TokenFile, "token-file", "", "file with the join token; - is the standard input")
	flags.BoolVar(&opts.Install, "install", false, "install the identity and the systemd unit on this host")
	flags.BoolVar(&opts.Replace, "replace", false, "replace an identity that is there already")
	return cmd
}

// document is what enrolling left, as scripts read it.
type document struct {
	ComponentID string     `json:"component_id"`
	Tenant      string     `json:"tenant"`
	Partition   string     `json:"partition"`
	GatewayAddr string     `json:"gateway_addr"`
	Path        string     `json:"path,omitempty"`
	Config      string     `json:"config"`
	ExpiresAt   *time.Time `json:"expires_at"`
	Installed   bool       `json:"installed"`
}

// Run does what the command does. Everything that can stop it is looked at
// before the token is used up.
func Run(ctx context.Context, opts *Options) (err error) {
	if opts.Install && opts.UID != 0 {
		return cmdutil.Errorf(cmdutil.ExitRefused, "install: run it as root")
	}
	text, err := opts.token()
	if err != nil {
		return err
	}
	token, err := join.Parse(text)
	if err != nil {
		return cmdutil.Usagef("%w", err)
	}
	if err := onboarding.NewConfig(token.Component, token.Partition, token.GatewayAddr, token.GatewayServerName).Validate(); err != nil {
		return cmdutil.Usagef("read join token: %w", err)
	}
	dir, done, err := opts.prepare(token)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done(err)) }()
	made, err := opts.redeem(ctx, text, token, dir)
	if err != nil {
		return err
	}
	if opts.Install {
		args := []string{}
		if opts.Replace {
			args = append(args, "--replace")
		}
		if err := opts.RunInstall(ctx, filepath.Join(dir, "install.sh"), args...); err != nil {
			return fmt.Errorf("install what is in %s: %w", dir, err)
		}
	}
	return opts.report(token, made, dir)
}

// redeem exchanges the token and writes down what for. Until then its key is kept,
// whatever happens to this host: enrolling again goes on where this one ended.
func (o *Options) redeem(ctx context.Context, text string, token join.Token, dir string) (client.Credential, error) {
	keys, sent := dir, false
	if o.Dir == "" && o.Install {
		keys = o.Installed // The next attempt has another temporary directory.
	}
	asking := o.Client
	asking.NewKey = func() (crypto.Signer, error) {
		sent = true
		return onboarding.JoinKey(keys, token.ID)
	}
	made, _, err := asking.Enrol(ctx, text)
	var refused *client.RefusedError
	switch {
	case err == nil:
		if err := onboarding.WriteHome(dir, packageOf(token, made)); err != nil {
			return made, err
		}
	case errors.As(err, &refused):
		err = refine(err)
	case sent && errors.Is(err, client.ErrUnanswered):
		return made, cmdutil.Errorf(renewal.ExitCode(err), "%w: run it again within ten minutes: the token is good for this host until then, whether it was spent or not", err)
	default:
		return made, refine(err)
	}
	return made, errors.Join(err, onboarding.DropJoinKey(keys, token.ID))
}

func packageOf(token join.Token, made client.Credential) onboarding.PackageInput {
	return onboarding.PackageInput{
		Tenant: token.Tenant, Partition: token.Partition, Component: token.Component,
		GatewayAddr: token.GatewayAddr, ServerName: token.GatewayServerName,
		Identity: onboarding.Identity{Key: made.Key, Chain: made.Chain, CAs: append(made.Roots, made.Chain[1]), CAURL: made.CAURL},
	}
}

// token is the join token's text.
func (o *Options) token() (string, error) {
	switch {
	case o.TokenFile == "-":
		return onboarding.ReadToken(o.IO.In)
	case cmdutil.HoldsToken(o.TokenFile):
		return "", cmdutil.Usagef("--token-file takes the name of a file, and this is a join token itself, which everybody on this host can read from the list of processes: cancel it (`edgesync onboard tokens cancel`) and have another made")
	case o.TokenFile != "":
		file, err := os.Open(o.TokenFile)
		if err != nil {
			return "", fmt.Errorf("read join token: %w", err)
		}
		defer func() { _ = file.Close() }()
		return onboarding.ReadToken(file)
	}
	if text, ok := o.Env(tokenEnv); ok && text != "" {
		return text, nil
	}
	if !o.CanPrompt() {
		return "", cmdutil.Missing("token-file")
	}
	secret, err := o.AskSecret("Join token")
	return string(secret), err
}

// prepare finds out that the identity can be written and replaces none that is
// not to be replaced. done takes away what is not to stay.
func (o *Options) prepare(token join.Token) (dir string, done func(error) error, err error) {
	nothing := func(error) error { return nil }
	if o.Install && !o.Replace {
		if err := free(o.Installed); err != nil {
			return "", nothing, err
		}
	}
	if dir = o.Dir; dir == "" && o.Install {
		dir, err = os.MkdirTemp("", "edgesync-enroll-*")
		if err != nil {
			return "", nothing, fmt.Errorf("make temporary directory: %w", err)
		}
		return dir, func(failure error) error {
			// What the token was exchanged for is kept when it could not be installed.
			if _, err := os.Stat(filepath.Join(dir, onboarding.CertDir)); err == nil && failure != nil {
				return nil
			}
			return os.RemoveAll(dir)
		}, nil
	}
	if dir == "" {
		dir = "edge-package-" + token.Component
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nothing, err
	}
	if !o.Replace {
		if err := free(dir); err != nil {
			return "", nothing, err
		}
	}
	undo, err := onboarding.Prepare(dir, 0o755)
	if err != nil {
		return "", nothing, fmt.Errorf("%w: name another directory with --dir", err)
	}
	return dir, func(failure error) error {
		if failure != nil {
			undo()
		}
		return nil
	}, nil
}

func free(dir string) error {
	path := filepath.Join(dir, onboarding.CertDir, onboarding.CertFile)
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return cmdutil.Errorf(cmdutil.ExitConflict, "enroll into %s: it holds an identity: name another directory with --dir, or replace it with --replace", dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("enroll into %s: %w: name another directory with --dir", dir, err)
}

// refine gives an error of the CA's the exit code it means.
func refine(err error) error {
	code := renewal.ExitCode(err)
	if code == cmdutil.ExitUnavailable && !errors.Is(err, client.ErrUnavailable) {
		return cmdutil.Errorf(code, "%w: is the platform served, and can this host reach it?", err)
	}
	return cmdutil.Errorf(code, "%w", err)
}

func (o *Options) report(token join.Token, made client.Credential, dir string) error {
	expires := made.Chain[0].NotAfter.UTC()
	d := document{
		ComponentID: token.Component, Tenant: token.Tenant, Partition: token.Partition, GatewayAddr: token.GatewayAddr,
		Path: dir, Config: filepath.Join(dir, filepath.FromSlash(onboarding.ConfigFile)), ExpiresAt: &expires, Installed: o.Install,
	}
	if o.Install {
		d.Config = filepath.Join(o.Installed, filepath.FromSlash(onboarding.ConfigFile))
		if o.Dir == "" {
			d.Path = ""
		}
	}
	return cmdutil.PrintOne(o.IO, o.Format, []cmdutil.Column[document]{
		{Title: "sync service", Value: func(d document) string { return d.ComponentID + " of tenant " + d.Tenant }},
		{Title: "gateway", Value: func(d document) string { return d.GatewayAddr }},
		{Title: "identity", Value: func(d document) string { return d.Path }},
		{Title: "config", Value: func(d document) string { return d.Config }},
		{Title: "expires", Value: func(d document) string { return cmdutil.Date(d.ExpiresAt) }},
		{Title: "next", Value: next},
	}, d)
}

func next(d document) string {
	if d.Installed {
		return "systemctl enable --now edgesync-run.service"
	}
	return "edgesync run --config " + d.Config
}
