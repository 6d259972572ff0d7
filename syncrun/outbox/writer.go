package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	file   *os.File
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
	bytes   int64
	// replaced are older runs of the source given up to make room.
	replaced []Run
	over     bool
}

// Begin starts a run. Nothing of it can be delivered before Commit.
func (o *Outbox) Begin(head Head) (*Writer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, ErrClosed
	}
	// A lease completes it when the totals are known.
	meta, err := json.Marshal(payload.SyncMeta{SyncServiceID: head.ServiceID, SyncRunID: head.ID, RunStarted: &head.Started})
	if err != nil {
		return nil, fmt.Errorf("encode run: %w", err)
	}
	f, err := os.CreateTemp(o.dir, "run-*"+spoolSuffix)
	if err != nil {
		return nil, fmt.Errorf("create outbox file: %w", err)
	}
	w := &Writer{outbox: o, head: head, file: f, path: filepath.Join(o.dir, filepath.Base(f.Name()))}
	w.buffer = buffers.Get().(*[]byte)
	w.json = (*w.buffer)[:0]
	w.encoder.meta = meta
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
	w.frame = appendRecord(w.frame[:0], w.outbox.encoder, w.json, w.inChunk)
	if err := w.reserve(ctx, int64(len(w.frame))); err != nil {
		return err
	}
	if _, err := w.file.Write(w.frame); err != nil {
		return fmt.Errorf("write run to outbox: %w", err)
	}
	w.chunks++
	w.inChunk = 0
	w.json = w.json[:0]
	return nil
}

// reserve takes disk for the next record.
func (w *Writer) reserve(ctx context.Context, size int64) error {
	o := w.outbox
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return ErrClosed
		}
		for o.used+size > o.options.MaxBytes && w.giveUpOlderLocked() {
			continue
		}
		if o.used+size <= o.options.MaxBytes {
			o.used += size
			w.bytes += size
			o.mu.Unlock()
			return nil
		}
		space, leaving := o.space, o.pending > 0
		o.mu.Unlock()
		if !leaving {
			return fmt.Errorf("%w: %d bytes taken by runs being read, %d allowed", ErrFull, o.options.MaxBytes, o.options.MaxBytes)
		}
		select {
		case <-space:
		case <-ctx.Done():
			return fmt.Errorf("%w, waiting for the gateway to take older runs: %w", ErrFull, context.Cause(ctx))
		}
	}
}

// giveUpOlderLocked drops the oldest run of the same source that nobody is
// sending: what is being written replaces it, before any other source loses.
func (w *Writer) giveUpOlderLocked() bool {
	for _, s := range w.outbox.bySource[w.head.Source] {
		if !s.leased {
			w.replaced = append(w.replaced, s.Run)
			w.outbox.removeLocked(s)
			return true
		}
	}
	return false
}

// Outcome is what is known of a run once it is read.
type Outcome struct {
	// Mode, Note and Refused are those of Run.
	Mode, Note string
	Refused    int64
}

// Commit closes the run: from then on it can be leased. A run without updates
// has one chunk, an empty array. A snapshot supersedes the older runs of its
// source; those nobody is sending are dropped and returned, the one that is
// being sent gets no further attempt.
func (w *Writer) Commit(ctx context.Context, outcome Outcome) (Run, []Run, error) {
	if w.over {
		return Run{}, nil, ErrClosed
	}
	if w.inChunk > 0 || w.chunks == 0 {
		if err := w.flush(ctx); err != nil {
			w.Abort()
			return Run{}, w.replaced, err
		}
	}
	w.end()
	o := w.outbox
	run := Run{Head: w.head, Mode: outcome.Mode, Note: outcome.Note, Refused: outcome.Refused, Updates: w.updates, Chunks: w.chunks, Bytes: w.bytes, Committed: o.options.Now()}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return Run{}, w.replaced, ErrClosed
	}
	if outcome.Mode == payload.ModeSnapshot {
		for _, s := range append([]*stored(nil), o.bySource[w.head.Source]...) {
			s.superseded = true
			if !s.leased {
				w.replaced = append(w.replaced, s.Run)
				o.removeLocked(s)
			}
		}
	}
	o.bySource[w.head.Source] = append(o.bySource[w.head.Source], &stored{Run: run, path: w.path})
	o.pending++
	return run, w.replaced, nil
}

// Abort ends the run and removes what was written of it. After Commit it does
// nothing. It returns the older runs that were given up for this one.
func (w *Writer) Abort() []Run {
	if w.over {
		return nil
	}
	w.end()
	w.outbox.mu.Lock()
	defer w.outbox.mu.Unlock()
	w.outbox.removeFileLocked(w.path, w.bytes)
	return w.replaced
}

func (w *Writer) end() {
	w.over = true
	_ = w.file.Close()
	*w.buffer = w.json
	buffers.Put(w.buffer)
	w.json, w.buffer, w.frame = nil, nil, nil
}
