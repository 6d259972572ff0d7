package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"edgesync/proto/payload"
)

// maxUpdate is the longest JSON of one update. A chunk is closed once it has
// reached its target, so it ends below payload.ChunkMax even when the last
// update is the longest and its sync_meta is completed for sending.
const maxUpdate = 256 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Writer takes the updates of one run. It belongs to one goroutine, and ends
// with Commit or Abort.
type Writer struct {
	outbox *Outbox
	head   Head
	file   File
	path   string
	// json is the open chunk, in the buffer's memory; frame is the compressed
	// one on its way out.
	json    []byte
	buffer  *[]byte
	encoder updateEncoder
	frame   []byte

	inChunk int
	updates int64
	chunks  int
	// offset is where the next record goes, bytes what was reserved.
	offset, bytes int64
	// replaced are older runs given up to make room.
	replaced []Run
	over     bool
}

// Begin starts a run. Nothing of it can be delivered before Commit.
func (o *Outbox) Begin(head Head) (*Writer, error) {
	// A lease completes it when the totals are known.
	meta, err := json.Marshal(payload.SyncMeta{SyncServiceID: head.ServiceID, SyncRunID: head.ID, RunStarted: &head.Started})
	if err != nil {
		return nil, fmt.Errorf("encode run: %w", err)
	}
	first, err := encodeHead(head)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, ErrClosed
	}
	o.next++
	path := o.path(o.next, partSuffix)
	o.mu.Unlock()
	f, err := o.fs.Create(path)
	if err != nil {
		return nil, o.writeError(err)
	}
	w := &Writer{outbox: o, head: head, file: f, path: path}
	w.buffer = buffers.Get().(*[]byte)
	w.json = (*w.buffer)[:0]
	w.encoder.meta = meta
	// Its place is taken with the first chunk's.
	if err := w.put(first); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// Add appends an update, with the run's sync_meta in place of its own. It waits
// while the outbox is full of runs that are leaving, and gives up with ErrFull
// when none is.
func (w *Writer) Add(ctx context.Context, update *payload.Update) error {
	if w.over {
		return ErrClosed
	}
	before := len(w.json)
	separator := byte(',')
	if before == 0 {
		separator = '['
	}
	w.json = w.encoder.append(append(w.json, separator), update)
	if len(w.json)-before > maxUpdate {
		w.json = w.json[:before]
		return fmt.Errorf("%w: one update of more than %d bytes", ErrTooLarge, maxUpdate)
	}
	w.inChunk++
	w.updates++
	if len(w.json) >= w.outbox.options.ChunkTarget || w.inChunk >= w.outbox.options.ChunkUpdates {
		return w.flush(ctx)
	}
	return nil
}

// Updates and Chunks return how much was added and how many chunks were closed.
func (w *Writer) Updates() int64 { return w.updates }

// Chunks returns how many chunks were closed.
func (w *Writer) Chunks() int { return w.chunks }

func (w *Writer) flush(ctx context.Context) error {
	if len(w.json) == 0 {
		w.json = append(w.json, '[')
	}
	w.json = append(w.json, ']')
	if w.chunks == payload.MaxServices {
		return fmt.Errorf("%w: more than %d chunks", ErrTooLarge, payload.MaxServices)
	}
	w.frame = appendRecord(w.frame[:0], w.outbox.encoder, w.json, w.inChunk, w.chunks)
	if err := w.write(ctx, w.frame); err != nil {
		return err
	}
	w.chunks++
	w.inChunk = 0
	w.json = w.json[:0]
	return nil
}

// write puts bytes at the end of the file, which then counts with them.
func (w *Writer) write(ctx context.Context, data []byte) error {
	if err := w.reserve(ctx, w.offset+int64(len(data))-w.bytes); err != nil {
		return err
	}
	return w.put(data)
}

// put writes, and while the disk is full gives up what the run replaces.
func (w *Writer) put(data []byte) error {
	for {
		_, err := w.file.WriteAt(data, w.offset)
		if err == nil {
			w.offset += int64(len(data))
			return nil
		}
		if !noSpace(err) || !w.giveUp() {
			return w.outbox.writeError(err)
		}
	}
}

