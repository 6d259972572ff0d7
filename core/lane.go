package core

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
)

const (
	// maxWaiting is how many streams of one tenant may wait for their turn.
	maxWaiting = 64
	// laneRetry is when one that was turned away may come back.
	laneRetry = 5 * time.Second
)

// lane is what a Core holds in memory of one tenant: the order in which its
// chunks are stored, and what it remembers so that a heartbeat or a message of
// a stream costs no query.
type lane struct {
	// turn holds one token: who has it changes the tenant's devices. waiting has one
	// of each who waits for it.
	turn    chan struct{}
	waiting chan struct{}

	// sources serialises changes of which service runs which source, so that the
	// index of assignments cannot be corrected with an old count.
	sources sync.Mutex

	mu sync.Mutex
	// jobs are the chunks that wait, in the order in which they came.
	jobs []*job
	// generation rises with every change that what is remembered depends on, so
	// that something read before a change is not remembered after it.
	generation uint64
	admitted   map[string]admission
	configs    map[uuid.UUID][]configEntry

	beats    map[uuid.UUID]Beat
	flushing bool

	// pruned is when what ended long ago was last forgotten.
	pruned time.Time
}

func (c *Core) lane(tenant uuid.UUID) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[tenant]
	if l == nil {
		l = &lane{
			turn:     make(chan struct{}, 1),
			waiting:  make(chan struct{}, maxWaiting),
			admitted: map[string]admission{},
			configs:  map[uuid.UUID][]configEntry{},
			beats:    map[uuid.UUID]Beat{},
		}
		c.lanes[tenant] = l
	}
	return l
}

// enter waits for the turn.
func (l *lane) enter(ctx context.Context) error {
	if err := l.wait(); err != nil {
		return err
	}
	defer func() { <-l.waiting }()
	return l.take(ctx)
}

// wait has somebody more wait. A tenant that already has too many is told to come
// back later, so that its flood costs memory to nobody.
func (l *lane) wait() error {
	select {
	case l.waiting <- struct{}{}:
		return nil
	default:
		return &Error{
			Code:       codes.ResourceExhausted,
			Message:    "store updates: too many streams of the tenant are waiting: send again later",
			RetryAfter: laneRetry,
		}
	}
}

// queue has a chunk wait for the turn of whoever gets it.
func (l *lane) queue(j *job) error {
	if err := l.wait(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs = append(l.jobs, j)
	return nil
}

// withdraw has a chunk wait no longer, unless somebody stores it already.
func (l *lane) withdraw(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.jobs, j)
	if at < 0 {
		return false
	}
	l.jobs = slices.Delete(l.jobs, at, at+1)
	<-l.waiting
	return true
}

// burst takes the chunks that have waited longest, as many as a batch holds
// updates.
func (l *lane) burst() []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, updates := 0, 0
	for n < len(l.jobs) && (n == 0 || updates+len(l.jobs[n].chunk.Updates) <= maxBatch) {
		updates += len(l.jobs[n].chunk.Updates)
		n++
		<-l.waiting
	}
	burst := slices.Clone(l.jobs[:n])
	l.jobs = slices.Delete(l.jobs, 0, n)
	return burst
}

// take waits for the turn, however many others do.
func (l *lane) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lane) leave() { <-l.turn }

// invalidate forgets what is remembered of a tenant whose row, a service or a
// source has changed, and has connected services told. Named services are all
// that the change concerns; without any it concerns all of the tenant, and the
// platform's. The other processes of the platform do the same.
func (c *Core) invalidate(ctx context.Context, tenant uuid.UUID, services ...uuid.UUID) {
	change := Change{Tenant: tenant, Services: services}
	c.changed(change)
	c.publish(ctx, Notice{Change: &change})
}

func (c *Core) changed(change Change) {
	c.forget(change)
	c.lines.tell(change)
}

func (c *Core) forget(change Change) {
	l := c.lane(change.Tenant)
	l.mu.Lock()
	l.generation++
	clear(l.admitted)
	if len(change.Services) == 0 {
		clear(l.configs)
	}
	for _, service := range change.Services {
		delete(l.configs, service)
	}
	l.mu.Unlock()
	c.configs.invalidate()
	c.pulses.touch(change.Tenant)
}

// publish tells the other processes. What they do not hear they find out by
// themselves, only later.
func (c *Core) publish(ctx context.Context, notice Notice) {
	if c.relay == nil {
		return
	}
	if err := c.relay(context.WithoutCancel(ctx), notice); err != nil {
		c.log.Warn("tell other processes of the platform", "error", err)
	}
}

// deliver takes what another process tells.
func (c *Core) deliver(notice Notice) {
	switch {
	case notice.Refusal != nil:
		c.apply(*notice.Refusal)
	case notice.Change != nil:
		c.changed(*notice.Change)
	case notice.Command != nil && c.lines.connected(notice.Command.Service):
		c.lines.give(*notice.Command, nil, c.now())
	case notice.Report != nil:
		c.lines.report(*notice.Report)
	}
}

// current is the generation now.
func (l *lane) current() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation
}

// remember runs keep unless something has changed since generation.
func (l *lane) remember(generation uint64, keep func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == generation {
		keep()
	}
}
