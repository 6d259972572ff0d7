package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"edgesync/proto/payload"
)

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Writer takes the updates of one run. It belongs to one goroutine, and ends
// with Commit or Abort.
type Writer struct {
	outbox  *Outbox
	head    Head
	file    File
	path    string
	encoder *payload.Encoder
	// meta is how each update ends.
	meta []byte

	// open is the chunk that grows. spare is the memory of the one before, which
	// may be on its way to the disk meanwhile.
	open, spare *[]byte
	// writing is told once that is done; nil while nothing is on its way. stop
	// ends its waiting for room.
	writing chan error
	stop    context.CancelFunc
	// record is the one on its way out.
	record []byte

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
	first, err := encodeHead(head)
	if err != nil {
		return nil, err
	}
	meta, err := openMeta(head)
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
	w := &Writer{outbox: o, head: head, file: f, path: path, meta: meta, stop: func() {}}
	w.encoder = payload.NewEncoder(o.options.Now, head.metadata())
	w.open = buffers.Get().(*[]byte)
	*w.open = append((*w.open)[:0], arrayOpen...)
	// Its place is taken with the first chunk's.
	if err := w.put(first); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// metadata is what each update of the run says of its source.
func (h Head) metadata() map[string]string {
	own := map[string]string{}
	if h.Type != "" {
		own[payload.MetaIntegrationType] = h.Type
	}
	if h.SourceID != "" {
		own[payload.MetaIntegrationSourceID] = h.SourceID
	}
	return own
}

// Add appends an update, with the run's source and sync_meta in the place of its
// own. One that a gateway would refuse is refused with its *payload.UpdateError,
// and the run goes on without it. Add waits while the outbox is full of runs that
// are leaving, and gives up with ErrFull when none is.
func (w *Writer) Add(ctx context.Context, update *payload.Update) error {
	if w.over {
		return ErrClosed
	}
	chunk := *w.open
	before := len(chunk)
	if w.inChunk > 0 {
		chunk = append(chunk, separator...)
	}
	start := len(chunk)
	chunk, err := w.encoder.Append(chunk, update)
	if err != nil {
		return err
	}
	// Its own end is where its sync_meta goes.
	chunk = append(chunk[:len(chunk)-1], w.meta...)
	*w.open = chunk
	if w.inChunk > 0 && (w.inChunk == w.outbox.options.ChunkUpdates || w.length(w.inChunk+1) > w.outbox.options.ChunkTarget) {
		if err := w.flush(ctx, before, start); err != nil {
			return err
		}
	}
	w.inChunk++
	w.updates++
	return nil
}

// length is how long the open chunk is as it is sent, with so many updates.
func (w *Writer) length(updates int) int { return len(*w.open) + updates*longestLate + len(arrayClose) }

// Updates and Chunks return how much was added and how many chunks were closed.
func (w *Writer) Updates() int64 { return w.updates }

// Chunks returns how many chunks were closed.
func (w *Writer) Chunks() int { return w.chunks }

// background is how long a chunk must be to be written beside the next one's
// making.
const background = 64 << 10

// flush closes the open chunk, which ends at end; what begins at next opens the
// next one. What became of a chunk may be known only with the next.
func (w *Writer) flush(ctx context.Context, end, next int) error {
	if err := w.join(); err != nil {
		return err
	}
	if w.chunks == payload.MaxServices {
		return fmt.Errorf("%w: more than %d chunks", ErrTooLarge, payload.MaxServices)
	}
	if w.spare == nil {
		w.spare = buffers.Get().(*[]byte)
	}
	*w.spare = append(append((*w.spare)[:0], arrayOpen...), (*w.open)[next:]...)
	*w.open = append((*w.open)[:end], arrayClose...)
	chunk, updates, index := *w.open, w.inChunk, w.chunks
	w.open, w.spare = w.spare, w.open
	w.chunks++
	w.inChunk = 0
	if len(chunk) < background {
		return w.store(ctx, chunk, updates, index)
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.writing = make(chan error, 1)
	go func() { w.writing <- w.store(ctx, chunk, updates, index) }()
	return nil
}

// join waits for the chunk that is on its way to the disk.
func (w *Writer) join() error {
	if w.writing == nil {
		return nil
	}
	err := <-w.writing
	w.stop()
	w.writing, w.stop = nil, func() {}
	return err
}

// store brings a chunk to the disk.
func (w *Writer) store(ctx context.Context, chunk []byte, updates, index int) error {
	w.record = appendRecord(w.record[:0], chunk, updates, index)
	return w.write(ctx, w.record)
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
	defer w.outbox.settle()
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
	defer o.settleSoon()
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
		if err := w.flush(ctx, len(*w.open), len(*w.open)); err != nil {
			return nil, err
		}
	}
	if err := w.join(); err != nil {
		return nil, err
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
	if err := o.names.do(func() error { return o.fs.SyncDir(o.dir) }); err != nil {
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
	w.stop()
	_ = w.join() // Nobody asks any more what became of it.
	_ = w.file.Close()
	buffers.Put(w.open)
	if w.spare != nil {
		buffers.Put(w.spare)
	}
	w.open, w.spare, w.record = nil, nil, nil
}
