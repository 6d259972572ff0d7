package demo

import (
	"sync"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/syncrun"
)

// row is one source's way from its system to the platform.
type row struct {
	tenant, source string
	task           *cmdutil.Task
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

// board is what the sync runtimes tell of.
type board struct {
	mu   sync.Mutex
	rows []*row
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
		r.task.Begin("reading", int64(r.expected))
	case syncrun.Discovered, syncrun.Spooled:
		r.found = event.Devices
		r.task.Set(r.found)
	case syncrun.Sent:
		if r.stored == 0 {
			r.task.Begin("storing", r.found)
		}
		r.stored = event.Sent
		r.task.Set(r.stored)
	case syncrun.Retrying:
		r.stored = 0
		r.task.Begin("waiting", r.found)
		r.task.Note(event.Detail)
	case syncrun.RunEnded:
		r.ended, r.result, r.detail = event.Time, event.Result, event.Detail
		r.found, r.stored = event.Devices, event.Acknowledged
		r.task.Set(r.stored)
		r.task.End(r.result, r.detail)
	}
}

// show draws the rows from now on.
func (b *board) show(p *cmdutil.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.rows {
		r.task = p.Task(r.tenant+"/"+r.source, "device", int64(r.expected))
		r.task.Begin("waiting", int64(r.expected))
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
