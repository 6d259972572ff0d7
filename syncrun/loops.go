package syncrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
	"edgesync/syncrun/schedule"
	"edgesync/syncrun/source"
)

const (
	// sinceOverlap is how far the clocks of a source and of this host may differ
	// before a change is missed until the source is read whole.
	sinceOverlap = 5 * time.Minute
	// openJitter spreads the tries of sources that failed together.
	openJitter = 10 * time.Second
)

// errStopped ends a run whose source was changed or taken away.
var errStopped = errors.New("the source was changed or removed")

// loops are the sources that run. Their timing lies in the pool's queue; what
// each is, and how its last run went, lies here.
type loops struct {
	options Options
	pool    *pool
	// guarded makes the requests of a service that acts for several tenants.
	guarded *http.Client

	mu  sync.Mutex
	all map[string]*loop
}

// loop is one source. A source whose content changes gets a new loop.
type loop struct {
	definition definition
	every      time.Duration
	adapter    source.Adapter
	// invalid is why the source cannot be read as it is configured.
	invalid error

	breaker *breaker
	// discovery is how often the source is read whole where that is less often
	// than every; zero means always. whole is the start of the last run that did
	// so, good of the last that missed nothing.
	discovery   time.Duration
	whole, good time.Time
	// anew is since when what was read before does not count as read.
	anew time.Time

	started  time.Time
	failures int
	trouble  streak
	// last is why the last run failed, nil if it did not.
	last error
	// stop ends the run under way; nil while there is none.
	stop context.CancelCauseFunc
}

func newLoops(o Options) *loops {
	return &loops{options: o, all: map[string]*loop{}, guarded: &http.Client{Transport: o.Egress.Transport()}}
}

// apply makes the loops those of a new configuration. It disturbs none whose
// content is the same, and returns what it did.
func (ls *loops) apply(wanted map[string]definition) changes {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	current := make(map[string]definition, len(ls.all))
	for id, l := range ls.all {
		current[id] = l.definition
	}
	c := compare(current, wanted)
	now := ls.options.Now()
	for _, id := range c.stop {
		ls.end(id)
		ls.pool.remove(id)
	}
	for _, id := range c.restart {
		ls.end(id)
		ls.begin(wanted[id], now)
	}
	for _, id := range c.start {
		ls.begin(wanted[id], ls.first(now, len(c.start)))
	}
	for _, id := range c.retime {
		ls.retime(ls.all[id], wanted[id])
	}
	return c
}

// first is when one of count new sources runs. Once is in no need of spreading.
func (ls *loops) first(now time.Time, count int) time.Time {
	if ls.options.Once {
		return now
	}
	return schedule.First(now, count, rand.Float64())
}

func (ls *loops) end(id string) {
	if l := ls.all[id]; l.stop != nil {
		l.stop(errStopped)
	}
	delete(ls.all, id)
}

func (ls *loops) begin(d definition, due time.Time) {
	l := &loop{definition: d}
	l.every, l.invalid = d.interval()
	l.discovery = d.discovery()
	l.breaker = newBreaker(l.every, ls.options.Now)
	if l.invalid == nil {
		l.adapter, l.invalid = ls.adapter(d)
	}
	ls.all[d.id] = l
	ls.pool.set(d.id, d.fairTenant(), due)
}

func (ls *loops) adapter(d definition) (source.Adapter, error) {
	newAdapter, ok := ls.options.Adapters[d.source.Type]
	if !ok {
		return nil, fmt.Errorf("read source %s: this program has no adapter for type %q", d.key, d.source.Type)
	}
	return newAdapter(d.source, ls.sourceOptions(d.platform))
}

// sourceOptions are what an adapter is given; of a service that acts for tenants
// it may dial only what Egress allows.
func (ls *loops) sourceOptions(platform bool) source.Options {
	options := ls.options.Source
	if platform && options.HTTP == nil {
		options.HTTP = ls.guarded
	}
	return options
}

// runNow has sources run at once, or once more when their run under way ends. It
// returns those that there are.
func (ls *loops) runNow(ids []string) []string {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	now := ls.options.Now()
	found := ids[:0:0]
	for _, id := range ids {
		if l := ls.all[id]; l != nil {
			l.whole = time.Time{}
			ls.pool.set(id, l.definition.fairTenant(), now)
			found = append(found, id)
		}
	}
	return found
}

// startOver has every source read whole soon, and once more where it is being
// read: what it has delivered is lost.
func (ls *loops) startOver() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	now := ls.options.Now()
	for id, l := range ls.all {
		l.whole, l.good, l.anew = time.Time{}, time.Time{}, now
		if l.started.IsZero() && l.stop == nil {
			continue // Its first run is on its way.
		}
		ls.pool.set(id, l.definition.fairTenant(), ls.first(now, len(ls.all)))
	}
}

// named finds the ids of sources by their integration_source_id, all of them for
// no names, and the names that no source has.
func (ls *loops) named(sourceIDs []string) (ids []string, unknown []string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(sourceIDs) == 0 {
		return slices.Sorted(maps.Keys(ls.all)), nil
	}
	for _, id := range sourceIDs {
		if ls.all[id] != nil {
			ids = append(ids, id)
		} else {
			unknown = append(unknown, id)
		}
	}
	return ids, unknown
}

