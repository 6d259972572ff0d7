package demo

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/syncrun"
)

const (
	// frame is how often the bars are drawn again on a terminal, line how often
	// a line is written where there is none.
	frame = 100 * time.Millisecond
	line  = 3 * time.Second
	// barWidth leaves room for the words in 80 columns.
	barWidth = 20
)

// row is one source's way from its system to the platform.
type row struct {
	tenant, source string
	expected       int
	found, stored  int64
	started, ended time.Time
	result, detail string
}

// seconds is how long the run took so far.
func (r row) seconds(now time.Time) float64 {
	switch {
	case r.started.IsZero():
		return 0
	case r.ended.IsZero():
		return now.Sub(r.started).Seconds()
	}
	return r.ended.Sub(r.started).Seconds()
}

// board is what the sync runtimes tell of, drawn while they go on.
type board struct {
	streams *cmdutil.IOStreams
	now     func() time.Time

	mu   sync.Mutex
	rows []*row
	// drawn is how many lines of bars stand on the terminal.
	drawn int
}

// expect adds a source before its run.
func (b *board) expect(tenant, source string, devices int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, &row{tenant: tenant, source: source, expected: devices})
}

// observe is the listener of one tenant's runtime.
func (b *board) observe(tenant string) func(syncrun.Event) {
	return func(event syncrun.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, r := range b.rows {
			if r.tenant == tenant && r.source == event.Source {
				r.take(event)
			}
		}
	}
}

func (r *row) take(event syncrun.Event) {
	switch event.Kind {
	case syncrun.RunStarted:
		r.started = event.Time
	case syncrun.Discovered, syncrun.Spooled:
		r.found = event.Devices
	case syncrun.Sent:
		r.stored = event.Sent
	case syncrun.RunEnded:
		r.ended, r.result, r.detail = event.Time, event.Result, event.Detail
		r.found, r.stored = event.Devices, event.Acknowledged
	}
}

// snapshot copies the rows.
func (b *board) snapshot() []row {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := make([]row, len(b.rows))
	for i, r := range b.rows {
		rows[i] = *r
	}
	return rows
}

// draw shows progress until done is closed: bars on a terminal, else a line
// every few seconds.
func (b *board) draw(done <-chan struct{}) {
	every := line
	if b.streams.ErrTerminal {
		every = frame
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			b.show()
		case <-done:
			if b.streams.ErrTerminal {
				b.show()
			}
			return
		}
	}
}

func (b *board) show() {
	rows, now := b.snapshot(), b.now()
	if !b.streams.ErrTerminal {
		var found, stored int64
		expected, ended := 0, 0
		for _, r := range rows {
			found, stored, expected = found+r.found, stored+r.stored, expected+r.expected
			if !r.ended.IsZero() {
				ended++
			}
		}
		b.streams.Tellf("%d of %d sources done, %d of %d devices read, %d stored", ended, len(rows), found, expected, stored)
		return
	}
	var text strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", b.drawn)
	}
	for _, r := range rows {
		fmt.Fprintf(&text, "\r\x1b[2K%s\n", r.bar(now))
	}
	b.drawn = len(rows)
	fmt.Fprint(b.streams.Err, text.String())
}

// bar is one line: half of it fills while the source is read, half while the
// platform stores.
func (r row) bar(now time.Time) string {
	share := 0.0
	if r.expected > 0 {
		share = float64(r.found+r.stored) / float64(2*r.expected)
	}
	if !r.ended.IsZero() {
		share = 1
	}
	full := min(int(share*barWidth), barWidth)
	state := "waiting"
	switch {
	case r.result != "":
		state = r.result
	case r.stored > 0:
		state = fmt.Sprintf("storing %d", r.stored)
	case !r.started.IsZero():
		state = fmt.Sprintf("reading %d", r.found)
	}
	rate := 0.0
	if s := r.seconds(now); s > 0 {
		rate = float64(max(r.stored, r.found)) / s
	}
	return fmt.Sprintf("%-18s %s%s %7d  %-14s %6.0f/s", r.tenant+"/"+r.source, strings.Repeat("█", full),
		strings.Repeat("░", barWidth-full), r.expected, state, rate)
}