func (w *Writer) giveUp() bool {
	w.outbox.mu.Lock()
	defer w.outbox.mu.Unlock()
	return w.giveUpLocked()
}

// writeError is why a run cannot be written; where it is for want of disk the
// outbox is full.
func (o *Outbox) writeError(err error) error {
	if !noSpace(err) {
		return fmt.Errorf("write run to outbox: %w", err)
	}
	full := fmt.Errorf("%w: the disk has no room (%w); free some", ErrFull, err)
	o.filled(full, true)
	return full
}

// Outcome is what is known of a run once it is read.
type Outcome struct {
	// Mode, Note and Refused are those of Run.
	Mode, Note string
	Refused    int64
}

// Commit closes the run: it is on disk, whatever happens to the process or the
// machine, and from then on it can be leased. A run without updates has one
// chunk, an empty array.
//
// A snapshot takes the place of the older runs of its source, but for the one
// first in line, which is delivered as it was found. What it replaced is returned.
func (w *Writer) Commit(ctx context.Context, outcome Outcome) (Run, []Run, error) {
	if w.over {
		return Run{}, nil, ErrClosed
	}
	s, err := w.finish(ctx, outcome)
	if err != nil {
		return Run{}, w.Abort(), err
	}
	o := w.outbox
	w.end()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		// It is on disk and will be found.
		return Run{}, w.replaced, ErrClosed
	}
	o.ledger.taken(s.number, s.Updates)
	if list := o.bySource[s.Source]; s.Mode == payload.ModeSnapshot && len(list) > 1 {
		for _, old := range slices.Clone(list[1:]) {
			w.replaced = append(w.replaced, old.Run)
			o.endLocked(old, Totals{Superseded: old.Updates})
		}
	}
	o.listLocked(s)
	return s.Run, w.replaced, nil
}

// finish brings the run to the disk and gives the file its name as a run.
func (w *Writer) finish(ctx context.Context, outcome Outcome) (*stored, error) {
	o := w.outbox
	if w.inChunk > 0 || w.chunks == 0 {
		if err := w.flush(ctx); err != nil {
			return nil, err
		}
	}
	run := Run{Head: w.head, Mode: outcome.Mode, Note: outcome.Note, Refused: outcome.Refused, Updates: w.updates, Chunks: w.chunks, Committed: o.options.Now()}
	tail, err := encodeTail(run)
	if err != nil {
		return nil, err
	}
	if err := w.write(ctx, tail); err != nil {
		return nil, err
	}
	run.Bytes = w.offset
	// What a failed fsync leaves on disk is not known, not even to a second one:
	// such a run is not taken.
	if err := w.file.Sync(); err != nil {
		return nil, o.writeError(err)
	}
	o.mu.Lock()
	o.next++
	s := &stored{Run: run, number: o.next}
	o.mu.Unlock()
	s.path = o.path(s.number, runSuffix)
	if err := o.fs.Rename(w.path, s.path); err != nil {
		return nil, o.writeError(err)
	}
	w.path = s.path
	if err := o.fs.SyncDir(o.dir); err != nil {
		return nil, o.writeError(err)
	}
	return s, nil
}

// listLocked adds a run to those that wait, in the order of their numbers.
func (o *Outbox) listLocked(s *stored) {
	list := append(slices.Clone(o.bySource[s.Source]), s)
	for i := len(list) - 1; i > 0 && list[i].number < list[i-1].number; i-- {
		list[i], list[i-1] = list[i-1], list[i]
	}
	o.bySource[s.Source] = list
	o.pending++
}

// Abort ends the run and removes what was written of it. After Commit it does
// nothing. It returns the older runs that were given up for this one.
func (w *Writer) Abort() []Run {
	if w.over {
		return nil
	}
	w.end()
	o := w.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.fs.Remove(w.path)
	o.freeLocked(w.head.Share, w.bytes)
	return w.replaced
}

func (w *Writer) end() {
	w.over = true
	_ = w.file.Close()
	*w.buffer = w.json
	buffers.Put(w.buffer)
	w.json, w.buffer, w.frame = nil, nil, nil
}
