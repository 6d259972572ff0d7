package sqlite

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
)

var errClosed = errors.New("store is closed")

// pool keeps tenants' databases open: those in use, and the most recently used
// others up to a limit.
type pool struct {
	open  func(ctx context.Context, id uuid.UUID) (*database, error)
	limit int

	mu sync.Mutex
	// changed is signalled when an entry's state or users change.
	changed *sync.Cond
	entries map[uuid.UUID]*entry
	// idle holds the open entries nobody uses, the most recent in front.
	idle   *list.List
	closed bool
}

type entry struct {
	id    uuid.UUID
	db    *database
	state entryState
	users int
	// element is the entry's place in idle, nil while in use.
	element *list.Element
}

type entryState int

const (
	opening entryState = iota
	opened
	// leaving is being closed or dropped.
	leaving
)

func newPool(limit int, open func(context.Context, uuid.UUID) (*database, error)) *pool {
	p := &pool{open: open, limit: limit, entries: map[uuid.UUID]*entry{}, idle: list.New()}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// acquire returns a tenant's database and what to call when done with it.
func (p *pool) acquire(ctx context.Context, id uuid.UUID) (release func(), db *database, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return nil, nil, fmt.Errorf("open tenant %s: %w", id, errClosed)
		}
		e := p.entries[id]
		if e == nil {
			if e, err = p.openEntry(ctx, id); err != nil {
				return nil, nil, err
			}
		}
		if e.state == opened {
			p.use(e)
			return sync.OnceFunc(func() { p.release(e) }), e.db, nil
		}
		if err := p.wait(ctx); err != nil {
			return nil, nil, fmt.Errorf("open tenant %s: %w", id, err)
		}
	}
}

// openEntry opens a file without holding the lock. The caller's cancellation
// does not reach it, because others may be waiting for the same file.
func (p *pool) openEntry(ctx context.Context, id uuid.UUID) (*entry, error) {
	e := &entry{id: id, state: opening}
	p.entries[id] = e
	p.mu.Unlock()
	db, err := p.open(context.WithoutCancel(ctx), id)
	p.mu.Lock()
	p.changed.Broadcast()
	if err != nil {
		delete(p.entries, id)
		return nil, err
	}
	e.db, e.state = db, opened
	return e, nil
}

func (p *pool) use(e *entry) {
	e.users++
	if e.element != nil {
		p.idle.Remove(e.element)
		e.element = nil
	}
}

func (p *pool) release(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.users--
	if e.users == 0 && e.state == opened {
		e.element = p.idle.PushFront(e)
	}
	p.changed.Broadcast()
	for p.idle.Len() > p.limit {
		// A failure to checkpoint while closing loses nothing: the log stays and
		// is read when the file is opened again.
		_ = p.evict(p.idle.Back().Value.(*entry))
	}
}

// evict closes an idle entry, without holding the lock meanwhile.
func (p *pool) evict(e *entry) error {
	e.state = leaving
	p.idle.Remove(e.element)
	e.element = nil
	p.mu.Unlock()
	err := e.db.close()
	p.mu.Lock()
	delete(p.entries, e.id)
	p.changed.Broadcast()
	return err
}

// drop closes a tenant's database once nobody uses it and runs remove before
// anybody can open it again.
func (p *pool) drop(ctx context.Context, id uuid.UUID, remove func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return errClosed
		}
		e := p.entries[id]
		if e == nil {
			break
		}
		if e.state == opened && e.users == 0 {
			if err := p.evict(e); err != nil {
				return err
			}
			continue
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	p.entries[id] = &entry{id: id, state: leaving}
	p.mu.Unlock()
	err := remove()
	p.mu.Lock()
	delete(p.entries, id)
	p.changed.Broadcast()
	return err
}

// close refuses newcomers, waits for the databases in use and closes all.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for len(p.entries) > 0 {
		if back := p.idle.Back(); back != nil {
			errs = append(errs, p.evict(back.Value.(*entry)))
			continue
		}
		p.changed.Wait()
	}
	return errors.Join(errs...)
}

// wait waits for a change or for the end of ctx.
func (p *pool) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer stop()
	p.changed.Wait()
	return nil
}