// retime gives a loop another pace. A run under way ends undisturbed and the
// next is due by the new interval.
func (ls *loops) retime(l *loop, d definition) {
	_, was := l.definition.interval()
	every, err := d.interval()
	if err != nil || was != nil {
		// Whether it can be read at all has changed.
		ls.end(d.id)
		ls.begin(d, ls.options.Now())
		return
	}
	l.definition, l.every, l.discovery = d, every, d.discovery()
	if l.stop == nil && !l.started.IsZero() {
		ls.pool.set(d.id, d.fairTenant(), l.started.Add(every))
	}
}

// sources lists what runs, in order of the keys.
func (ls *loops) sources() []ConfiguredSource {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	list := make([]ConfiguredSource, 0, len(ls.all))
	for _, l := range ls.all {
		s := l.definition.source
		list = append(list, ConfiguredSource{Source: l.definition.key, Tenant: s.TenantSlug, SourceID: s.IntegrationSourceID, Type: s.Type})
	}
	slices.SortFunc(list, func(a, b ConfiguredSource) int { return strings.Compare(a.Source, b.Source) })
	return list
}

// run is one run of a loop, as the loop was when it began.
type run struct {
	loop       *loop
	definition definition
	adapter    source.Adapter
	invalid    error
	started    time.Time
	// since is when the last run began that missed nothing; zero reads all.
	since time.Time
	// done tells the breaker how the run ended; nil where it did not allow one.
	done func(error)
}

// start begins a run of a source; false when the source is gone. The context it
// returns ends with the run's time or with the source.
func (ls *loops) start(ctx context.Context, id string) (context.Context, context.CancelFunc, run, bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.all[id]
	if l == nil {
		return nil, nil, run{}, false
	}
	l.started = ls.options.Now()
	ctx, stop := context.WithCancelCause(ctx)
	ctx, cancel := context.WithTimeoutCause(ctx, ls.options.RunTimeout, errRunTimeout)
	l.stop = stop
	this := run{loop: l, definition: l.definition, adapter: l.adapter, invalid: l.invalid, started: l.started, since: l.since(l.started)}
	if this.invalid == nil {
		this.done, this.invalid = l.breaker.allow()
	}
	return ctx, func() { cancel(); stop(nil) }, this, true
}

// since is from when on a run that begins now needs to know of changes; zero
// when it is to read all.
func (l *loop) since(now time.Time) time.Time {
	if l.discovery == 0 || l.whole.IsZero() || l.good.IsZero() || now.Sub(l.whole) >= l.discovery-l.every/2 || now.Before(l.good) {
		return time.Time{}
	}
	return l.good.Add(-sinceOverlap)
}

// lost tells that a run of a source was taken and never delivered: what changed
// meanwhile is known to nobody, so the next run reads all.
func (ls *loops) lost(id string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.all[id]; l != nil {
		l.whole = time.Time{}
	}
}

// abandon tells of a run that was stopped on its way.
func (r run) abandon() {
	if r.done != nil {
		r.done(errStopped)
	}
}

// finish ends a run and returns when the source comes round again; the zero time
// leaves that to a configuration that came meanwhile.
func (ls *loops) finish(id string, r run, taken outbox.Run, failure error) time.Time {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if r.done != nil {
		r.done(failure)
	}
	l := ls.all[id]
	if l == nil || l != r.loop {
		return time.Time{}
	}
	l.stop, l.last = nil, failure
	if failure == nil && taken.Note == "" && !r.started.Before(l.anew) {
		l.good = r.started
		if taken.Mode == payload.ModeSnapshot {
			l.whole = r.started
		}
	}
	if failure == nil {
		l.trouble.recovered(ls.options.Logger, "source reads again", "source", l.definition.key)
		l.failures = 0
	} else if !errors.Is(failure, errOpen) {
		l.trouble.failed(ls.options.Logger, "read source", "source", l.definition.key, "error", failure)
		l.failures++
	}
	if ls.options.Once {
		return time.Time{}
	}
	ended := schedule.Ended{Started: r.started, Finished: ls.options.Now(), Failures: l.failures, RetryAfter: source.RetryAfter(failure)}
	next := schedule.Next(l.every, ended, rand.Float64())
	if until := l.breaker.until; next.Before(until) {
		next = until.Add(min(time.Duration(rand.Int64N(int64(openJitter))), l.every/10)).Add(time.Millisecond)
	}
	return next
}

// standing is when a source was and will be read.
func (ls *loops) standing(id string) payload.TraceSchedule {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.all[id]
	if l == nil {
		return payload.TraceSchedule{}
	}
	s := payload.TraceSchedule{Configured: true, Reading: l.stop != nil, Failures: l.failures}
	if !l.started.IsZero() {
		s.LastStarted = moment(l.started)
	}
	if due, ok := ls.pool.due(id); ok {
		s.Due = moment(due)
	}
	if err := cmp.Or(l.invalid, l.last); err != nil {
		s.Trouble = cut(oneLine(err.Error()), maxSaid)
	}
	return s
}

// moment is a time as it is told.
func moment(t time.Time) *time.Time {
	t = t.UTC().Round(0)
	return &t
}

// has tells whether a source still runs.
func (ls *loops) has(id string) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.all[id] != nil
}
