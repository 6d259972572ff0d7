package onboarding

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"edgesync/certs"
	"edgesync/proto/shell"
)

// How an identity gets to its host: made here and carried there as an edge
// package, or made there in exchange for a join token.
const (
	ModePackage = "package"
	ModeToken   = "token"
)

// Answers are what onboarding an edge sync service takes, however they are
// given: as flags, at prompts or in the wizard.
type Answers struct {
	Tenant    string
	Name      string
	Partition string
	// GatewayAddr is where the service reaches the gateway.
	GatewayAddr string
	Mode        string
	// Out is the directory the package or the token is written to. Without one a
	// token is only handed back.
	Out string
	// TTL is how long a token is good for; zero means the platform's own.
	TTL time.Duration
}

// Step is where a Wizard stands.
type Step int

// The steps of a Wizard, in their order. Nothing is created before StepProgress.
const (
	StepTenant Step = iota
	StepName
	StepGateway
	StepMode
	StepReview
	StepProgress
	StepResult
)

// Title is the step as a person reads it.
func (s Step) Title() string {
	return []string{"Tenant", "Name", "Gateway", "Handover", "Review", "Progress", "Result"}[s]
}

// Flags are those of `edgesync onboard` that answer the step.
func (s Step) Flags() []string {
	switch s {
	case StepTenant:
		return []string{"--tenant"}
	case StepName:
		return []string{"--name", "--partition"}
	case StepGateway:
		return []string{"--gateway-addr"}
	case StepMode:
		return []string{"--mode", "--out", "--ttl"}
	default:
		return []string{"--no-input"}
	}
}

// Wizard asks for Answers step by step. It is a plain state machine: whoever
// drives it shows the steps, sets the answers and carries them out.
type Wizard struct {
	Answers
	// Platform are the defaults an empty answer stands for.
	Platform Defaults

	step   Step
	result Onboarded
	err    error
}

// Defaults are what the platform knows beforehand.
type Defaults struct {
	// Tenants are the slugs an edge service can be added to.
	Tenants     []string
	GatewayAddr string
	TrustDomain string
}

// NewWizard begins with what is known already. The tenant is chosen when there
// is but one.
func NewWizard(answers Answers, platform Defaults) *Wizard {
	w := &Wizard{Answers: answers, Platform: platform}
	if w.Tenant == "" && len(platform.Tenants) == 1 {
		w.Tenant = platform.Tenants[0]
	}
	if w.GatewayAddr == "" {
		w.GatewayAddr = platform.GatewayAddr
	}
	if w.Partition == "" {
		w.Partition = defaultPartition
	}
	if w.Mode == "" {
		w.Mode = ModePackage
	}
	if w.Out == "" {
		w.Out = "."
	}
	return w
}

// Step is where it stands.
func (w *Wizard) Step() Step { return w.step }

// Next goes on to the next step, or says why the answers of this one will not
// do. Going on from the review confirms it.
func (w *Wizard) Next() error {
	if w.step >= StepProgress {
		return errors.New("go on: onboarding is under way")
	}
	if err := w.Check(w.step); err != nil {
		return err
	}
	if w.step == StepReview {
		for step := StepTenant; step < StepReview; step++ {
			if err := w.Check(step); err != nil {
				return err
			}
		}
	}
	w.step++
	return nil
}

// Back goes to the step before, with all that was answered; false where there
// is none, or where something may have been created already.
func (w *Wizard) Back() bool {
	if w.step == StepTenant || w.step >= StepProgress {
		return false
	}
	w.step--
	return true
}

// Finish takes what carrying the answers out came to. After a failure the review
// can be gone back from and confirmed again.
func (w *Wizard) Finish(done Onboarded, err error) {
	if w.result, w.err = done, err; err != nil {
		w.step = StepReview
		return
	}
	w.step = StepResult
}

// Result is what was created; of use in StepResult.
func (w *Wizard) Result() Onboarded { return w.result }

// Err is why the last confirmed attempt failed, or nil.
func (w *Wizard) Err() error { return w.err }

// Check says why the answers of a step will not do.
func (w *Wizard) Check(step Step) error {
	switch step {
	case StepTenant:
		return w.checkTenant()
	case StepName:
		return w.checkName()
	case StepGateway:
		if err := ValidAddr(w.GatewayAddr); err != nil {
			return fmt.Errorf("gateway address: %w", err)
		}
	case StepMode:
		return w.checkMode()
	}
	return nil
}

func (w *Wizard) checkTenant() error {
	if w.Tenant == "" {
		return errors.New("choose a tenant")
	}
	for _, slug := range w.Platform.Tenants {
		if slug == w.Tenant {
			return nil
		}
	}
	return fmt.Errorf("there is no tenant %q: create it with `edgesync tenant create %s`", w.Tenant, shell.Word(w.Tenant))
}

func (w *Wizard) checkName() error {
	w.Name, w.Partition = strings.TrimSpace(w.Name), strings.TrimSpace(w.Partition)
	if w.Name == "" {
		return errors.New("name: say what the sync service is called")
	}
	component, err := certs.ComponentID(w.Name)
	if err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if w.Partition == "" {
		w.Partition = defaultPartition
	}
	if err := certs.ValidLabel(w.Partition); err != nil {
		return fmt.Errorf("partition: %w", err)
	}
	if w.Platform.TrustDomain == "" {
		return nil
	}
	_, err = certs.CommonName(component, w.Partition, w.Tenant, w.Platform.TrustDomain)
	return err
}

func (w *Wizard) checkMode() error {
	switch {
	case w.Mode != ModePackage && w.Mode != ModeToken:
		return fmt.Errorf("mode %q: the modes are %s and %s", w.Mode, ModePackage, ModeToken)
	case strings.TrimSpace(w.Out) == "":
		return errors.New("directory: say where to write it")
	case w.TTL < 0:
		return fmt.Errorf("token life %s: want a positive duration such as 2h", shell.Duration(w.TTL))
	}
	return nil
}

// Component is the id that the name stands for, or empty.
func (w *Wizard) Component() string {
	component, err := certs.ComponentID(strings.TrimSpace(w.Name))
	if err != nil {
		return ""
	}
	return component
}

// Command is the command line that does the same without asking.
func (w *Wizard) Command() string {
	line := "edgesync onboard --tenant " + shell.Word(w.Tenant) + " --name " + shell.Word(w.Name)
	if w.Partition != "" && w.Partition != defaultPartition {
		line += " --partition " + shell.Word(w.Partition)
	}
	if w.GatewayAddr != "" && w.GatewayAddr != w.Platform.GatewayAddr {
		line += " --gateway-addr " + shell.Word(w.GatewayAddr)
	}
	if w.Mode == ModeToken {
		if line += " --mode token"; w.TTL > 0 {
			line += " --ttl " + shell.Duration(w.TTL)
		}
	}
	return line + " --out " + shell.Word(w.Out) + " --no-input"
}
