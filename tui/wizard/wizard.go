// Package wizard shows the onboarding of an edge sync service step by step. What
// the steps are and when something is created is decided in package onboarding;
// this draws it, checks the gateway live, and then waits for the first Hello.
package wizard

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/shell"
	"edgesync/tui/ui"
)

// checkPatience is how long a gateway may take to answer the check.
const checkPatience = 3 * time.Second

// Options say how the wizard begins.
type Options struct {
	// What was answered already, such as by flags.
	onboarding.Answers
	// Tenant is chosen beforehand when it is set.
	Tenant string
	Out    string
	// AddSource is the form that is offered at the end.
	AddSource func(env *ui.Env, tenant, service string) ui.Dialog
	// Done is told what was created.
	Done func(onboarding.Onboarded)
}

// Wizard is the dialog.
type Wizard struct {
	env     *ui.Env
	options Options
	// wizard is nil until the platform is known.
	wizard *onboarding.Wizard
	form   *ui.Form
	err    string
	// offset is how far what has no room is scrolled, and most how far it can be.
	offset, most int

	// gateway is what the live check of an address said.
	checked  string
	checking bool
	// badLife is a token life that is no duration.
	badLife string
	// handover are the fields of that step, of which a package has not all.
	handover []*ui.Field
	problem  string
}

type (
	checkedMsg struct {
		wizard *Wizard
		addr   string
		err    error
	}
	doneMsg struct {
		wizard *Wizard
		done   onboarding.Onboarded
		err    error
	}
)

// New makes the dialog.
func New(env *ui.Env, options Options) *Wizard {
	if options.Answers.Tenant == "" {
		options.Answers.Tenant = options.Tenant
	}
	if options.Answers.Out == "" {
		options.Answers.Out = options.Out
	}
	w := &Wizard{env: env, options: options}
	w.begin()
	return w
}

// begin starts once the platform is known.
func (w *Wizard) begin() {
	live := w.env.Live
	if w.wizard != nil || !live.Ready {
		return
	}
	w.wizard = onboarding.NewWizard(w.options.Answers, onboarding.Defaults{
		Tenants: w.tenants(), GatewayAddr: live.Platform.GetGatewayAddr(), TrustDomain: live.Platform.GetTrustDomain(),
	})
	w.ask()
}

func (w *Wizard) tenants() []string {
	var slugs []string
	for _, tenant := range w.env.Live.Customers() {
		if tenant.GetTenant().GetState() == "active" {
			slugs = append(slugs, tenant.GetTenant().GetSlug())
		}
	}
	return slugs
}

// ask lays out the form of the step.
func (w *Wizard) ask() {
	w.err, w.offset = "", 0
	switch w.wizard.Step() {
	case onboarding.StepTenant:
		var options []ui.Option
		for _, slug := range w.wizard.Platform.Tenants {
			options = append(options, ui.Option{Value: slug, Label: slug, Note: w.env.Live.Tenant(slug).GetTenant().GetName()})
		}
		w.form = ui.NewForm(ui.Choose("tenant", "Tenant", w.wizard.Tenant, "Whose network it stands in. ← and → choose.", options))
	case onboarding.StepName:
		w.form = ui.NewForm(
			ui.Text("name", "Name", w.wizard.Name, "What the sync service is called, such as HQ Sync. Its component id is made of it."),
			ui.Text("partition", "Partition", w.wizard.Partition, "The part of the network it stands in; most have one, called default."),
		)
	case onboarding.StepGateway:
		w.form = ui.NewForm(ui.Text("gateway", "Gateway", w.wizard.GatewayAddr, "HOST:PORT at which the edge host reaches the platform's gateway."))
	case onboarding.StepMode:
		w.form = ui.NewForm(
			ui.Choose("mode", "Hand over as", w.wizard.Mode, "How the identity gets to the edge host.", []ui.Option{
				{Value: onboarding.ModePackage, Label: "edge package", Note: "key and certificate in one file"},
				{Value: onboarding.ModeToken, Label: "join token", Note: "the host makes its own key"},
			}),
			ui.Text("out", "Write it to", w.wizard.Out, "Directory on this machine. Treat package and token as secrets."),
			ui.Text("ttl", "Token life", life(w.wizard.TTL), "How long a token is good for, such as 2h. Empty means the platform's own."),
		)
		w.handover = w.form.Fields
		w.arrange()
	default:
		w.form = nil
	}
}

