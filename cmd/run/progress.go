package run

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/syncrun"
)

const (
	// frame is how often progress is drawn, maxLines how many sources are shown.
	frame    = 200 * time.Millisecond
	maxLines = 20
)

// progress draws what the runtime does on a terminal: a line for each source
// that was at work last, and one for all. What is logged meanwhile stands above.
type progress struct {
	out io.Writer
	now func() time.Time

	mu      sync.Mutex
	sources map[string]*line
	gateway string
	outbox  string
	dirty   bool
	drawn   int
}

// line is one source.
type line struct {
	name                 string
	state, detail        string
	found, sent, total   int64
	started, ended, last time.Time
}

func newProgress(out io.Writer, now func() time.Time) *progress {
	return &progress{out: out, now: now, sources: map[string]*line{}, gateway: "connecting"}
}

func (p *progress) observe(e syncrun.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dirty = true
	switch e.Kind {
	case syncrun.Connected:
		p.gateway = "connected"
	case syncrun.Disconnected:
		p.gateway = "away (" + e.Detail + ")"
	case syncrun.Configured:
		p.configure(e.Sources)
	case syncrun.OutboxFull:
		p.outbox = "outbox is full, no source is read"
	case syncrun.OutboxRoom:
		p.outbox = ""
	default:
		if l := p.sources[e.Source]; l != nil {
			l.take(e)
		}
	}
}

func (p *progress) configure(list []syncrun.ConfiguredSource) {
	sources := make(map[string]*line, len(list))
	for _, s := range list {
		name := s.Source
		if s.Tenant != "" && !strings.HasPrefix(name, s.Tenant+"/") {
			name = s.Tenant + "/" + name
		}
		l := p.sources[s.Source]
		if l == nil {
			l = &line{state: "waiting"}
		}
		l.name = name
		sources[s.Source] = l
	}
	p.sources = sources
}

func (l *line) take(e syncrun.Event) {
	l.last = e.Time
	switch e.Kind {
	case syncrun.RunStarted:
		*l = line{name: l.name, state: "reading", total: e.Total, started: e.Time, last: e.Time}
	case syncrun.Discovered:
		l.found = e.Devices
	case syncrun.Spooled:
		l.state, l.found = "queued", e.Devices
	case syncrun.Sent:
		l.state, l.sent = "sending", e.Sent
	case syncrun.Retrying:
		l.state, l.detail = "retrying in "+e.Delay.Round(time.Second).String(), e.Detail
	case syncrun.RunEnded:
		l.state, l.detail, l.found, l.sent, l.ended = e.Result, e.Detail, e.Devices, e.Acknowledged, e.Time
	}
}

// draw shows progress until ctx ends.
func (p *progress) draw(ctx context.Context) {
	ticks := time.NewTicker(frame)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			p.show()
		case <-ctx.Done():
			p.show()
			return
		}
	}
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dirty {
		p.dirty = false
		p.redraw(nil)
	}
}

// Write puts a line of the log above what is drawn.
func (p *progress) Write(log []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.redraw(log)
	return len(log), nil
}

func (p *progress) redraw(above []byte) {
	var text bytes.Buffer
	if p.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\r\x1b[J", p.drawn)
	}
	text.Write(above)
	lines := p.lines()
	for _, l := range lines {
		text.WriteString(l + "\n")
	}
	p.drawn = len(lines)
	_, _ = p.out.Write(text.Bytes())
}

// lines are the sources at work last, in order of their names, below the state
// of all.
func (p *progress) lines() []string {
	busy, failing := 0, 0
	list := make([]*line, 0, len(p.sources))
	for _, l := range p.sources {
		list = append(list, l)
		switch {
		case !l.started.IsZero() && l.ended.IsZero():
			busy++
		case l.state != "success" && l.state != "waiting":
			failing++
		}
	}
	slices.SortFunc(list, func(a, b *line) int { return cmp.Or(b.last.Compare(a.last), cmp.Compare(a.name, b.name)) })
	shown := list[:min(len(list), maxLines)]
	slices.SortFunc(shown, func(a, b *line) int { return cmp.Compare(a.name, b.name) })
	head := fmt.Sprintf("gateway %s · %d sources, %d at work, %d failing", p.gateway, len(list), busy, failing)
	if p.outbox != "" {
		head += " · " + p.outbox
	}
	lines := []string{fit(head)}
	for _, l := range shown {
		lines = append(lines, fit(l.text(p.now())))
	}
	return lines
}

func (l *line) text(now time.Time) string {
	took := ""
	if !l.started.IsZero() {
		end := l.ended
		if end.IsZero() {
			end = now
		}
		took = end.Sub(l.started).Round(100 * time.Millisecond).String()
	}
	return fmt.Sprintf("  %-28s %-18s %9d read %9d stored %8s  %s", l.name, l.state, l.found, l.sent, took, l.detail)
}

// fit keeps a line within the width that every terminal has, and outside text
// from moving its cursor.
func fit(text string) string {
	const width = 118
	runes := []rune(cmdutil.Neutralise(text))
	if len(runes) > width {
		runes = append(runes[:width-1], '…')
	}
	return strings.TrimRight(string(runes), " ")
}
