// Package outbox keeps what runs have found until the gateway has acknowledged
// it. A run's updates become chunks of bounded size on disk, compressed, so
// that no inventory is ever held in memory and a slow gateway costs disk, not
// memory and not another source's time. It knows runs, their order and their
// limits; it knows nothing of adapters, connections or schedules.
//
// What lies in the directory belongs to one process and ends with it.
package outbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"edgesync/proto/payload"
)

// DefaultMaxBytes is how much disk an outbox may take when nothing else is said.
const DefaultMaxBytes = 1 << 30

// spoolSuffix names the files of an outbox.
const spoolSuffix = ".spool"

var (
	// ErrFull says that the outbox has reached its bound and nothing in it is
	// about to leave.
	ErrFull = errors.New("write run to outbox: it is full")
	// ErrClosed says that the outbox was closed.
	ErrClosed = errors.New("use outbox: it is closed")
	// ErrTooLarge refuses a single update that would not fit a chunk, and a run
	// of more chunks than a stream may have.
	ErrTooLarge = errors.New("write run to outbox: too large")
)

// Options of Open. The zero value of each field means its default.
type Options struct {
	// MaxBytes bounds the disk taken, compressed.
	MaxBytes int64
	// ChunkTarget is the size of JSON at which a chunk is closed, ChunkUpdates
	// the number of updates.
	ChunkTarget, ChunkUpdates int
	// Now is the clock.
	Now func() time.Time
}

// Head is what is known of a run before it is read.
type Head struct {
	ID string
	// Source orders runs: those of one source leave in the order of their
	// commits. It is unique over all tenants.
	Source string
	// Name and Tenant are what people call the source and its tenant.
	Name, Tenant string
	// TenantID, SourceID and ServiceID are the wire's; each may be empty.
	TenantID, SourceID, ServiceID string
	Partition                     string
	Started                       time.Time
}

// Run is a run that waits to be delivered.
type Run struct {
	Head
	// Mode is payload.ModeSnapshot or payload.ModeIncremental.
	Mode string
	// Note says why the run does not cover its source; empty when it does.
	Note string
	// Refused counts what was found and left out because it is not valid.
	Refused   int64
	Updates   int64
	Chunks    int
	Bytes     int64
	Committed time.Time
}

// stored is a committed run with its place on disk.
type stored struct {
	Run
	path string
	// leased says that somebody is sending it; superseded that a newer
	// snapshot has taken its place meanwhile.
	leased, superseded bool
}

// Outbox is a directory of runs. It is safe for concurrent use.
type Outbox struct {
	dir       string
	lock      *os.File
	temporary bool
	options   Options
	encoder   *zstd.Encoder
	decoder   *zstd.Decoder

	mu     sync.Mutex
	closed bool
	used   int64
	// bySource holds committed runs, oldest first.
	bySource map[string][]*stored
	pending  int
	// space is closed and replaced whenever disk is given back.
	space chan struct{}
}

// Open takes a directory for this process alone and removes what an earlier one
// left in it. It is created 0700 if need be; an empty name stands for a
// temporary directory that Close removes.
func Open(dir string, options Options) (*Outbox, error) {
	o := &Outbox{dir: dir, options: options.withDefaults(), bySource: map[string][]*stored{}, space: make(chan struct{})}
	var err error
	if dir == "" {
		o.temporary = true
		o.dir, err = os.MkdirTemp("", "edgesync-outbox-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("create outbox: %w", err)
	}
	if o.lock, err = lockDir(o.dir); err != nil {
		return nil, err
	}
	if err := o.start(); err != nil {
		return nil, errors.Join(err, o.lock.Close())
	}
	return o, nil
}

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.ChunkTarget <= 0 {
		o.ChunkTarget = payload.ChunkTarget
	}
	if o.ChunkUpdates <= 0 {
		o.ChunkUpdates = payload.MaxServices
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Outbox) start() (err error) {
	if err := o.sweep(); err != nil {
		return err
	}
	o.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return fmt.Errorf("prepare outbox compression: %w", err)
	}
	o.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(payload.ChunkMax), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("prepare outbox compression: %w", err)
	}
	return nil
}

// sweep removes every spool file in the directory.
func (o *Outbox) sweep() error {
	files, err := os.ReadDir(o.dir)
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	var failures []error
	for _, f := range files {
		if strings.HasSuffix(f.Name(), spoolSuffix) && f.Type().IsRegular() {
			failures = append(failures, os.Remove(filepath.Join(o.dir, f.Name())))
		}
	}
	return errors.Join(failures...)
}

// Stats returns the disk taken and the number of runs that wait.
func (o *Outbox) Stats() (bytes int64, runs int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.used, o.pending
}

// Waiting reports whether a source has a run to deliver.
func (o *Outbox) Waiting(source string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.bySource[source]) > 0
}

// DropSource forgets the runs of a source that nobody is sending, and makes
// that which is being sent the last of its attempts.
func (o *Outbox) DropSource(source string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range append([]*stored(nil), o.bySource[source]...) {
		s.superseded = true
		o.removeLocked(s)
	}
}

// Close ends the outbox and removes its files. Writers and leases still open
// fail from then on.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	close(o.space)
	o.mu.Unlock()
	err := o.sweep()
	o.decoder.Close()
	if o.temporary {
		err = errors.Join(err, os.RemoveAll(o.dir))
	}
	return errors.Join(err, o.lock.Close())
}

// removeLocked takes a committed run off its list and off the disk. A reader
// that has the file open keeps it until it closes.
func (o *Outbox) removeLocked(s *stored) {
	list := o.bySource[s.Source]
	for i, other := range list {
		if other != s {
			continue
		}
		list = append(list[:i:i], list[i+1:]...)
		if len(list) == 0 {
			delete(o.bySource, s.Source)
		} else {
			o.bySource[s.Source] = list
		}
		o.pending--
		o.removeFileLocked(s.path, s.Bytes)
		return
	}
}

func (o *Outbox) removeFileLocked(path string, size int64) {
	// A file that cannot be removed is swept by the next Open; its bytes are
	// not counted again, for the disk's own limit still holds.
	_ = os.Remove(path)
	o.used -= size
	if !o.closed {
		close(o.space)
		o.space = make(chan struct{})
	}
}
