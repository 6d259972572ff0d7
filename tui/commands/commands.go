// Package commands shows what is asked of connected sync services while it is
// under way: a sync that runs at once, and a test of a source.
package commands

import (
	"context"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// Sync is a dialog that follows a sync until all its sources are done. Closing
// it does not end the sync.
type Sync struct {
	env     *ui.Env
	heading string
	last    *adminv1.SyncNowProgress
	sources []*adminv1.SyncedSource
	err     string
	stop    context.CancelFunc
}

// next waits for the next message of a stream.
type progressMsg struct {
	dialog   *Sync
	progress *adminv1.SyncNowProgress
	err      error
	next     tea.Cmd
}

// NewSync asks for a sync and opens the dialog that follows it.
func NewSync(env *ui.Env, heading string, request *adminv1.SyncNowRequest) tea.Cmd {
	following, stop := context.WithCancel(context.Background())
	d := &Sync{env: env, heading: heading, stop: stop}
	begin := env.Do(func(ctx context.Context) tea.Msg {
		ctx, cancel := context.WithCancel(ctx)
		context.AfterFunc(following, cancel)
		stream, err := env.Client.SyncNow(ctx, request)
		if err != nil {
			return progressMsg{dialog: d, err: err}
		}
		var next tea.Cmd
		next = func() tea.Msg {
			progress, err := stream.Recv()
			return progressMsg{d, progress, err, next}
		}
		return next()
	})
	return tea.Batch(ui.Open(d), begin)
}

// Title implements ui.Dialog.
func (d *Sync) Title() string { return d.heading }

// Keys implements ui.Dialog.
func (d *Sync) Keys() []ui.Key { return []ui.Key{{Keys: "esc", Does: "close; the sync goes on"}} }

// Escape implements ui.Dialog.
func (d *Sync) Escape() bool {
	d.stop()
	return true
}

// Update implements ui.Dialog.
func (d *Sync) Update(msg tea.Msg) tea.Cmd {
	progress, ok := msg.(progressMsg)
	if !ok || progress.dialog != d {
		return nil
	}
	if progress.err != nil {
		if d.last == nil || !d.last.GetFinished() {
			d.err = ui.ErrorText(progress.err)
		}
		d.stop()
		return nil
	}
	d.last = progress.progress
	for _, source := range progress.progress.GetSources() {
		d.take(source)
	}
	if d.last.GetFinished() {
		d.stop()
		return nil
	}
	return progress.next
}

func (d *Sync) take(source *adminv1.SyncedSource) {
	for i, known := range d.sources {
		if known.GetSourceId() == source.GetSourceId() {
			d.sources[i] = source
			return
		}
	}
	d.sources = append(d.sources, source)
}

// View implements ui.Dialog.
func (d *Sync) View(width, _ int) string {
	s := &d.env.Styles
	if d.err != "" {
		return s.Bad.Render(strings.Join(ui.Wrap("✗ "+d.err, width), "\n"))
	}
	if d.last == nil {
		return s.Dim.Render("Asking the sync service …")
	}
	done, total := d.last.GetDone(), max(d.last.GetTotal(), 1)
	room := max(width-34, 10)
	full := int(done) * room / int(total)
	lines := []string{fmt.Sprintf("%s%s  %d of %d sources, %s",
		s.Accent.Render(strings.Repeat("█", full)), s.Dim.Render(strings.Repeat("░", room-full)), done, d.last.GetTotal(), ui.Plural(d.last.GetAcknowledged(), "device")), ""}
	for _, source := range d.sources {
		state := source.GetState()
		if source.GetResult() != "" {
			state = source.GetResult()
		}
		lines = append(lines, s.State(state).Render(ui.Mark(state)+" "+ui.Fit(state, 9))+" "+
			ui.Fit(ui.Clean(source.GetName()), max(width-40, 8))+" "+ui.Count(source.GetAcknowledged())+" of "+ui.Count(source.GetDevices()))
		if source.GetError() != "" {
			lines = append(lines, s.Bad.Render("  "+ui.Cut(ui.Clean(source.GetError()), width-2)))
		}
	}
	if d.last.GetFinished() {
		lines = append(lines, "", s.Good.Render("✓ done"))
	}
	return strings.Join(lines, "\n")
}

// Test is a dialog of what a test of a source found.
type Test struct {
	env    *ui.Env
	name   string
	answer *adminv1.TestSourceResponse
	err    string
}

type testedMsg struct {
	dialog *Test
	answer *adminv1.TestSourceResponse
	err    error
}

// NewTest tests a source where it runs.
func NewTest(env *ui.Env, source *adminv1.Source) tea.Cmd {
	d := &Test{env: env, name: source.GetSpec().GetName()}
	return tea.Batch(ui.Open(d), env.Do(func(ctx context.Context) tea.Msg {
		answer, err := env.Client.TestSource(ctx, &adminv1.TestSourceRequest{Tenant: source.GetTenant(), Source: source.GetId()})
		return testedMsg{d, answer, err}
	}))
}

// Title implements ui.Dialog.
func (d *Test) Title() string { return "Test of source " + d.name }

// Keys implements ui.Dialog.
func (d *Test) Keys() []ui.Key { return []ui.Key{{Keys: "esc", Does: "close"}} }

// Escape implements ui.Dialog.
func (d *Test) Escape() bool { return true }

// Update implements ui.Dialog.
func (d *Test) Update(msg tea.Msg) tea.Cmd {
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
	switch {
	case d.err != "":
		return s.Bad.Render(strings.Join(ui.Wrap("✗ "+d.err, width), "\n"))
	case d.answer == nil:
		return s.Dim.Render("The sync service reads a little of it …")
	case !d.answer.GetOk():
		return s.Bad.Render(strings.Join(ui.Wrap("✗ "+ui.Clean(d.answer.GetReason()+": "+d.answer.GetMessage()), width), "\n"))
	}
	took := d.answer.GetTook().AsDuration().Milliseconds()
	lines := []string{s.Good.Render(fmt.Sprintf("✓ it answers, in %d ms", took))}
	if d.answer.GetTotal() >= 0 {
		lines[0] += "  " + s.Bold.Render(ui.Plural(d.answer.GetTotal(), "device"))
	}
	lines = append(lines, "")
	for _, sample := range d.answer.GetSamples() {
		lines = append(lines, ui.Fit(ui.Clean(sample.GetHostname()), 24)+" "+ui.Fit(ui.Clean(sample.GetIp()), 15)+" "+ui.Cut(ui.Clean(sample.GetMac()), width-41))
	}
	return strings.Join(lines, "\n")
}
