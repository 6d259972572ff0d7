package syncrun

import (
	"context"
	"sync"
	"time"

	"edgesync/syncrun/schedule"
)

// pool runs what a queue says is due, each entry in a goroutine of its own, as
// many at once as the queue's limits allow.
type pool struct {
	now func() time.Time
	// work does what is due and returns when the entry comes round again; the
	// zero time takes it out.
	work func(ctx context.Context, id string) time.Time

	mu    sync.Mutex
	queue *schedule.Queue
	// running says that run is at work.
	running bool
	// changed holds one token when the queue may have something new to run.
	changed chan struct{}
}

func newPool(limits schedule.Limits, now func() time.Time, work func(context.Context, string) time.Time) *pool {
	return &pool{now: now, work: work, queue: schedule.New(limits), changed: make(chan struct{}, 1)}
}

func (p *pool) set(id, tenant string, due time.Time) {
	p.change(func(q *schedule.Queue) { q.Set(id, tenant, due) })
}

func (p *pool) remove(id string) {
	p.change(func(q *schedule.Queue) { q.Remove(id) })
}

// due is when an entry is to run next; false for one that is not there or runs.
func (p *pool) due(id string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.Due(id)
}

func (p *pool) change(f func(*schedule.Queue)) {
	p.mu.Lock()
	f(p.queue)
	p.mu.Unlock()
	wake(p.changed)
}

// late is how long ago something became due that could have begun and has not.
func (p *pool) late() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return 0
	}
	next, ok := p.queue.Wake()
	if !ok {
		return 0
	}
	return p.now().Sub(next)
}

// run starts work until ctx ends, then waits for what it has started.
func (p *pool) run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	defer p.runs(false)
	p.runs(true)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		case <-timer.C:
		}
		if wait, ok := p.start(ctx, &workers); ok {
			timer.Reset(wait)
		}
	}
}

func (p *pool) runs(running bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = running
}

// start runs everything that may run now and returns how long it is to the next
// entry's moment.
func (p *pool) start(ctx context.Context, workers *sync.WaitGroup) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for ctx.Err() == nil {
		id, _, ok := p.queue.Take(now)
		if !ok {
			break
		}
		workers.Go(func() {
			next := p.work(ctx, id)
			p.change(func(q *schedule.Queue) { q.Done(id, next) })
		})
	}
	next, ok := p.queue.Wake()
	return max(next.Sub(now), 0), ok
}
