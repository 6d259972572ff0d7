package onboard

import (
	"context"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/tui"
	"edgesync/onboarding"
	interfaces "edgesync/tui"
)

// draw opens the wizard, and prints what it left once it is closed.
func draw(ctx context.Context, opts *Options) error {
	var done *onboarding.Onboarded
	err := tui.Show(ctx, opts.Factory, interfaces.Options{Out: opts.Out, Onboard: &interfaces.Onboarding{
		Answers: opts.Answers, Done: func(made onboarding.Onboarded) { done = &made },
	}})
	switch {
	case err != nil:
		return err
	case done == nil:
		return cmdutil.Errorf(cmdutil.ExitFailed, "onboard: not confirmed: nothing was created")
	}
	return report(opts, *done)
}
