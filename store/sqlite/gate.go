package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// gate lets a process that takes a snapshot of all files have everybody who
// writes to them, in whatever process, stand still for a moment: the files are
// many, and each has a lock of its own only.
//
// Two locks of the system, which it gives back however a process ends, do it.
// Who writes shares the one on tenants/ meanwhile. Who wants all to stand still
// takes the one on the directory first, which keeps newcomers out so that it
// need not wait for a pause in their stream, and then the other for itself.
type gate struct {
	dir string

	mu sync.Mutex
	// entry is the directory and inner tenants/, opened when first needed.
	entry, inner *os.File
	inside       int
}

// gatePause is how long who found the gate closed waits before the next look. It
// is closed for milliseconds.
const gatePause = time.Millisecond

var errGateClosed = errors.New("writers stand still")

func newGate(dir string) *gate { return &gate{dir: dir} }

// enter waits while the gate is closed. A nil gate is always open.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	for {
		err := g.tryEnter()
		if err == nil {
			return sync.OnceFunc(g.leave), nil
		}
		if !errors.Is(err, errGateClosed) {
			return nil, fmt.Errorf("begin write: %w", err)
		}
		if err := pause(ctx, gatePause); err != nil {
			return nil, fmt.Errorf("begin write: %w: %w", errGateClosed, err)
		}
	}
}

func (g *gate) tryEnter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.open(); err != nil {
		return err
	}
	// Nobody is to be kept out by who only looks, so the look is short.
	if err := lockFile(g.entry, false); err != nil {
		return err
	}
	defer unlockFile(g.entry)
	if g.inside == 0 {
		if err := lockFile(g.inner, false); err != nil {
			return err
		}
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 {
		unlockFile(g.inner)
	}
}

func (g *gate) open() (err error) {
	if g.entry != nil {
		return nil
	}
	if g.inner == nil {
		if g.inner, err = os.Open(filepath.Join(g.dir, "tenants")); err != nil {
			return err
		}
	}
	g.entry, err = os.Open(g.dir)
	return err
}

// shut waits until nobody writes, and keeps everybody from it until open is
// called. It is for a gate that nobody enters.
func (g *gate) shut(ctx context.Context) (open func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.open(); err != nil {
		return nil, err
	}
	if err := await(ctx, g.entry); err != nil {
		return nil, err
	}
	if err := await(ctx, g.inner); err != nil {
		unlockFile(g.entry)
		return nil, err
	}
	return sync.OnceFunc(func() {
		unlockFile(g.inner)
		unlockFile(g.entry)
	}), nil
}

// await takes the whole lock of a file.
func await(ctx context.Context, file *os.File) error {
	for {
		err := lockFile(file, true)
		if !errors.Is(err, errGateClosed) {
			return err
		}
		if err := pause(ctx, gatePause); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (g *gate) close() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var err error
	for _, file := range []*os.File{g.inner, g.entry} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	g.inner, g.entry = nil, nil
	return err
}
