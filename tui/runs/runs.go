// Package runs is the log of runs of a source or a sync service: the latest
// first, those under way among them, read again as the platform moves on.
package runs

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

const (
	// shown is how many runs are read.
	shown = 50
	// rest is the least time between two readings.
	rest = time.Second
)

// Log is the log of what a request names.
type Log struct {
	env     *ui.Env
	request *adminv1.ListRunsRequest
	// moved is a number that changes when there may be something new.
	moved func() int64

	runs    []*adminv1.Run
	err     string
	ready   bool
	loading bool
	asked   time.Time
	seen    int64
}

type readMsg struct {
	log  *Log
	runs []*adminv1.Run
	err  error
}

// New makes a log. moved is asked whether there may be something new.
func New(env *ui.Env, request *adminv1.ListRunsRequest, moved func() int64) *Log {
	request.Limit = shown
	return &Log{env: env, request: request, moved: moved}
}

// Update reads the runs when they may have changed, and takes what was read.
func (l *Log) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case readMsg:
		if msg.log != l {
			return nil
		}
		l.loading, l.ready = false, true
		if l.err = ""; msg.err != nil {
			l.err = ui.ErrorText(msg.err)
			return nil
		}
		l.runs = msg.runs
	case ui.ShownMsg, ui.LiveMsg, ui.TickMsg:
		return l.read()
	}
	return nil
}

func (l *Log) read() tea.Cmd {
	if moved := l.moved(); l.loading || l.ready && (moved == l.seen || l.env.Now().Sub(l.asked) < rest) {
		return nil
	}
	l.loading, l.asked, l.seen = true, l.env.Now(), l.moved()
	return l.env.Do(func(ctx context.Context) tea.Msg {
		answer, err := l.env.Client.ListRuns(ctx, l.request)
		return readMsg{l, answer.GetRuns(), err}
	})
}

// Lines are the runs, each on one line and what went wrong below it. Named also
// says which source's each is.
func (l *Log) Lines(width int, named bool) []string {
	s := &l.env.Styles
	switch {
	case l.err != "":
		return []string{s.Bad.Render(ui.Cut("✗ "+l.err, width))}
	case !l.ready:
		return []string{s.Dim.Render("Reading the runs …")}
	case len(l.runs) == 0:
		return []string{s.Dim.Render("none yet")}
	}
	var lines []string
	for _, run := range l.runs {
		lines = append(lines, l.line(run, width, named))
		if text := run.GetError(); text != "" {
			lines = append(lines, s.Bad.Render(ui.Cut("         "+ui.Clean(text), width)))
		}
	}
	return lines
}

func (l *Log) line(run *adminv1.Run, width int, named bool) string {
	s, now := &l.env.Styles, l.env.Now()
	result, devices := run.GetResult(), run.GetDevices()
	took := run.GetFinishedAt().AsTime().Sub(run.GetStartedAt().AsTime())
	if run.GetFinishedAt() == nil {
		result, devices, took = "running", run.GetReceived(), now.Sub(run.GetStartedAt().AsTime())
	}
	name := ""
	if named {
		name = ui.Fit(ui.Clean(run.GetTenant()+"/"+run.GetSource()), max(min(width-54, 30), 10)) + " "
	}
	text := ui.Stamp(run.GetStartedAt(), now) + " " + s.State(result).Render(ui.Mark(result)+" "+ui.Fit(result, 8)) + " " + name +
		ui.Fit(ui.Plural(devices, "device"), 17) + " " + ui.Fit(seconds(took), 7)
	if n := run.GetRetracted() + run.GetDeleted(); n > 0 {
		text += s.Warn.Render(" " + ui.Count(n) + " gone")
	}
	if n := run.GetRefused(); n > 0 {
		text += s.Warn.Render(" " + ui.Count(n) + " refused")
	}
	return ui.Cut(text, width)
}

// seconds is how long a run took.
func seconds(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
