package syncrun

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"edgesync/proto/payload"
)

const (
	// progressPause is how often progress is told while there is any, and
	// progressPulse how often without, so that whoever waits knows that it lives.
	progressPause = 500 * time.Millisecond
	progressPulse = 20 * time.Second
)

// syncNow has sources run at once and tells of it until each has been read and
// delivered, or has failed.
func (r *Runtime) syncNow(ctx context.Context, c *command, order []byte) {
	wanted, err := payload.DecodeSyncNow(order)
	if err != nil {
		c.end(false, err.Error(), nil)
		return
	}
	ids, unknown := r.loops.named(wanted.Sources)
	w := newWatch(ids, unknown)
	// From here on, runs that begin count for the command.
	r.watches.add(w)
	defer r.watches.drop(w)
	found := r.loops.runNow(ids)
	for _, id := range ids {
		if !slices.Contains(found, id) {
			w.gone(id)
		}
	}
	r.follow(ctx, c, w)
}

func (r *Runtime) follow(ctx context.Context, c *command, w *watch) {
	pulse := time.NewTicker(progressPulse)
	defer pulse.Stop()
	pause := time.NewTicker(progressPause)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			c.end(false, "the service is stopping", w.result())
			return
		case <-w.finished:
			state := w.result()
			c.end(state.Failed == 0, "", state)
			return
		case <-pause.C:
			if state, any := w.news(); any {
				c.progress(state.percent(), state.SyncState)
			}
		case <-pulse.C:
			state, _ := w.news()
			c.progress(state.percent(), state.SyncState)
		}
	}
}

// watches are the commands that wait for runs.
type watches struct {
	mu  sync.Mutex
	all []*watch
}

func (ws *watches) add(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.all = append(ws.all, w)
}

func (ws *watches) drop(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.all = slices.DeleteFunc(ws.all, func(one *watch) bool { return one == w })
}

func (ws *watches) current() []*watch {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.Clone(ws.all)
}

// see passes a step of a source's run on.
func (ws *watches) see(id string, e Event) {
	for _, w := range ws.current() {
		w.see(id, e)
	}
}

// gone tells that a source is configured no more.
func (ws *watches) gone(id string) {
	for _, w := range ws.current() {
		w.gone(id)
	}
}

// waiting are the sources whose run has not begun.
func (ws *watches) waiting() []string {
	var ids []string
	for _, w := range ws.current() {
		ids = append(ids, w.waiting()...)
	}
	return ids
}

// watch is one sync-now: of each of its sources it follows the first run that
// began after it, from the reading to the acknowledgement.
type watch struct {
	// finished is closed when all are done.
	finished chan struct{}

	mu      sync.Mutex
	sources map[string]*watched
	state   payload.SyncState
	changed map[string]bool
}

type watched struct {
	payload.SyncedSource
	runID string
}

// counted is a SyncState on its way out.
type counted struct{ payload.SyncState }

func (c counted) percent() int {
	if c.Total == 0 {
		return 100
	}
	return 100 * c.Done / c.Total
}

func newWatch(ids, unknown []string) *watch {
	w := &watch{finished: make(chan struct{}), sources: map[string]*watched{}, changed: map[string]bool{}}
	w.state.Total = len(ids) + len(unknown)
	for _, id := range slices.Concat(ids, unknown) {
		w.sources[id] = &watched{SyncedSource: payload.SyncedSource{SourceID: id, State: payload.SyncWaiting}}
	}
	w.state.Total = len(w.sources)
	for _, id := range slices.Compact(slices.Sorted(slices.Values(unknown))) {
		w.done(w.sources[id], payload.ResultFailed, "the service has no such source in its configuration")
	}
	if w.state.Total == 0 {
		close(w.finished)
	}
	return w
}

func (w *watch) see(id string, e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sources[id]
	if s == nil || s.State == payload.SyncDone {
		return
	}
	if e.Kind == RunStarted && s.State != payload.SyncSending {
		// A run whose source was changed on the way begins again as another.
		w.count(s, 0, 0)
		s.runID, s.State = e.RunID, payload.SyncReading
		w.changed[id] = true
		return
	}
	if s.runID == "" || s.runID != e.RunID {
		return
	}
	switch e.Kind {
	case Discovered:
		w.count(s, e.Devices, 0)
	case Spooled:
		s.State = payload.SyncSending
		w.count(s, e.Devices, 0)
	case RunEnded:
		w.count(s, e.Devices, e.Acknowledged)
		w.done(s, e.Result, e.Detail)
	default:
		return
	}
	w.changed[id] = true
}

func (w *watch) gone(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sources[id]; s != nil && s.State != payload.SyncDone {
		w.done(s, payload.ResultFailed, errStopped.Error())
	}
}

// count sets a source's numbers and corrects the sums.
func (w *watch) count(s *watched, devices, acknowledged int64) {
	w.state.Devices += devices - s.Devices
	w.state.Acknowledged += acknowledged - s.Acknowledged
	s.Devices, s.Acknowledged = devices, acknowledged
}

func (w *watch) done(s *watched, result, detail string) {
	s.State, s.Result, s.Error = payload.SyncDone, result, cut(oneLine(detail), maxSaid)
	w.changed[s.SourceID] = true
	if w.state.Done++; result != payload.ResultSuccess {
		w.state.Failed++
	}
	if w.state.Done == w.state.Total {
		close(w.finished)
	}
}

func (w *watch) waiting() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id, s := range w.sources {
		if s.State == payload.SyncWaiting {
			ids = append(ids, id)
		}
	}
	return ids
}

// news is the state with as many of the sources that changed as fit; what is
// left over comes with the next.
func (w *watch) news() (counted, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changed) == 0 {
		return counted{w.state}, false
	}
	var list []payload.SyncedSource
	for id := range w.changed {
		list = append(list, w.sources[id].SyncedSource)
	}
	state := counted{fit(w.state, list)}
	for _, s := range state.Sources {
		delete(w.changed, s.SourceID)
	}
	return state, true
}

// result is the state with the sources that went worst.
func (w *watch) result() counted {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]payload.SyncedSource, 0, len(w.sources))
	for _, s := range w.sources {
		list = append(list, s.SyncedSource)
	}
	return counted{fit(w.state, list)}
}

// badness orders results from the worst.
var badness = map[string]int{payload.ResultFailed: 0, payload.ResultTimeout: 1, payload.ResultSuperseded: 2, payload.ResultPartial: 2, "": 3, payload.ResultSuccess: 4}

// fit adds as many sources to a state as one message may hold, the worst first.
func fit(state payload.SyncState, list []payload.SyncedSource) payload.SyncState {
	slices.SortFunc(list, func(a, b payload.SyncedSource) int {
		return cmp.Or(cmp.Compare(badness[a.Result], badness[b.Result]), cmp.Compare(a.SourceID, b.SourceID))
	})
	state.Sources = list[:min(len(list), payload.MaxSyncedSources)]
	for len(state.Sources) > 0 {
		if encoded, err := json.Marshal(state); err == nil && len(encoded) <= payload.MaxCommandPayload {
			break
		}
		state.Sources = state.Sources[:len(state.Sources)/2]
	}
	return state
}
