package outbox

import "sync"

// batch has one piece of work done once for all who ask for it before it begins:
// a disk takes as long to make one name durable as a hundred.
type batch struct {
	asking sync.Mutex
	asked  uint64

	// working is held while the work is done; done is up to whom it was, failed up
	// to whom it went wrong the last time, and failure how.
	working      sync.Mutex
	done, failed uint64
	failure      error
}

// do returns when the work has been done at least once from its beginning to its
// end since do was called.
func (b *batch) do(work func() error) error {
	mine := b.ask(true)
	b.working.Lock()
	defer b.working.Unlock()
	if b.done < mine {
		b.done = b.ask(false)
		if err := work(); err != nil {
			b.failed, b.failure = b.done, err
		}
	}
	// Somebody whose work was done well before it went wrong for others may be
	// told of that too: what it asked for is then taken back, which does no harm.
	if mine <= b.failed {
		return b.failure
	}
	return nil
}

// ask counts who asks, one more if it is me.
func (b *batch) ask(me bool) uint64 {
	b.asking.Lock()
	defer b.asking.Unlock()
	if me {
		b.asked++
	}
	return b.asked
}
