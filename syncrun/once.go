package syncrun

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
)

// SourcesError names the sources that one run each did not bring over whole.
type SourcesError struct {
	// Total is how many sources there were.
	Total  int
	Failed []FailedSource
}

// FailedSource is one of them; Result is partial, failed or timeout.
type FailedSource struct{ Source, Result, Detail string }

func (e *SourcesError) Error() string {
	parts := make([]string, len(e.Failed))
	for i, f := range e.Failed {
		parts[i] = fmt.Sprintf("%s %s: %s", f.Source, f.Result, oneLine(f.Detail))
	}
	return fmt.Sprintf("sync %d of %d sources: %s", len(e.Failed), e.Total, strings.Join(parts, "; "))
}

// once waits for one run of each source.
type once struct {
	total int
	done  chan struct{}

	mu     sync.Mutex
	left   map[string]bool
	runs   map[string]string
	failed []FailedSource
}

func newOnce(sources map[string]definition) *once {
	o := &once{total: len(sources), done: make(chan struct{}), left: map[string]bool{}, runs: map[string]string{}}
	for id := range sources {
		o.left[id] = true
	}
	if len(o.left) == 0 {
		close(o.done)
	}
	return o
}

// began notes which run of a source is the one that counts: there may be others
// in the outbox.
func (o *once) began(head outbox.Head) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs[head.Source] = head.ID
}

func (o *once) ended(head outbox.Head, e ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.runs[head.Source] == head.ID {
		o.endLocked(head, e)
	}
}

// gaveUp ends a source of which a run cannot be delivered; what comes after it
// waits behind it.
func (o *once) gaveUp(head outbox.Head, detail string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.endLocked(head, ending{result: payload.ResultFailed, detail: detail + "; it stays in the outbox"})
}

func (o *once) endLocked(head outbox.Head, e ending) {
	if !o.left[head.Source] {
		return
	}
	delete(o.left, head.Source)
	if e.result != payload.ResultSuccess {
		o.failed = append(o.failed, FailedSource{Source: head.Name, Result: e.result, Detail: e.detail})
	}
	if len(o.left) == 0 {
		close(o.done)
	}
}

func (o *once) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failed) == 0 {
		return nil
	}
	slices.SortFunc(o.failed, func(a, b FailedSource) int { return strings.Compare(a.Source, b.Source) })
	return &SourcesError{Total: o.total, Failed: o.failed}
}