// arrange shows the fields that the way of handing over has.
func (w *Wizard) arrange() {
	if w.wizard.Step() != onboarding.StepMode {
		return
	}
	w.form.Fields = w.handover
	if w.form.Value("mode") == onboarding.ModePackage {
		w.form.Fields = w.handover[:2]
	}
}

// take copies what the form says into the answers.
func (w *Wizard) take() {
	if w.form == nil {
		return
	}
	for name, answer := range map[string]*string{
		"tenant": &w.wizard.Tenant, "name": &w.wizard.Name, "partition": &w.wizard.Partition,
		"gateway": &w.wizard.GatewayAddr, "mode": &w.wizard.Mode, "out": &w.wizard.Out,
	} {
		if field := w.form.Field(name); field != nil {
			*answer = field.Value()
		}
	}
	w.badLife = ""
	if field := w.form.Field("ttl"); field != nil {
		text, err := strings.TrimSpace(field.Value()), error(nil)
		if w.wizard.TTL = 0; text != "" {
			if w.wizard.TTL, err = time.ParseDuration(text); err != nil || w.wizard.TTL <= 0 {
				w.wizard.TTL, w.badLife = 0, text
			}
		}
	}
}

func life(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return shell.Duration(d)
}

// Title implements ui.Dialog.
func (w *Wizard) Title() string { return "Add Edge Sync Service" }

// Escape implements ui.Dialog. It goes a step back, and out at the first.
func (w *Wizard) Escape() bool {
	if w.wizard == nil {
		return true
	}
	w.take()
	if w.wizard.Back() {
		w.ask()
		return false
	}
	return w.wizard.Step() != onboarding.StepProgress
}

// Keys implements ui.Dialog.
func (w *Wizard) Keys() []ui.Key {
	if w.wizard == nil {
		return []ui.Key{{Keys: "esc", Does: "cancel"}}
	}
	switch w.wizard.Step() {
	case onboarding.StepTenant:
		return []ui.Key{{Keys: "←→", Does: "choose"}, {Keys: "enter", Does: "next"}, {Keys: "esc", Does: "cancel"}}
	case onboarding.StepReview:
		return w.scrolled(ui.Key{Keys: "enter", Does: "create it"}, ui.Key{Keys: "esc", Does: "back"})
	case onboarding.StepProgress:
		return []ui.Key{{Keys: "ctrl-c", Does: "quit"}}
	case onboarding.StepResult:
		return w.scrolled(
			ui.Key{Keys: "c", Does: "copy command"}, ui.Key{Keys: "p", Does: "copy path"},
			ui.Key{Keys: "s", Does: "add its first source", Off: w.options.AddSource == nil}, ui.Key{Keys: "esc", Does: "done"},
		)
	}
	return []ui.Key{{Keys: "tab", Does: "field"}, {Keys: "enter", Does: "next"}, {Keys: "esc", Does: "back"}}
}

// scrolled are keys with that for scrolling, where there is something to scroll.
func (w *Wizard) scrolled(keys ...ui.Key) []ui.Key {
	if w.most > 0 {
		return append([]ui.Key{{Keys: "↑↓", Does: "scroll"}}, keys...)
	}
	return keys
}

// scroll moves what has no room; false for any other message.
func (w *Wizard) scroll(msg tea.Msg) bool {
	switch msg := msg.(type) {
	case ui.WheelMsg:
		w.offset += msg.Lines
	case tea.KeyPressMsg:
		switch msg.String() {
		case "up", "k":
			w.offset--
		case "down", "j":
			w.offset++
		default:
			return false
		}
	default:
		return false
	}
	w.err = ""
	w.offset = max(min(w.offset, w.most), 0)
	return true
}

