package core

import (
	"sync"

	"github.com/google/uuid"
)

// pulses wake those who follow how tenants stand, and count what arrives of
// each since the platform started. Telling never waits for who is told.
type pulses struct {
	mu      sync.Mutex
	all     map[*pulse]struct{}
	updates map[uuid.UUID]int64
}

// pulse is one of them: which tenants were touched since it last looked.
type pulse struct {
	// only are the tenants it is told of; none means all.
	only    map[uuid.UUID]bool
	touched map[uuid.UUID]bool
	// wake holds a token while something is touched.
	wake chan struct{}
}

func (p *pulses) add(only ...uuid.UUID) *pulse {
	one := &pulse{only: map[uuid.UUID]bool{}, touched: map[uuid.UUID]bool{}, wake: make(chan struct{}, 1)}
	for _, id := range only {
		one.only[id] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[*pulse]struct{}{}
	}
	p.all[one] = struct{}{}
	return one
}

func (p *pulses) drop(one *pulse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, one)
}

// touch says that something of a tenant is not as it was.
func (p *pulses) touch(tenant uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeAll(tenant)
}

// received counts updates that arrived for a tenant.
func (p *pulses) received(tenant uuid.UUID, updates int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.updates == nil {
		p.updates = map[uuid.UUID]int64{}
	}
	p.updates[tenant] += int64(updates)
	p.wakeAll(tenant)
}

func (p *pulses) wakeAll(tenant uuid.UUID) {
	for one := range p.all {
		if len(one.only) > 0 && !one.only[tenant] {
			continue
		}
		one.touched[tenant] = true
		select {
		case one.wake <- struct{}{}:
		default:
		}
	}
}

// take hands over what was touched, and how many updates arrived of each.
func (p *pulses) take(one *pulse) (touched map[uuid.UUID]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	touched, one.touched = one.touched, map[uuid.UUID]bool{}
	return touched
}

func (p *pulses) updatesOf(tenant uuid.UUID) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.updates[tenant]
}
