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
	return env.OpenAnd(d, begin)
}

// Title implements ui.Dialog.
func (d *Sync) Title() string { return d.heading }

// Keys implements ui.Dialog.
func (d *Sync) Keys() []ui.Key {
	if d.err != "" || d.last.GetFinished() {
		return []ui.Key{{Keys: "esc", Does: "close"}}
	}
	return []ui.Key{{Keys: "esc", Does: "close; the sync goes on"}}
}

// Escape implements ui.Dialog.
func (d *Sync) Escape() bool {
	d.stop()
	return true
}

// Update implements ui.Dialog.
func (d *Sync) Update(msg tea.Msg) tea.Cmd {
	if key, ok := msg.(tea.KeyPressMsg); ok && (key.String() == "enter" || key.String() == "q") {
		d.stop()
		return d.env.Close(d, nil)
	}
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
	total := max(d.last.GetTotal(), 1)
	room := max(min(width-20, 40), 10)
	full := int(d.last.GetDone()) * room / int(total)
	lines := []string{
		s.Accent.Render(strings.Repeat("█", full)) + s.Dim.Render(strings.Repeat("░", room-full)) +
			fmt.Sprintf("  %d of %s", d.last.GetDone(), ui.Plural(int64(d.last.GetTotal()), "source")),
		ui.Count(d.last.GetDevices()) + " found, " + ui.Plural(d.last.GetAcknowledged(), "update") + " stored", "",
	}
	for _, source := range d.sources {
		state := source.GetState()
		if source.GetResult() != "" {
			state = source.GetResult()
		}
		lines = append(lines, s.State(state).Render(ui.Mark(state)+" "+ui.Fit(state, 9))+" "+
			ui.Fit(ui.Clean(source.GetName()), max(width-44, 8))+" "+ui.Count(source.GetAcknowledged())+" of "+ui.Count(source.GetDevices()))
		if source.GetError() != "" {
			lines = append(lines, s.Bad.Render("  "+ui.Cut(ui.Clean(source.GetError()), width-2)))
		}
	}
	switch {
	case d.last.GetFinished() && d.last.GetFailed() > 0:
		lines = append(lines, "", s.Bad.Render("✗ "+ui.Plural(int64(d.last.GetFailed()), "source")+" did not come over whole"))
	case d.last.GetFinished():
		lines = append(lines, "", s.Good.Render("✓ done"))
	}
	return strings.Join(lines, "\n")
}
