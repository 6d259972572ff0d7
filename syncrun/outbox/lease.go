package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"edgesync/proto/payload"
)

// Lease is the right to send one run. It belongs to one goroutine, which reads
// the chunks in order, as often as it needs, and ends it with Delivered, Drop
// or Release.
type Lease struct {
	Run    Run
	outbox *Outbox
	stored *stored
	file   *os.File
	index  int
	// frame, plain, meta and full are reused from chunk to chunk.
	frame, plain, meta, full []byte
}

// Chunk is one results message.
type Chunk struct {
	Index, Total int
	// JSON is valid until the next call of Next.
	JSON    []byte
	Updates int
}

// Final says that no chunk follows.
func (c Chunk) Final() bool { return c.Index == c.Total-1 }

// Lease returns the oldest run of a source, or nil when there is none or it is
// leased already.
func (o *Outbox) Lease(source string) (*Lease, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, ErrClosed
	}
	list := o.bySource[source]
	if len(list) == 0 || list[0].leased {
		return nil, nil
	}
	s := list[0]
	f, err := os.Open(s.path)
	if err != nil {
		o.removeLocked(s)
		return nil, &DamagedError{Run: s.Run, Err: err}
	}
	s.leased = true
	return &Lease{Run: s.Run, outbox: o, stored: s, file: f}, nil
}

// DamagedError says that a run cannot be read back. It is no longer in the
// outbox, or is not to be leased again.
type DamagedError struct {
	Run Run
	Err error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("read run %s from outbox: %v; it is dropped and the source is read again", e.Run.ID, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// Next returns the next chunk, each update of which says its place in the run.
// It ends with io.EOF after the last.
func (l *Lease) Next() (Chunk, error) {
	return l.next(false)
}

// NextApart returns the next chunk made to be sent as a stream of its own, as a
// part of its run that is no snapshot.
func (l *Lease) NextApart() (Chunk, error) {
	return l.next(true)
}

func (l *Lease) next(apart bool) (Chunk, error) {
	frame, plain, updates, err := readRecord(l.file, l.outbox.decoder, l.frame, l.plain)
	l.frame = frame
	if errors.Is(err, io.EOF) && l.index == l.Run.Chunks {
		return Chunk{}, io.EOF
	}
	if err == nil && l.index == l.Run.Chunks {
		err = errDamaged
	}
	if errors.Is(err, io.EOF) {
		err = errDamaged
	}
	if err != nil {
		return Chunk{}, &DamagedError{Run: l.Run, Err: err}
	}
	l.plain = plain
	chunk := Chunk{Index: l.index, Total: l.Run.Chunks, Updates: updates}
	l.index++
	l.complete(chunk, apart)
	chunk.JSON = l.full
	return chunk, nil
}

// complete fills in the sync_meta of every update what was not known when it
// was written: how long the run became and whether it is a snapshot. The run's
// id is random, so that no update holds the sequence anywhere else.
func (l *Lease) complete(chunk Chunk, apart bool) {
	mark := runMark(l.Run.ID)
	l.meta = append(l.meta[:0], mark...)
	mode := payload.ModeIncremental
	if !apart {
		mode = l.Run.Mode
		l.meta = fmt.Appendf(l.meta, `,"chunk_index":%d,"total_chunks":%d,"total_devices":%d,"is_final":%t`,
			chunk.Index, chunk.Total, l.Run.Updates, chunk.Final())
	}
	l.meta = fmt.Appendf(l.meta, `,"mode":"%s"`, mode)
	l.full = replaceAll(l.full[:0], l.plain, mark, l.meta)
}

// runMark is how a run's id looks in the JSON of each of its updates.
func runMark(id string) []byte {
	quoted, err := json.Marshal(id)
	if err != nil {
		panic("a string has no JSON: " + err.Error())
	}
	return append([]byte(`"sync_run_id":`), quoted...)
}

// replaceAll is bytes.ReplaceAll into dst's memory.
func replaceAll(dst, s, old, replacement []byte) []byte {
	for {
		i := bytes.Index(s, old)
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		dst = append(dst, replacement...)
		s = s[i+len(old):]
	}
}

// Rewind makes Next begin with the first chunk again.
func (l *Lease) Rewind() error {
	l.index = 0
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return &DamagedError{Run: l.Run, Err: err}
	}
	return nil
}

// Delivered ends the lease of a run that was acknowledged, and Drop that of one
// that never will be: the run leaves the outbox.
func (l *Lease) Delivered() { l.end(true) }

// Drop ends the lease and removes the run.
func (l *Lease) Drop() { l.end(true) }

// Release gives the run back for another attempt. It returns false when there
// will be none: a newer snapshot or DropSource has taken its place.
func (l *Lease) Release() bool { return !l.end(false) }

// end returns whether the run is gone.
func (l *Lease) end(remove bool) bool {
	_ = l.file.Close()
	o := l.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	l.stored.leased = false
	if remove || l.stored.superseded {
		o.removeLocked(l.stored)
		return true
	}
	return false
}
