package cmdutil

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// progressFrame is how often bars are drawn, progressPause how often a line is
	// written where there is no terminal. Both begin later, so that what is soon
	// done says nothing.
	progressFrame = 100 * time.Millisecond
	progressPause = 5 * time.Second
	// progressLook is how often it is looked how far work has come, without one.
	progressLook = time.Second
	// progressQuiet is how long work goes on before bars appear.
	progressQuiet = 400 * time.Millisecond
	// rateWindow is what a rate is the mean of.
	rateWindow = 8 * time.Second
)

// Progress tells on the error stream how far long work has come: bars with rate
// and time left on a terminal, a line every few seconds without one. Its methods
// may be called from everywhere, and on nil do nothing.
type Progress struct {
	streams *IOStreams
	now     func() time.Time
	what    string

	mu     sync.Mutex
	began  time.Time
	tasks  []*Task
	head   string
	drawn  int
	told   time.Time
	ending sync.Once
	stop   chan struct{}
	done   chan struct{}
}

// Task is one part of the work.
type Task struct {
	progress *Progress
	name     string
	unit     string
	phase    string
	note     string
	done     int64
	total    int64
	began    time.Time
	moved    time.Time
	ended    bool
	samples  []sample
}

// sample is how far a task had come at a time.
type sample struct {
	at   time.Time
	done int64
}

// StartProgress begins to tell of work. What names it where there is no
// terminal: "copy store". End must be called.
func StartProgress(f *Factory, what string) *Progress {
	p := newProgress(f.IO, f.Now, what)
	go p.run()
	return p
}

// Working tells that work goes on of which nothing can be counted.
func Working(f *Factory, what string, work func() error) error {
	p := StartProgress(f, what)
	defer p.End()
	p.Task(what, "", 0)
	return work()
}

func newProgress(streams *IOStreams, now func() time.Time, what string) *Progress {
	began := now()
	return &Progress{
		streams: streams, now: now, what: what, began: began, told: began,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Task adds a part of the work: its name, what is counted, such as "device", and
// how many of it there are, or 0 while that is not known.
func (p *Progress) Task(name, unit string, total int64) *Task {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &Task{progress: p, name: name, unit: unit, total: total, began: p.now(), moved: p.now()}
	p.tasks = append(p.tasks, t)
	return t
}

// Head is a line above the bars.
func (p *Progress) Head(text string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.head = text
}

// Remove takes a task away.
func (p *Progress) Remove(t *Task) {
	if p == nil || t == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks = slices.DeleteFunc(p.tasks, func(one *Task) bool { return one == t })
}

// edit changes a task under the lock.
func (t *Task) edit(change func()) {
	if t == nil {
		return
	}
	t.progress.mu.Lock()
	defer t.progress.mu.Unlock()
	t.moved = t.progress.now()
	change()
}

// Begin starts a phase of the task, such as "reading": it is counted from none
// again.
func (t *Task) Begin(phase string, total int64) {
	t.edit(func() {
		t.phase, t.total, t.done, t.note, t.ended = phase, total, 0, "", false
		t.began, t.samples = t.moved, nil
	})
}

// Set says how much is done.
func (t *Task) Set(done int64) { t.edit(func() { t.done = done }) }

// Add says how much more is done.
func (t *Task) Add(more int64) { t.edit(func() { t.done += more }) }

// Expect says how much there is in all.
func (t *Task) Expect(total int64) { t.edit(func() { t.total = total }) }

// Note adds a word of what is special now; empty takes it away.
func (t *Task) Note(text string) { t.edit(func() { t.note = text }) }

// End ends the task, with a word for how.
func (t *Task) End(result, note string) {
	t.edit(func() { t.phase, t.note, t.ended = result, note, true })
}

// Write puts lines above what is drawn, such as those of a log.
func (p *Progress) Write(lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.bars() {
		return p.streams.Err.Write(lines)
	}
	p.redraw(lines)
	return len(lines), nil
}

// End takes the bars away and ends the telling. Keep leaves them as they are.
func (p *Progress) End() { p.finish(false) }

// Keep ends the telling and leaves what was told last.
func (p *Progress) Keep() { p.finish(true) }

func (p *Progress) finish(keep bool) {
	if p == nil {
		return
	}
	p.ending.Do(func() {
		close(p.stop)
		<-p.done
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case keep && p.bars():
			p.redraw(nil)
		case p.drawn > 0:
			fmt.Fprintf(p.streams.Err, "\x1b[%dA\r\x1b[J", p.drawn)
			p.drawn = 0
		}
	})
}

// bars tells whether lines can be written over.
func (p *Progress) bars() bool { return p.streams.ErrTerminal && !p.streams.Dumb }

func (p *Progress) run() {
	defer close(p.done)
	every := progressFrame
	if !p.bars() {
		every = progressLook
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticks.C:
			p.tick()
		}
	}
}

// tick tells how far it has come.
func (p *Progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, t := range p.tasks {
		t.take(now)
	}
	switch {
	case !p.bars() && now.Sub(p.told) >= progressPause:
		p.told = now
		fmt.Fprintln(p.streams.Err, Neutralise(p.line(now)))
	case !p.bars():
	case now.Sub(p.began) >= progressQuiet:
		p.redraw(nil)
	}
}

// take keeps a sample of a task.
func (t *Task) take(now time.Time) {
	if t.ended {
		return
	}
	t.samples = append(t.samples, sample{now, t.done})
	for len(t.samples) > 2 && now.Sub(t.samples[0].at) > rateWindow {
		t.samples = t.samples[1:]
	}
}

// rate is how much is done in a second now, and of what has ended in the mean.
func (t *Task) rate() float64 {
	if t.ended {
		if took := t.moved.Sub(t.began).Seconds(); took > 0 {
			return float64(t.done) / took
		}
		return 0
	}
	if len(t.samples) < 2 {
		return 0
	}
	first, last := t.samples[0], t.samples[len(t.samples)-1]
	return max(float64(last.done-first.done)/last.at.Sub(first.at).Seconds(), 0)
}

// left is how long the rest of a task takes at its rate; false where nothing can
// be said.
func (t *Task) left() (time.Duration, bool) {
	rate := t.rate()
	if t.ended || t.total <= 0 || rate <= 0 || t.done > t.total {
		return 0, false
	}
	return time.Duration(float64(t.total-t.done) / rate * float64(time.Second)), true
}

// redraw writes over what was drawn, with lines that stay above it.
func (p *Progress) redraw(above []byte) {
	var text strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\r\x1b[J", p.drawn)
	}
	text.Write(above)
	lines := p.lines(p.streams.width()-1, p.now())
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	p.drawn = len(lines)
	_, _ = fmt.Fprint(p.streams.Err, text.String())
}
