package run

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/proto/shell"
	"edgesync/syncrun"
)

// board shows what the runtime does: a bar for each source that was at work
// last, below the state of all. What is logged meanwhile stands above.
type board struct {
	*cmdutil.Progress

	mu      sync.Mutex
	sources map[string]*tracked
	gateway string
	outbox  string
}

// tracked is one source.
type tracked struct {
	task *cmdutil.Task
	busy bool
	// sending is whether its phase is that.
	sending bool
	failing bool
	found   int64
}

func newBoard(f *cmdutil.Factory) *board {
	b := &board{Progress: cmdutil.StartProgress(f, "sync"), sources: map[string]*tracked{}, gateway: "connecting"}
	b.head()
	return b
}

func (b *board) observe(e syncrun.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Kind {
	case syncrun.Connected:
		b.gateway = "connected"
	case syncrun.Disconnected:
		b.gateway = "away (" + e.Detail + ")"
	case syncrun.Configured:
		b.configure(e.Sources)
	case syncrun.OutboxFull:
		b.outbox = "outbox is full, no source is read"
	case syncrun.OutboxRoom:
		b.outbox = ""
	default:
		if t := b.sources[e.Source]; t != nil {
			t.take(e)
		}
	}
	b.head()
}

func (b *board) configure(list []syncrun.ConfiguredSource) {
	sources := make(map[string]*tracked, len(list))
	for _, s := range list {
		known := b.sources[s.Source]
		if known == nil {
			known = &tracked{task: b.Task(sourceName(s), "device", 0)}
			known.task.Begin("waiting", 0)
		}
		delete(b.sources, s.Source)
		sources[s.Source] = known
	}
	for _, gone := range b.sources {
		b.Remove(gone.task)
	}
	b.sources = sources
}

// sourceName is what a source is called where there are several tenants'.
func sourceName(s syncrun.ConfiguredSource) string {
	if s.Tenant != "" && !strings.HasPrefix(s.Source, s.Tenant+"/") {
		return s.Tenant + "/" + s.Source
	}
	return s.Source
}

func (t *tracked) take(e syncrun.Event) {
	switch e.Kind {
	case syncrun.RunStarted:
		t.busy, t.sending, t.failing, t.found = true, false, false, 0
		t.task.Begin("reading", max(e.Total, 0))
	case syncrun.Discovered:
		t.found = e.Devices
		t.task.Set(e.Devices)
		if e.Total > 0 {
			t.task.Expect(e.Total)
		}
	case syncrun.Spooled:
		t.found = e.Devices
		t.task.Begin("queued", e.Devices)
	case syncrun.Sent:
		if !t.sending {
			t.sending = true
			t.task.Begin("sending", t.found)
		}
		t.task.Set(e.Sent)
		t.task.Note("")
	case syncrun.Retrying:
		t.sending = false
		t.task.Begin("waiting", t.found)
		t.task.Note("again in " + shell.Duration(e.Delay.Round(time.Second)) + ": " + e.Detail)
	case syncrun.RunEnded:
		t.busy, t.failing = false, e.Result != "success"
		t.task.Expect(0)
		t.task.Set(e.Acknowledged)
		t.task.End(e.Result, e.Detail)
	}
}

func (b *board) head() {
	busy, failing := 0, 0
	for _, t := range b.sources {
		if t.busy {
			busy++
		}
		if t.failing {
			failing++
		}
	}
	head := fmt.Sprintf("gateway %s · %s, %d at work, %d failing", b.gateway, cmdutil.Plural(int64(len(b.sources)), "source"), busy, failing)
	if b.outbox != "" {
		head += " · " + b.outbox
	}
	b.Head(head)
}
