package outbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"edgesync/proto/payload"
)

// fullness is why nothing more is taken.
type fullness struct {
	// since is when it began; zero while there is room.
	since time.Time
	// cause is what stood in the way; onDisk tells the disk's end from the
	// outbox's own bound.
	cause  error
	onDisk bool
	probed time.Time
}

const (
	// roomPart is the part of the bound that must be free again before a full
	// outbox takes runs.
	roomPart = 8
	// probeSize is what a disk must take to count as having room, probeEvery how
	// often it is tried.
	probeSize  = 256 << 10
	probeEvery = 5 * time.Second
)

// SetShares says how many tenants share the outbox. One of several may take half
// of it, so that its runs never keep the others' out.
func (o *Outbox) SetShares(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit = o.options.MaxBytes
	if n > 1 {
		o.limit /= 2
	}
}

// Full tells why the outbox takes no more runs, or nil while it does. A full
// outbox has room again as soon as enough has left it or the disk takes files.
func (o *Outbox) Full() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full.since.IsZero() || o.closed {
		return nil
	}
	if o.roomLocked() {
		o.full = fullness{}
		return nil
	}
	return o.full.cause
}

func (o *Outbox) roomLocked() bool {
	if !o.full.onDisk {
		return o.used <= o.options.MaxBytes-o.options.MaxBytes/roomPart
	}
	now := o.options.Now()
	if now.Sub(o.full.probed).Abs() < probeEvery {
		return false
	}
	o.full.probed = now
	return o.probe() == nil
}

// probe tries whether the disk takes a file.
func (o *Outbox) probe() error {
	path := filepath.Join(o.dir, "probe")
	if err := o.fs.Remove(path); err != nil && !isNotExist(err) {
		return err
	}
	f, err := o.fs.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, probeSize), 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), o.fs.Remove(path))
}

// reserve takes disk for what a writer is about to write. What the writer's run
// replaces goes first; then it waits for as long as things leave.
func (w *Writer) reserve(ctx context.Context, size int64) error {
	o := w.outbox
	patience := time.NewTimer(o.options.Patience)
	defer patience.Stop()
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return ErrClosed
		}
		if o.overLocked(w.head.Share, size) && w.giveUpLocked() {
			o.mu.Unlock()
			o.settle()
			continue
		}
		if !o.overLocked(w.head.Share, size) {
			o.takeLocked(w.head.Share, size)
			w.bytes += size
			o.mu.Unlock()
			return nil
		}
		space, leaving, own := o.space, o.pending+o.departing > 0, o.used+size <= o.options.MaxBytes
		o.mu.Unlock()
		if leaving {
			select {
			case <-space:
				patience.Reset(o.options.Patience)
				continue
			case <-patience.C:
			case <-ctx.Done():
				return fmt.Errorf("%w, waiting for the gateway to take older runs: %w", ErrFull, context.Cause(ctx))
			}
		}
		err := fmt.Errorf("%w: it may take %d bytes; raise its bound, or see to it that the gateway takes what waits", ErrFull, o.options.MaxBytes)
		if own {
			return fmt.Errorf("%w: one tenant's runs may take %d bytes of it; raise its bound", ErrFull, o.limit)
		}
		o.filled(err, false)
		return err
	}
}

func (o *Outbox) overLocked(share string, size int64) bool {
	return o.used+size > o.options.MaxBytes || o.shares[share]+size > o.limit
}

// filled marks the outbox as full.
func (o *Outbox) filled(cause error, onDisk bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.options.Now()
	if o.full.since.IsZero() {
		o.full.since = now
	}
	o.full.cause, o.full.onDisk, o.full.probed = cause, onDisk, now
}

// giveUpLocked drops one run to make room and returns whether there was one:
// first a run of any source of which a newer snapshot is there, the writer's own
// share before others; then a run of the writer's own source, which what is being
// written replaces. Nothing else is ever dropped.
func (w *Writer) giveUpLocked() bool {
	o := w.outbox
	var victim *stored
	for _, list := range o.bySource {
		s := replaceable(list)
		if s == nil {
			continue
		}
		mine, best := s.Share == w.head.Share, victim != nil && victim.Share == w.head.Share
		if victim == nil || mine && !best || mine == best && s.number < victim.number {
			victim = s
		}
	}
	if victim == nil {
		for _, s := range o.bySource[w.head.Source] {
			if !s.leased {
				victim = s
				break
			}
		}
	}
	if victim == nil {
		return false
	}
	w.replaced = append(w.replaced, victim.Run)
	o.endLocked(victim, Totals{Superseded: victim.Updates})
	return true
}

// replaceable is the oldest run of a source that nobody is sending and that a
// newer snapshot makes needless.
func replaceable(list []*stored) *stored {
	for i := len(list) - 1; i > 0; i-- {
		if list[i].Mode != payload.ModeSnapshot {
			continue
		}
		for _, s := range list[:i] {
			if !s.leased {
				return s
			}
		}
	}
	return nil
}
