package operator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"edgesync/certs"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// AddOptions are the flags of operator add.
type AddOptions struct {
	*cmdutil.Factory
	Name   string
	Role   string
	Tenant string
	Out    string
}

// NewCmdAdd makes operator add.
func NewCmdAdd(f *cmdutil.Factory, runF func(context.Context, *AddOptions) error) *cobra.Command {
	opts := &AddOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an operator and write its identity",
		Long: `Add an operator and write its identity to a folder, for --identity.

An admin may do everything, an operator what concerns services and sources, a viewer only look. With --tenant it sees
that tenant and no other. The key is made here and never leaves the folder: treat it as a secret.`,
		Example: `  edgesync operator add alice --role admin --out ./alice
  edgesync --server platform.example.com:9465 --identity ./alice tenant list`,
		Args: cmdutil.Args("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			return cmdutil.Run(cmd, opts, runF, addRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Role, "role", "", "admin, operator or viewer")
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the only tenant it may see (default: the whole platform)")
	flags.StringVar(&opts.Out, "out", "", "folder to write the identity to (default: the name)")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"admin", "operator", "viewer"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func addRun(ctx context.Context, opts *AddOptions) error {
	if err := opts.Require(&opts.Role, "role", "Role (admin, operator or viewer)"); err != nil {
		return err
	}
	// Before it is the name of a folder.
	if err := certs.ValidLabel(opts.Name); err != nil {
		return cmdutil.Usagef("add operator: %w", err)
	}
	if opts.Out == "" {
		opts.Out = opts.Name
	}
	if _, err := os.Lstat(filepath.Join(opts.Out, onboarding.KeyFile)); err == nil {
		return cmdutil.Errorf(cmdutil.ExitConflict, "add operator %s: %s holds an identity already: choose another folder with --out", opts.Name, opts.Out)
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		return err
	}
	// A name is taken for good: it is not, where the identity cannot be written.
	undo, err := onboarding.Prepare(opts.Out, 0o700)
	if err != nil {
		return fmt.Errorf("add operator %s: %w: choose another folder with --out", opts.Name, err)
	}
	answer, err := client.AddOperator(ctx, &adminv1.AddOperatorRequest{Name: opts.Name, Role: opts.Role, Tenant: opts.Tenant, Csr: csr})
	if err != nil {
		undo()
		return err
	}
	made, err := identity.New(key, answer.GetCertificate(), answer.GetCaUrl())
	if err != nil {
		return err
	}
	if err := onboarding.WriteIdentity(opts.Out, made); err != nil {
		return fmt.Errorf("write identity of operator %s (revoke it and add it again): %w", opts.Name, err)
	}
	return report(opts, answer.GetOperator())
}

// added is an operator with where its identity is.
type added struct {
	document
	Identity string `json:"identity"`
}

func report(opts *AddOptions, operator *adminv1.Operator) error {
	path, err := filepath.Abs(opts.Out)
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, added{newDocument(operator), path},
		"added operator %s with role %s; its identity is in %s", operator.GetName(), operator.GetRole(), path)
}
