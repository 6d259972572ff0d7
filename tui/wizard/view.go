package wizard

import (
	"strings"
	"time"

	"edgesync/onboarding"
	"edgesync/tui/ui"
)

// View implements ui.Dialog.
func (w *Wizard) View(width, height int) string {
	s := &w.env.Styles
	if w.wizard == nil {
		return ui.Waiting(w.env, "Asking the platform …")
	}
	if len(w.wizard.Platform.Tenants) == 0 {
		return strings.Join(ui.Wrap("There is no tenant to add it to. Create one first: page 6, key c, or `edgesync tenant create SLUG`.", width), "\n")
	}
	lines := []string{w.path(width), ""}
	switch w.wizard.Step() {
	case onboarding.StepReview:
		lines = append(lines, w.review(width)...)
	case onboarding.StepProgress:
		lines = append(lines, s.Bold.Render("Making the key here, asking the platform to sign, writing the package …"))
	case onboarding.StepResult:
		lines = append(lines, w.outcome(width)...)
	default:
		lines = append(lines, strings.Split(w.form.View(s, width, height-6), "\n")...)
		if w.wizard.Step() == onboarding.StepName && w.wizard.Component() != "" {
			lines = append(lines, ui.Pair(s, "component id", w.wizard.Component(), width))
		}
		if w.wizard.Step() == onboarding.StepMode {
			lines = append(lines, "", w.gateway(width))
		}
	}
	if w.err != "" {
		lines = append(lines, "")
		for _, line := range ui.Wrap("✗ "+w.err, width) {
			lines = append(lines, s.Bad.Render(line))
		}
	}
	return strings.Join(lines, "\n")
}

// path shows where the wizard stands among its steps.
func (w *Wizard) path(width int) string {
	s := &w.env.Styles
	var parts []string
	for step := onboarding.StepTenant; step <= onboarding.StepResult; step++ {
		if step == onboarding.StepProgress {
			continue
		}
		switch now := w.wizard.Step(); {
		case step == now || step == onboarding.StepReview && now == onboarding.StepProgress:
			parts = append(parts, s.ActiveTab.Render(" "+step.Title()+" "))
		case step < now:
			parts = append(parts, s.Good.Render("✓ "+step.Title()))
		default:
			parts = append(parts, s.Dim.Render(step.Title()))
		}
	}
	return ui.Cut(strings.Join(parts, s.Dim.Render(" › ")), width)
}

func (w *Wizard) gateway(width int) string {
	s := &w.env.Styles
	switch {
	case w.checking:
		return s.Dim.Render(ui.Cut("… looking whether the gateway answers at "+ui.Clean(w.checked), width))
	case w.problem != "":
		return s.Warn.Render(ui.Cut("! gateway, as seen from here: "+w.problem, width))
	}
	return s.Good.Render(ui.Cut("✓ the platform's gateway answers at "+ui.Clean(w.checked), width))
}

func (w *Wizard) review(width int) []string {
	s := &w.env.Styles
	lines := []string{
		ui.Pair(s, "tenant", w.wizard.Tenant, width),
		ui.Pair(s, "name", w.wizard.Name, width),
		ui.Pair(s, "component id", w.wizard.Component(), width),
		ui.Pair(s, "partition", w.wizard.Partition, width),
		ui.Pair(s, "gateway", w.wizard.GatewayAddr, width),
		ui.Pair(s, "handed over as", w.wizard.Mode+" in "+w.wizard.Out, width),
		w.gateway(width), "",
	}
	for _, service := range w.env.Live.Tenant(w.wizard.Tenant).GetServices() {
		if service.GetComponentId() == w.wizard.Component() {
			for _, line := range ui.Wrap("! There is a sync service of this component id already. It gets a new identity, and the one it has is refused from then on.", width) {
				lines = append(lines, s.Warn.Render(line))
			}
			lines = append(lines, "")
		}
	}
	lines = append(lines, s.Dim.Render("Nothing is created yet. The same without asking:"))
	for _, line := range ui.Wrap(ui.Clean(w.wizard.Command()), width) {
		lines = append(lines, s.Dim.Render(line))
	}
	return append(lines, "", s.Bold.Render("Enter creates it, Esc goes back."))
}

func (w *Wizard) outcome(width int) []string {
	s, done := &w.env.Styles, w.wizard.Result()
	lines := []string{
		s.Good.Render(ui.Cut("✓ "+ui.Clean(done.Service.GetName())+" of tenant "+ui.Clean(w.wizard.Tenant)+" is onboarded", width)), "",
	}
	for i, line := range ui.Wrap(ui.Clean(done.Path), width-17) {
		label := map[string]string{onboarding.ModePackage: "edge package", onboarding.ModeToken: "join token"}[done.Mode]
		if i > 0 {
			label = ""
		}
		lines = append(lines, ui.Pair(s, label, line, width))
	}
	for i, line := range ui.Wrap(done.InstallCommand, width-17) {
		label := "on the edge host"
		if i > 0 {
			label = ""
		}
		lines = append(lines, ui.Pair(s, label, line, width))
	}
	if half := len(done.Fingerprint) / 2; half > 0 {
		lines = append(lines, ui.Pair(s, "certificate", done.Fingerprint[:half], width), ui.Pair(s, "  SHA-256", done.Fingerprint[half:], width))
	}
	lines = append(lines, ui.Pair(s, "valid until", done.ExpiresAt.UTC().Format("2006-01-02 15:04 MST")+" ("+left(done.ExpiresAt.Sub(w.env.Now()))+")", width), "")
	service := w.service()
	switch {
	case service.GetStatus() == "online" || service.GetStatus() == "degraded":
		lines = append(lines, s.Good.Render("● online")+"  first Hello "+ui.Ago(service.GetFirstHelloAt(), w.env.Now())+", version "+ui.Clean(service.GetVersion()))
		if w.options.AddSource != nil {
			lines = append(lines, s.Bold.Render("Press s to add its first source."))
		}
	case ui.TimeOf(service.GetFirstHelloAt()).IsZero():
		lines = append(lines, s.Accent.Render(spinner[int(w.env.Now().Unix())%len(spinner)]+" waiting for its first Hello")+s.Dim.Render(" – run that on the edge host"))
	default:
		lines = append(lines, s.Warn.Render("○ "+service.GetStatus())+"  it said Hello "+ui.Ago(service.GetFirstHelloAt(), w.env.Now()))
	}
	return lines
}

// left counts down what is left of a life, to the second near its end.
func left(d time.Duration) string {
	if d <= 0 {
		return "expired"
	}
	if d < 48*time.Hour {
		return d.Truncate(time.Second).String() + " left"
	}
	return ui.Age(d) + " left"
}

var spinner = []string{"◜", "◝", "◞", "◟"}
