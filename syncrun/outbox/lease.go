package outbox

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"edgesync/proto/payload"
)

// Lease is the right to send one run. It belongs to one goroutine, which reads
// the chunks in order, as often as it needs, and ends it with Delivered, Refused,
// Quarantine or Release.
type Lease struct {
	Run    Run
	outbox *Outbox
	stored *stored
	file   File
	// chunks is where the first chunk lies, reader what is between there and
	// the tail.
	chunks int64
	reader *io.SectionReader
	index  int
	// plain and late are reused from chunk to chunk, packed and messages in turn.
	plain, late      []byte
	packed, messages [2][]byte
}

// Chunk is one results message.
type Chunk struct {
	Index, Total int
	// Message is plain JSON, or packed. It is valid until the chunk after the next
	// is asked for, so that a chunk can be read while the one before is sent.
	Message []byte
	Updates int
}

// Final says that no chunk follows.
func (c Chunk) Final() bool { return c.Index == c.Total-1 }

// Lease returns the oldest run of a source, or nil when there is none or it is
// leased already. A run that cannot be read is put aside and a *DamagedError.
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
	l := &Lease{Run: list[0].Run, outbox: o, stored: list[0]}
	if err := l.open(); err != nil {
		if l.file != nil {
			_ = l.file.Close()
		}
		return nil, o.quarantineLocked(l.stored, err)
	}
	l.stored.leased = true
	return l, nil
}

// open reads that the file is the one that was committed.
func (l *Lease) open() (err error) {
	if l.file, err = l.outbox.fs.Open(l.stored.path); err != nil {
		l.file = nil
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != l.Run.Bytes {
		return errDamaged
	}
	head, begin, err := readHead(l.file)
	if err != nil {
		return err
	}
	tail, end, err := readTail(l.file, info.Size())
	if err != nil {
		return err
	}
	if head.ID != l.Run.ID || tail.Chunks != l.Run.Chunks || end < begin {
		return errDamaged
	}
	l.chunks = begin
	l.reader = io.NewSectionReader(l.file, begin, end-begin)
	return nil
}

// DamagedError says that a run cannot be read back. It is no longer in the
// outbox.
type DamagedError struct {
	// Run is what is known of it; of some nothing but that they were there.
	Run Run
	// Path is where the file was put aside; empty where there is none.
	Path string
	Err  error
}

func (e *DamagedError) Error() string {
	name := e.Run.ID
	if name == "" {
		name = "of an unknown source"
	}
	text := fmt.Sprintf("read run %s from outbox: %v; the source is read again", name, e.Err)
	if e.Path != "" {
		text += ", and the file kept as " + e.Path
	}
	return text
}

func (e *DamagedError) Unwrap() error { return e.Err }

// quarantineLocked takes a run that cannot be read out of the outbox and keeps
// its file aside.
func (o *Outbox) quarantineLocked(s *stored, err error) *DamagedError {
	damaged := &DamagedError{Run: s.Run, Err: err}
	if o.unlistLocked(s) {
		// First the file, then the word: a run that is written off while its file
		// keeps its name would be removed by the next Open. Where the file cannot
		// be put aside, the next Open tries to read it again.
		if bad := o.path(s.number, badSuffix); o.fs.Rename(s.path, bad) == nil {
			damaged.Path = bad
			o.ledger.ended(s.number, Totals{Damaged: s.Updates})
		}
		o.freeLocked(s.Share, s.Bytes)
		o.trimBad()
	}
	return damaged
}

// Form is how the chunks of a lease are wanted.
type Form int

const (
	// Plain is JSON, each update of which says its place in the run. Apart is
	// that of chunks to be sent as streams of their own, parts of the run that are
	// no snapshot. Packed is for a gateway that reads it and the call's metadata.
	Plain Form = iota
	Apart
	Packed
)

// Next returns the next chunk. It ends with io.EOF after the last.
func (l *Lease) Next(form Form) (Chunk, error) {
	slot := l.index % 2
	packed, updates, err := readRecord(l.reader, l.index, l.packed[slot])
	l.packed[slot] = packed
	if errors.Is(err, io.EOF) && l.index == l.Run.Chunks {
		return Chunk{}, io.EOF
	}
	if err == nil && l.index == l.Run.Chunks || errors.Is(err, io.EOF) {
		err = errDamaged
	}
	chunk := Chunk{Index: l.index, Total: l.Run.Chunks, Message: packed, Updates: updates}
	if err == nil && form != Packed {
		chunk.Message, err = l.message(chunk, form == Apart)
	}
	if err != nil {
		return Chunk{}, &DamagedError{Run: l.Run, Err: err}
	}
	l.index++
	return chunk, nil
}

// message is the chunk in JSON.
func (l *Lease) message(chunk Chunk, apart bool) (_ []byte, err error) {
	if l.plain, err = payload.Unpack(l.plain, chunk.Message, payload.ChunkMax); err != nil {
		return nil, errDamaged
	}
	l.late = lateMeta(l.late[:0], l.Run, chunk.Index, apart)
	slot := &l.messages[chunk.Index%2]
	*slot = slices.Grow((*slot)[:0], len(l.plain)+chunk.Updates*len(l.late))
	message, updates, err := complete(*slot, l.plain, l.late)
	if err == nil && updates != chunk.Updates {
		err = errDamaged
	}
	*slot = message
	return message, err
}

// Rewind makes Next begin with the first chunk again.
func (l *Lease) Rewind() error {
	l.index = 0
	if _, err := l.reader.Seek(0, io.SeekStart); err != nil {
		return &DamagedError{Run: l.Run, Err: err}
	}
	return nil
}

// Delivered ends the lease of a run of which the gateway has acknowledged so
// many updates and refused the others for good: the run leaves the outbox. What
// was refused is kept aside.
func (l *Lease) Delivered(acknowledged int64, refused ...Refusal) {
	l.end(Totals{Acknowledged: acknowledged, Refused: l.Run.Updates - acknowledged}, refused)
}

// Refused ends the lease of a run that the gateway will never take.
func (l *Lease) Refused(why string) {
	l.end(Totals{Refused: l.Run.Updates}, []Refusal{{Chunk: wholeRun, Why: why}})
}

// Quarantine ends the lease of a run that cannot be read back and keeps its file
// aside.
func (l *Lease) Quarantine(err error) *DamagedError {
	_ = l.file.Close()
	l.outbox.mu.Lock()
	defer l.outbox.mu.Unlock()
	return l.outbox.quarantineLocked(l.stored, err)
}

// Release gives the run back for another attempt. It returns false when there
// will be none because its source was dropped meanwhile.
func (l *Lease) Release() bool {
	_ = l.file.Close()
	defer l.outbox.settleSoon()
	l.outbox.mu.Lock()
	defer l.outbox.mu.Unlock()
	l.stored.leased = false
	if l.stored.withdrawn {
		l.outbox.endLocked(l.stored, Totals{Withdrawn: l.Run.Updates})
		return false
	}
	return true
}

func (l *Lease) end(add Totals, refused []Refusal) {
	_ = l.file.Close()
	defer l.outbox.settleSoon()
	l.outbox.mu.Lock()
	defer l.outbox.mu.Unlock()
	l.stored.leased = false
	l.stored.refused = refused
	l.outbox.endLocked(l.stored, add)
}
