package tenant

import (
	"context"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// SuspendOptions are the arguments of tenant suspend and tenant resume.
type SuspendOptions struct {
	*cmdutil.Factory
	Slug   string
	Resume bool
}

// NewCmdSuspend makes tenant suspend.
func NewCmdSuspend(f *cmdutil.Factory, runF func(context.Context, *SuspendOptions) error) *cobra.Command {
	opts := &SuspendOptions{Factory: f}
	return newCmdSuspend(opts, runF, "suspend", "Refuse a tenant's identities until it is resumed")
}

// NewCmdResume makes tenant resume.
func NewCmdResume(f *cmdutil.Factory, runF func(context.Context, *SuspendOptions) error) *cobra.Command {
	opts := &SuspendOptions{Factory: f, Resume: true}
	return newCmdSuspend(opts, runF, "resume", "Lift a tenant's suspension")
}

func newCmdSuspend(opts *SuspendOptions, runF func(context.Context, *SuspendOptions) error, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " SLUG",
		Short:   short,
		Example: "  edgesync tenant " + verb + " acme",
		Args:    cmdutil.Args("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Slug = args[0]
			return cmdutil.Run(cmd, opts, runF, suspendRun)
		},
	}
}

func suspendRun(ctx context.Context, opts *SuspendOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	changed, err := client.SuspendTenant(ctx, &adminv1.SuspendTenantRequest{Slug: opts.Slug, Resume: opts.Resume})
	if err != nil {
		return err
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, newDocument(changed),
		"tenant %s is %s", changed.GetSlug(), changed.GetState())
}
