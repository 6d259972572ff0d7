package syncrun

import (
	"math/rand/v2"
	"sync"
	"time"

	"edgesync/syncrun/outbox"
)

// takeOver tells of what an earlier process left.
func (r *Runtime) takeOver(found outbox.Found) {
	log := r.options.Logger
	if found.Runs > 0 || found.Unfinished > 0 {
		log.Info("outbox taken over", "runs", found.Runs, "unfinished", found.Unfinished)
	}
	if found.Spoiled > 0 {
		log.Warn("ledger of outbox is damaged, its totals may miss something", "lines", found.Spoiled)
	}
	for _, err := range found.Damaged {
		r.damaged(err)
	}
}

// resume has the runs that an earlier process left delivered, and those of sources
// that are there no more forgotten, if that is sure. It is for the first configuration.
func (r *Runtime) resume(wanted map[string]definition, sure bool) {
	for _, id := range r.outbox.Sources() {
		d, ok := wanted[id]
		if ok {
			r.deliveries.set(id, d.fairTenant(), r.options.Now())
		}
		if ok || !sure {
			continue
		}
		for _, run := range r.outbox.DropSource(id) {
			r.options.Logger.Warn("run in outbox dropped: its source is gone", "source", run.Name, "run_id", run.ID, "devices", run.Updates)
		}
	}
}

// share tells the outbox how many tenants have sources.
func (r *Runtime) share(wanted map[string]definition) {
	tenants := map[string]bool{}
	for _, d := range wanted {
		tenants[d.fairTenant()] = true
	}
	r.outbox.SetShares(len(tenants))
}

// fullness is an alarm that sounds once and is called off once.
type fullness struct {
	mu      sync.Mutex
	trouble streak
}

// noRoom tells whether reading has to wait because the outbox takes nothing.
// What a source holds is safer there than in a run that cannot be kept.
func (r *Runtime) noRoom() bool {
	if r.options.Once {
		return false
	}
	err := r.outbox.Full()
	r.full.mu.Lock()
	defer r.full.mu.Unlock()
	if err == nil {
		if r.full.trouble.count > 0 {
			r.observe(Event{Kind: OutboxRoom, Time: r.options.Now()})
		}
		r.full.trouble.recovered(r.options.Logger, "outbox has room again: sources are read")
		return false
	}
	if r.full.trouble.count == 0 {
		r.observe(Event{Kind: OutboxFull, Time: r.options.Now(), Detail: err.Error()})
		r.options.Logger.Error("outbox is full: no source is read until it has room", "error", err)
	}
	r.full.trouble.count++
	return true
}

// fullPause is how long a source waits before it asks for room again.
func fullPause() time.Duration {
	return 10*time.Second + time.Duration(rand.Int64N(int64(10*time.Second)))
}