// Update implements ui.Dialog.
func (w *Wizard) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case ui.LiveMsg, ui.ShownMsg:
		w.begin()
		return nil
	case checkedMsg:
		if msg.wizard == w && msg.addr == w.checked {
			w.checking, w.problem = false, ""
			if msg.err != nil {
				w.problem = ui.ErrorText(msg.err)
			}
		}
		return nil
	case doneMsg:
		if msg.wizard == w {
			return w.finish(msg)
		}
		return nil
	}
	if w.wizard == nil {
		return nil
	}
	if w.wizard.Step() >= onboarding.StepReview && w.scroll(msg) {
		return nil
	}
	switch w.wizard.Step() {
	case onboarding.StepReview:
		if key, ok := msg.(tea.KeyPressMsg); ok && key.String() == "enter" {
			return w.next()
		}
		return nil
	case onboarding.StepProgress:
		return nil
	case onboarding.StepResult:
		return w.result(msg)
	}
	before, badLife := w.wizard.Answers, w.badLife
	submit := w.form.Update(msg)
	w.arrange()
	w.take()
	if w.wizard.Answers != before || w.badLife != badLife {
		w.err = "" // It was about another answer.
	}
	if submit {
		return w.next()
	}
	return nil
}

// next goes on; from the review on it is carried out.
func (w *Wizard) next() tea.Cmd {
	if w.badLife != "" {
		w.refuse(fmt.Sprintf("token life %q: want a duration such as 2h", w.badLife))
		return nil
	}
	if err := w.wizard.Next(); err != nil {
		w.refuse(err.Error())
		return nil
	}
	w.ask()
	switch w.wizard.Step() {
	case onboarding.StepMode, onboarding.StepReview:
		return w.check()
	case onboarding.StepProgress:
		answers := w.wizard.Answers
		return w.env.Do(func(ctx context.Context) tea.Msg {
			done, err := onboarding.Onboard(ctx, w.env.Client, answers)
			return doneMsg{w, done, err}
		})
	}
	return nil
}

// refuse says why the answers will not do, and goes to the one that it begins with.
func (w *Wizard) refuse(why string) {
	w.err = ui.Clean(why)
	if w.form == nil {
		return
	}
	for i, field := range w.form.Fields {
		if called := map[string]string{"out": "directory", "ttl": "token life"}[field.Name]; strings.HasPrefix(why, cmp.Or(called, field.Name+":")) {
			w.form.Focus(i)
		}
	}
}

// check looks whether the platform's gateway answers at the address. One that did
// not is looked at again.
func (w *Wizard) check() tea.Cmd {
	addr := w.wizard.GatewayAddr
	if addr == w.checked && w.problem == "" {
		return nil
	}
	w.checked, w.checking, w.problem = addr, true, ""
	platform := w.env.Live.Platform
	return w.env.Do(func(ctx context.Context) tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, checkPatience)
		defer cancel()
		return checkedMsg{w, addr, onboarding.CheckGateway(ctx, addr, platform.GetGatewayServerName(), platform.GetRootPem())}
	})
}

func (w *Wizard) finish(msg doneMsg) tea.Cmd {
	w.wizard.Finish(msg.done, msg.err)
	if msg.err != nil {
		w.err = ui.ErrorText(msg.err)
		return nil
	}
	if w.options.Done != nil {
		w.options.Done(msg.done)
	}
	return nil
}

func (w *Wizard) result(msg tea.Msg) tea.Cmd {
	key, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	done := w.wizard.Result()
	switch key.String() {
	case "c":
		return tea.Batch(tea.SetClipboard(done.InstallCommand), ui.Toast("the install command is on the clipboard, if this terminal allows it"))
	case "p":
		return tea.Batch(tea.SetClipboard(done.Path), ui.Toast("the path is on the clipboard, if this terminal allows it"))
	case "s":
		if w.options.AddSource != nil {
			service := done.Service
			return w.env.Close(w, w.env.Open(w.options.AddSource(w.env, service.GetTenant(), service.GetId())))
		}
	case "enter":
		return w.env.Close(w, nil)
	}
	return nil
}

// service is what was created, as the platform sees it now.
func (w *Wizard) service() *adminv1.SyncService {
	return w.env.Live.Service(w.wizard.Result().Service.GetId())
}
