package wizard

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"edgesync/onboarding"
	"edgesync/tui/ui"
)

// View implements ui.Dialog.
func (w *Wizard) View(width, height int) string {
	if w.wizard == nil {
		return ui.Waiting(w.env, "Asking the platform …")
	}
	if len(w.wizard.Platform.Tenants) == 0 {
		return strings.Join(ui.Wrap("There is no tenant to add it to. Create one first: page 6, key c, or `edgesync tenant create SLUG`.", width), "\n")
	}
	var wrong []string
	if w.err != "" {
		wrong = append(wrong, "")
		for _, line := range ui.Wrap("✗ "+w.err, width) {
			wrong = append(wrong, w.env.Styles.Bad.Render(line))
		}
	}
	room := max(height-2-len(wrong), 1)
	lines := w.lines(width, room)
	w.most = max(len(lines)-room, 0)
	w.offset = max(min(w.offset, w.most), 0)
	lines = append([]string{w.path(width), ""}, lines[w.offset:min(w.offset+room, len(lines))]...)
	return strings.Join(append(lines, wrong...), "\n")
}

// lines are what the step says.
func (w *Wizard) lines(width, height int) []string {
	s := &w.env.Styles
	switch w.wizard.Step() {
	case onboarding.StepReview:
		return w.review(width)
	case onboarding.StepProgress:
		return []string{s.Bold.Render("Making the key here, asking the platform to sign, writing the package …")}
	case onboarding.StepResult:
		return w.outcome(width)
	}
	var below []string
	if w.wizard.Step() == onboarding.StepName && w.wizard.Component() != "" {
		below = append(below, ui.Pair(s, "component id", w.wizard.Component(), width))
	}
	if w.wizard.Step() == onboarding.StepMode {
		below = append([]string{""}, w.gateway(width)...)
	}
	return append(strings.Split(w.form.View(s, width, max(height-len(below), 2)), "\n"), below...)
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
	path := strings.Join(parts, s.Dim.Render(" › "))
	if lipgloss.Width(path) <= width {
		return path
	}
	return s.ActiveTab.Render(fmt.Sprintf(" Step %d of %d: %s ", w.number(), int(onboarding.StepResult), w.wizard.Step().Title()))
}

// number is the step's, from 1: carrying out is a part of the review.
func (w *Wizard) number() int {
	if w.wizard.Step() >= onboarding.StepProgress {
		return int(w.wizard.Step())
	}
	return int(w.wizard.Step()) + 1
}

// gateway is what the live check of the address says.
func (w *Wizard) gateway(width int) []string {
	s := &w.env.Styles
	text, style := "✓ the platform's gateway answers at "+ui.Clean(w.checked), s.Good
	switch {
	case w.checking:
		text, style = "… looking whether the gateway answers at "+ui.Clean(w.checked), s.Dim
	case w.problem != "":
		text, style = "! gateway, as seen from here: "+w.problem, s.Warn
	}
	lines := ui.Wrap(text, width)
	for i, line := range lines {
		lines[i] = style.Render(line)
	}
	return lines
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
	}
	lines = append(append(lines, w.gateway(width)...), "")
	for _, service := range w.env.Live.Tenant(w.wizard.Tenant).GetServices() {
		if service.GetComponentId() == w.wizard.Component() {
			said := "! There is a sync service of this component id already. It gets a new identity, and the one it has is refused from then on."
			if name := service.GetName(); name != w.wizard.Name && w.wizard.Name != w.wizard.Component() {
				said = "! Its component id is that of sync service " + ui.Clean(name) + ": choose another name."
			}
			for _, line := range ui.Wrap(said, width) {
				lines = append(lines, s.Warn.Render(line))
			}
			lines = append(lines, "")
		}
	}
	lines = append(lines, s.Dim.Render("Nothing is created yet. The same without asking:"))
	for _, line := range ui.WrapWords(ui.Clean(w.wizard.Command()), width) {
		lines = append(lines, s.Dim.Render(line))
	}
	return append(lines, "", s.Bold.Render("Enter creates it, Esc goes back."))
}

func (w *Wizard) outcome(width int) []string {
	s, done := &w.env.Styles, w.wizard.Result()
	lines := []string{
		s.Good.Render(ui.Cut("✓ "+ui.Clean(done.Service.GetName())+" of tenant "+ui.Clean(w.wizard.Tenant)+" is onboarded", width)),
		w.arrival(width), "",
	}
	pairs := func(label, text string) {
		for _, line := range ui.WrapWords(ui.Clean(text), width-17) {
			lines = append(lines, ui.Pair(s, label, line, width))
			label = ""
		}
	}
	pairs(map[string]string{onboarding.ModePackage: "edge package", onboarding.ModeToken: "join token"}[done.Mode], done.Path)
	pairs("on the edge host", done.InstallCommand)
	if half := len(done.Fingerprint) / 2; half > 0 {
		pairs("certificate", done.Fingerprint[:half])
		pairs("  SHA-256", done.Fingerprint[half:])
	}
	pairs("valid until", done.ExpiresAt.UTC().Format("2006-01-02 15:04 MST")+" ("+left(done.ExpiresAt.Sub(w.env.Now()))+")")
	return lines
}

// arrived tells that the service was heard of with what was made here. One that
// was onboarded again can have been heard of before, with what it had then.
func (w *Wizard) arrived() bool {
	done, service := w.wizard.Result(), w.service()
	if done.Mode == onboarding.ModeToken && service.GetCertSerial() == done.Service.GetCertSerial() {
		return false
	}
	return ui.TimeOf(service.GetLastHeartbeatAt()).After(ui.TimeOf(done.Service.GetLastHeartbeatAt()))
}

// arrival is whether the service has connected.
func (w *Wizard) arrival(width int) string {
	s, service := &w.env.Styles, w.service()
	arrived := w.arrived()
	switch {
	case arrived && (service.GetStatus() == "online" || service.GetStatus() == "degraded"):
		text := s.Good.Render("● online") + "  first Hello " + ui.Ago(service.GetFirstHelloAt(), w.env.Now()) + ", version " + ui.Clean(service.GetVersion())
		if w.options.AddSource != nil {
			text += s.Bold.Render("  s adds its first source")
		}
		return ui.Cut(text, width)
	case w.env.Unserved():
		return s.Warn.Render(ui.Cut("◐ nobody can connect: start `edgesync serve`", width))
	case !arrived:
		return ui.Cut(s.Accent.Render(spinner[int(w.env.Now().Unix())%len(spinner)]+" waiting for its first Hello")+s.Dim.Render(": run this on the edge host"), width)
	}
	return s.Warn.Render(ui.Cut("○ "+service.GetStatus()+"  it said Hello "+ui.Ago(service.GetFirstHelloAt(), w.env.Now()), width))
}

// left counts down what is left of a life, to the second near its end.
func left(d time.Duration) string {
	if d <= 0 {
		return "expired"
	}
	switch {
	case d < time.Hour:
		return d.Truncate(time.Second).String() + " left"
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm left", int(d.Hours()), int(d.Minutes())%60)
	}
	return ui.Age(d) + " left"
}

var spinner = []string{"◜", "◝", "◞", "◟"}
