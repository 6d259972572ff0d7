// Package schedule decides what runs next and when: which of many entries is
// due, which tenant's turn it is, and when an entry comes round again. It is
// pure: the time is an argument, nothing here waits, and it knows nothing of
// sources, gateways or goroutines.
package schedule

import (
	"container/heap"
	"container/list"
	"time"
)

// Limits bound how much runs at once.
type Limits struct {
	// Total entries may run at once, PerTenant of them for one tenant.
	Total, PerTenant int
}

// Queue holds entries that run one at a time each: an entry is waiting for its
// moment, ready for a free place, or running. Tenants with ready entries take
// turns, so none waits for more than one entry of each other tenant. A Queue is
// not safe for concurrent use.
type Queue struct {
	limits  Limits
	entries map[string]*entry
	tenants map[string]*tenant
	waiting waitingHeap
	// turns holds the tenants that have a ready entry and a free place.
	turns   *list.List
	running int
	// order breaks ties of due times by age, so that equal input gives equal
	// output.
	order uint64
}

type state int

const (
	waiting state = iota
	ready
	running
)

type entry struct {
	id     string
	tenant *tenant
	due    time.Time
	order  uint64
	state  state
	// again says that Set moved the entry while it ran: due is then its next
	// moment whatever Done says. gone says that Remove took it away meanwhile.
	again, gone bool
	// index is the place in the heap while waiting, element the one in the
	// tenant's ready list while ready.
	index   int
	element *list.Element
}

type tenant struct {
	id      string
	ready   *list.List
	running int
	// members counts the entries that name this tenant.
	members int
	turn    *list.Element
}

// New returns an empty queue. A limit below one counts as one.
func New(limits Limits) *Queue {
	return &Queue{
		limits:  Limits{Total: max(limits.Total, 1), PerTenant: max(limits.PerTenant, 1)},
		entries: map[string]*entry{},
		tenants: map[string]*tenant{},
		turns:   list.New(),
	}
}

// Set adds an entry or moves it to another moment. One that runs goes on
// running and comes round at due when it is done.
func (q *Queue) Set(id, tenantID string, due time.Time) {
	e := q.entries[id]
	if e == nil {
		e = &entry{id: id, tenant: q.join(tenantID)}
		q.entries[id] = e
		q.wait(e, due)
		return
	}
	if e.state == running {
		e.due, e.again, e.gone = due, true, false
		return
	}
	q.withdraw(e)
	if e.tenant.id != tenantID {
		q.leave(e.tenant)
		e.tenant = q.join(tenantID)
	}
	q.wait(e, due)
}

// Remove takes an entry out. One that runs is forgotten when it is done.
func (q *Queue) Remove(id string) {
	e := q.entries[id]
	switch {
	case e == nil:
	case e.state == running:
		e.gone, e.again = true, false
	default:
		q.withdraw(e)
		q.forget(e)
	}
}

// Due is when an entry is to run next; false for one that is not there or runs.
func (q *Queue) Due(id string) (time.Time, bool) {
	e := q.entries[id]
	if e == nil || e.state == running {
		return time.Time{}, false
	}
	return e.due, true
}

// Take returns the entry to run now, or false when none is due or no place is
// free. The entry counts as running until Done.
func (q *Queue) Take(now time.Time) (id string, due time.Time, ok bool) {
	q.ripen(now)
	if q.running >= q.limits.Total || q.turns.Len() == 0 {
		return "", time.Time{}, false
	}
	t := q.turns.Front().Value.(*tenant)
	e := t.ready.Remove(t.ready.Front()).(*entry)
	e.element, e.state = nil, running
	t.running++
	q.running++
	q.endTurn(t)
	q.startTurn(t)
	return e.id, e.due, true
}

// Done ends the run of an entry, which comes round at next; the zero time takes
// it out. What Set or Remove said while it ran goes before next.
func (q *Queue) Done(id string, next time.Time) {
	e := q.entries[id]
	if e == nil || e.state != running {
		return
	}
	e.tenant.running--
	q.running--
	q.startTurn(e.tenant)
	switch {
	case e.gone, !e.again && next.IsZero():
		q.forget(e)
	case e.again:
		q.wait(e, e.due)
	default:
		q.wait(e, next)
	}
}

// Wake returns the next moment at which a waiting entry becomes due; false when
// none waits. Entries that are ready already wait for a place, not for a time.
func (q *Queue) Wake() (time.Time, bool) {
	if len(q.waiting) == 0 {
		return time.Time{}, false
	}
	return q.waiting[0].due, true
}

// Running returns how many entries run, Len how many there are.
func (q *Queue) Running() int { return q.running }

// Len returns how many entries there are, running ones included.
func (q *Queue) Len() int { return len(q.entries) }

// ripen makes every entry ready whose moment has come, in the order they fell due.
func (q *Queue) ripen(now time.Time) {
	for len(q.waiting) > 0 && !q.waiting[0].due.After(now) {
		e := heap.Pop(&q.waiting).(*entry)
		e.state = ready
		e.element = e.tenant.ready.PushBack(e)
		q.startTurn(e.tenant)
	}
}

func (q *Queue) wait(e *entry, due time.Time) {
	q.order++
	e.due, e.order, e.state, e.again = due, q.order, waiting, false
	heap.Push(&q.waiting, e)
}

// withdraw takes an entry that does not run out of the heap or its ready list.
func (q *Queue) withdraw(e *entry) {
	if e.state == waiting {
		heap.Remove(&q.waiting, e.index)
		return
	}
	e.tenant.ready.Remove(e.element)
	e.element = nil
	if e.tenant.ready.Len() == 0 {
		q.endTurn(e.tenant)
	}
}

func (q *Queue) startTurn(t *tenant) {
	if t.turn == nil && t.ready.Len() > 0 && t.running < q.limits.PerTenant {
		t.turn = q.turns.PushBack(t)
	}
}

func (q *Queue) endTurn(t *tenant) {
	if t.turn != nil {
		q.turns.Remove(t.turn)
		t.turn = nil
	}
}

func (q *Queue) join(id string) *tenant {
	t := q.tenants[id]
	if t == nil {
		t = &tenant{id: id, ready: list.New()}
		q.tenants[id] = t
	}
	t.members++
	return t
}

func (q *Queue) leave(t *tenant) {
	t.members--
	if t.members == 0 {
		q.endTurn(t)
		delete(q.tenants, t.id)
	}
}

func (q *Queue) forget(e *entry) {
	delete(q.entries, e.id)
	q.leave(e.tenant)
}

// waitingHeap orders entries by due time, then by age.
type waitingHeap []*entry

func (h waitingHeap) Len() int { return len(h) }

func (h waitingHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].order < h[j].order
	}
	return h[i].due.Before(h[j].due)
}

func (h waitingHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *waitingHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *waitingHeap) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = nil
	*h = old[:last]
	return e
}
