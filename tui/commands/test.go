package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// Test is a dialog of what a test of a source found.
type Test struct {
	env    *ui.Env
	name   string
	draft  bool
	began  time.Time
	answer *adminv1.TestSourceResponse
	err    string
	stop   context.CancelFunc
}

type testedMsg struct {
	dialog *Test
	answer *adminv1.TestSourceResponse
	err    error
}

// NewTest tests a source where it runs: one that is saved, or with a spec in the
// request what is to be saved.
func NewTest(env *ui.Env, name string, request *adminv1.TestSourceRequest) tea.Cmd {
	wanted, stop := context.WithCancel(context.Background())
	d := &Test{env: env, name: name, draft: request.GetSpec() != nil, began: env.Now(), stop: stop}
	return env.OpenAnd(d, env.Do(func(ctx context.Context) tea.Msg {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(wanted, cancel)()
		answer, err := env.Client.TestSource(ctx, request)
		return testedMsg{d, answer, err}
	}))
}

// Title implements ui.Dialog.
func (d *Test) Title() string {
	if d.draft {
		return "Test of source " + d.name + ", not saved yet"
	}
	return "Test of source " + d.name
}

// Keys implements ui.Dialog.
func (d *Test) Keys() []ui.Key { return []ui.Key{{Keys: "esc", Does: "close"}} }

// Escape implements ui.Dialog.
func (d *Test) Escape() bool {
	d.stop()
	return true
}

// Update implements ui.Dialog.
func (d *Test) Update(msg tea.Msg) tea.Cmd {
	if key, ok := msg.(tea.KeyPressMsg); ok && (key.String() == "enter" || key.String() == "q") {
		d.stop()
		return d.env.Close(d, nil)
	}
	if tested, ok := msg.(testedMsg); ok && tested.dialog == d {
		if d.answer = tested.answer; tested.err != nil {
			d.err = ui.ErrorText(tested.err)
		}
	}
	return nil
}

// View implements ui.Dialog.
func (d *Test) View(width, _ int) string {
	s := &d.env.Styles
	var lines []string
	bad := func(text string) {
		for _, line := range ui.Wrap("✗ "+text, width) {
			lines = append(lines, s.Bad.Render(line))
		}
	}
	switch {
	case d.err != "":
		bad(d.err)
		if d.draft {
			lines = append(lines, "", "It was not tested. It can be saved all the same: close this, and ctrl+s.")
		}
	case d.answer == nil:
		return s.Dim.Render("The sync service reads a little of it … " + ui.Age(d.env.Now().Sub(d.began)))
	case !d.answer.GetOk():
		bad(ui.Clean(d.answer.GetReason() + ": " + d.answer.GetMessage()))
	default:
		lines = d.found(width)
	}
	return strings.Join(lines, "\n")
}

// found is what a source that answers holds.
func (d *Test) found(width int) []string {
	s := &d.env.Styles
	head := s.Good.Render(fmt.Sprintf("✓ it answers, in %d ms", d.answer.GetTook().AsDuration().Milliseconds()))
	if d.answer.GetTotal() >= 0 {
		head += "  " + s.Bold.Render(ui.Plural(d.answer.GetTotal(), "device"))
	}
	lines := []string{head}
	if text := d.answer.GetMessage(); text != "" {
		lines = append(lines, ui.Wrap(ui.Clean(text), width)...)
	}
	lines = append(lines, "")
	for _, sample := range d.answer.GetSamples() {
		kind := strings.TrimSpace(sample.GetManufacturer() + " " + sample.GetModel())
		if kind == "" {
			kind = sample.GetDeviceType()
		}
		name := sample.GetHostname()
		if name == "" {
			name = sample.GetNativeId()
		}
		lines = append(lines, ui.Cut(ui.Fit(ui.Clean(name), 22)+" "+ui.Fit(ui.Clean(sample.GetIp()), 15)+" "+
			ui.Fit(ui.Clean(sample.GetMac()), 17)+" "+ui.Clean(kind), width))
	}
	return lines
}
