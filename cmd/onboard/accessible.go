package onboard

import (
	"context"
	"strings"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// checkPatience is how long a gateway may take to answer the check.
const checkPatience = 3 * time.Second

// backWord goes a step back wherever something is asked.
const backWord = "back"

// accessible asks the wizard's questions as plain lines, which a screen reader
// reads in their order.
func accessible(ctx context.Context, opts *Options) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	known, platform, err := defaults(ctx, client)
	if err != nil {
		return err
	}
	if len(known.Tenants) == 0 {
		return cmdutil.Errorf(cmdutil.ExitConflict, "onboard: there is no tenant to add a sync service to: create one with `edgesync tenant create SLUG`")
	}
	w := onboarding.NewWizard(opts.Answers, known)
	opts.IO.Tellf("Add an edge sync service. Answer with Enter to take what stands in brackets; answer %q to go a step back.", backWord)
	for w.Step() < onboarding.StepProgress {
		if err := askStep(ctx, opts, w, platform); err != nil {
			return err
		}
	}
	opts.IO.Tellf("Asking the platform, and writing what it answers.")
	done, err := onboarding.Onboard(ctx, client, w.Answers)
	if w.Finish(done, err); err != nil {
		return err
	}
	if done.Fingerprint != "" {
		opts.IO.Tellf("Done. SHA-256 of the certificate: %s", done.Fingerprint)
	}
	return report(opts, done)
}

// question is one thing a step asks.
type question struct {
	text   string
	answer *string
}

func askStep(ctx context.Context, opts *Options, w *onboarding.Wizard, platform *adminv1.Platform) error {
	step := w.Step()
	opts.IO.Tellf("Step %d of %d: %s", int(step)+1, int(onboarding.StepReview)+1, step.Title())
	if step == onboarding.StepReview {
		return askReview(ctx, opts, w, platform)
	}
	for _, q := range questions(w) {
		answer, err := opts.Ask(q.text, *q.answer)
		if err != nil {
			return err
		}
		if strings.EqualFold(answer, backWord) {
			if !w.Back() {
				opts.IO.Tellf("This is the first step.")
			}
			return nil
		}
		*q.answer = answer
	}
	if err := w.Next(); err != nil {
		opts.IO.Tellf("That will not do: %s", err)
	}
	return nil
}

func questions(w *onboarding.Wizard) []question {
	switch w.Step() {
	case onboarding.StepTenant:
		return []question{{"Tenant, one of " + strings.Join(w.Platform.Tenants, ", "), &w.Tenant}}
	case onboarding.StepName:
		return []question{{"Name of the sync service", &w.Name}, {"Partition", &w.Partition}}
	case onboarding.StepGateway:
		return []question{{"Gateway address, HOST:PORT", &w.GatewayAddr}}
	case onboarding.StepMode:
		return []question{{"Hand over as: package, or token", &w.Mode}, {"Directory to write it to", &w.Out}}
	}
	return nil
}

func askReview(ctx context.Context, opts *Options, w *onboarding.Wizard, platform *adminv1.Platform) error {
	opts.IO.Tellf("Tenant: %s. Name: %s. Component id: %s. Partition: %s. Gateway: %s. Handed over as: %s, in %s.",
		w.Tenant, w.Name, w.Component(), w.Partition, w.GatewayAddr, w.Mode, w.Out)
	checking, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	if err := onboarding.CheckGateway(checking, w.GatewayAddr, platform.GetGatewayServerName(), platform.GetRootPem()); err != nil {
		opts.IO.Tellf("Gateway, as seen from here: %s", err)
	} else {
		opts.IO.Tellf("The platform's gateway answers there.")
	}
	answer, err := opts.Ask("Nothing is created yet. Create it? yes, no or back", "")
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return w.Next()
	case backWord:
		w.Back()
		return nil
	case "n", "no":
		return cmdutil.Errorf(cmdutil.ExitFailed, "onboard: not confirmed: nothing was created")
	}
	opts.IO.Tellf("Answer yes, no or back.")
	return nil
}
