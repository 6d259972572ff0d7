package sqlite

import (
	"context"
	"fmt"
	"sync"
)

// locks are those of Lock, by name. One process owns the directory, so they are
// in memory.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// Lock waits until nobody holds the lock of a name, and takes it.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		s.locks.mu.Lock()
		released, ok := s.locks.held[name]
		if !ok {
			released = make(chan struct{})
			if s.locks.held == nil {
				s.locks.held = map[string]chan struct{}{}
			}
			s.locks.held[name] = released
			s.locks.mu.Unlock()
			return sync.OnceFunc(func() {
				s.locks.mu.Lock()
				defer s.locks.mu.Unlock()
				delete(s.locks.held, name)
				close(released)
			}), nil
		}
		s.locks.mu.Unlock()
		select {
		case <-released:
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w", name, context.Cause(ctx))
		}
	}
}
