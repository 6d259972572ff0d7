package gateway

import (
	"sync"
	"sync/atomic"
)

// tally counts what each of many holds at once, up to a limit.
type tally struct {
	limit atomic.Int64

	mu   sync.Mutex
	held map[string]int
}

func newTally(limit int) *tally {
	t := &tally{held: map[string]int{}}
	t.limit.Store(int64(limit))
	return t
}

// take counts one more for key and tells whether it may.
func (t *tally) take(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int64(t.held[key]) >= t.limit.Load() {
		return false
	}
	t.held[key]++
	return true
}

// give takes back what take counted.
func (t *tally) give(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[key]--; t.held[key] <= 0 {
		delete(t.held, key)
	}
}
