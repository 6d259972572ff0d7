// Package outbox keeps what runs have found until the gateway has acknowledged
// it. A run's updates become chunks of bounded size on disk, compressed and
// checksummed, so that no inventory is ever held in memory and a slow gateway
// costs disk, not memory and not another source's time. It knows runs, their
// order and their limits; it knows nothing of adapters, connections or schedules.
//
// A run that was committed survives the end of the process at any moment. It
// leaves with the gateway's word, with a newer snapshot of its source, or because
// it can no longer be read; each of them is counted.
package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"edgesync/proto/payload"
)

// envelope is what a chunk is sent in. A message of no more than 1 MiB is what
// gRPC keeps buffers for.
const envelope = 4 << 10

// DefaultMaxBytes is how much disk an outbox may take when nothing else is said.
const DefaultMaxBytes = 1 << 30

// How the files of an outbox end: runs that are being written, runs, and what
// cannot be read back.
const (
	partSuffix = ".part"
	runSuffix  = ".run"
	badSuffix  = ".bad"
	// asideSuffix is that of runs the gateway will never take.
	asideSuffix = ".refused"
)

var (
	// ErrFull says that the outbox has reached its bound, or the disk its end,
	// and nothing is about to leave.
	ErrFull = errors.New("write run to outbox: it is full")
	// ErrClosed says that the outbox was closed.
	ErrClosed = errors.New("use outbox: it is closed")
	// ErrTooLarge refuses a run of more chunks than a stream may have.
	ErrTooLarge = errors.New("write run to outbox: too large")
)

// Options of Open. The zero value of each field means its default.
type Options struct {
	// MaxBytes bounds the disk taken, compressed.
	MaxBytes int64
	// ChunkTarget is how long a chunk's JSON may become, unless it is of a single
	// update, ChunkUpdates how many updates it may hold.
	ChunkTarget, ChunkUpdates int
	// Patience is how long a run waits in a full outbox from which nothing
	// leaves (1 min).
	Patience time.Duration
	// Now is the clock, FS the file system.
	Now func() time.Time
	FS  FS
}

// Head is what is known of a run before it is read.
type Head struct {
	ID string
	// Source orders runs: those of one source leave in the order of their
	// commits. It is unique over all tenants.
	Source string
	// Name and Tenant are what people call the source and its tenant, Type is
	// the kind of source.
	Name, Tenant, Type string
	// TenantID, SourceID and ServiceID are the wire's; each may be empty.
	TenantID, SourceID, ServiceID string
	// Share names whose part of the disk the run takes.
	Share     string
	Partition string
	Started   time.Time
}

// Run is a run that waits to be delivered.
type Run struct {
	Head
	// Mode is payload.ModeSnapshot or payload.ModeIncremental.
	Mode string
	// Note says why the run does not cover its source; empty when it does.
	Note string
	// Refused counts what was found and left out because it is not valid.
	Refused int64
	Updates int64
	Chunks  int
	// Bytes is the length of the file.
	Bytes     int64
	Committed time.Time
}

// stored is a committed run with its place on disk.
type stored struct {
	Run
	number uint64
	path   string
	// leased says that somebody is sending it; withdrawn that its source was
	// taken away meanwhile.
	leased, withdrawn bool
	// refused is what of it the gateway will never take.
	refused []Refusal
}

// Outbox is a directory of runs. It is safe for concurrent use.
type Outbox struct {
	dir       string
	fs        FS
	lock      *os.File
	temporary bool
	options   Options
	found     Found

	mu     sync.Mutex
	closed bool
	ledger *ledger
	next   uint64
	used   int64
	// shares is what each share takes of used; limit is how much one may.
	shares map[string]int64
	limit  int64
	// bySource holds committed runs, oldest first.
	bySource map[string][]*stored
	// aside are runs that were refused, oldest first.
	aside   []*asideRun
	pending int
	full    fullness
	// space is closed and replaced whenever disk is given back.
	space chan struct{}
	// leaving are files of runs that have ended, still on the disk; departing counts
	// them until their room is given back.
	leaving   []*stored
	departing int

	// names makes the directory durable, endings the ledger; both are waited for
	// without mu.
	names, endings batch
	// settling says that somebody is removing what leaves, background that it is
	// nobody else's goroutine.
	settling   bool
	background sync.WaitGroup
}

// Open takes a directory for this process alone and takes over the runs that an
// earlier one committed; Found tells of them. It is created 0700 if need be; an
// empty name stands for a temporary directory that Close removes.
func Open(dir string, options Options) (*Outbox, error) {
	o := &Outbox{
		dir: dir, options: options.withDefaults(), bySource: map[string][]*stored{}, shares: map[string]int64{}, space: make(chan struct{}),
	}
	o.fs, o.limit = o.options.FS, o.options.MaxBytes
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
	if err := o.recover(); err != nil {
		return nil, errors.Join(err, o.lock.Close())
	}
	return o, nil
}

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.ChunkTarget <= 0 {
		o.ChunkTarget = payload.ChunkTarget - envelope
	}
	if o.ChunkUpdates <= 0 {
		o.ChunkUpdates = payload.MaxServices
	}
	if o.Patience <= 0 {
		o.Patience = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = Disk{}
	}
	return o
}

// Stats returns the disk taken and the number of runs that wait.
func (o *Outbox) Stats() (bytes int64, runs int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.used, o.pending
}

// Totals returns what became of everything that was ever taken.
func (o *Outbox) Totals() Totals {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.totals
}

// MaxBytes is how much disk the outbox may take.
func (o *Outbox) MaxBytes() int64 { return o.options.MaxBytes }

// Oldest is when the oldest run that waits was committed, or now.
func (o *Outbox) Oldest() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	oldest := o.options.Now()
	for _, list := range o.bySource {
		if at := list[0].Committed; at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// Waiting reports whether a source has a run to deliver.
func (o *Outbox) Waiting(source string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.bySource[source]) > 0
}

// Sources returns the sources that have runs to deliver, the one with the
// oldest first.
func (o *Outbox) Sources() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]string, 0, len(o.bySource))
	for source := range o.bySource {
		list = append(list, source)
	}
	slices.SortFunc(list, func(a, b string) int {
		if o.bySource[a][0].number < o.bySource[b][0].number {
			return -1
		}
		return 1
	})
	return list
}

// DropSource forgets the runs of a source that nobody is sending, and makes
// that which is being sent the last of its attempts. It returns what it dropped.
func (o *Outbox) DropSource(source string) []Run {
	defer o.settleSoon()
	o.mu.Lock()
	defer o.mu.Unlock()
	var dropped []Run
	for _, s := range slices.Clone(o.bySource[source]) {
		if s.leased {
			s.withdrawn = true
			continue
		}
		dropped = append(dropped, s.Run)
		o.endLocked(s, Totals{Withdrawn: s.Updates})
	}
	return dropped
}

// Close ends the outbox; the runs in it stay for the next Open. Writers and
// leases still open fail from then on.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	close(o.space)
	o.mu.Unlock()
	o.settle()
	o.background.Wait()
	o.mu.Lock()
	o.ledger.close()
	o.mu.Unlock()
	var err error
	if o.temporary {
		err = os.RemoveAll(o.dir)
	}
	return errors.Join(err, o.lock.Close())
}

// endLocked takes a run off its list and writes down what became of its updates.
// With settle it leaves the disk.
func (o *Outbox) endLocked(s *stored, add Totals) {
	if o.unlistLocked(s) {
		o.ledger.ended(s.number, add)
		o.leaving = append(o.leaving, s)
		o.departing++
	}
}

// settleSoon does not wait where somebody settles already: a process that ends
// meanwhile sends such a run once more.
func (o *Outbox) settleSoon() {
	o.mu.Lock()
	busy := o.settling
	o.settling = true
	o.mu.Unlock()
	if busy {
		return
	}
	if o.settle(); o.settled() {
		return
	}
	o.background.Go(func() {
		for {
			if o.settle(); o.settled() {
				return
			}
		}
	})
}

// settled ends the settling unless more has come to leave.
func (o *Outbox) settled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settling = len(o.leaving) > 0
	return !o.settling
}

// settle makes durable what was written down of runs that have ended, and then
// removes their files: together, however many end at once. A reader that has one
// open keeps it until it closes.
func (o *Outbox) settle() {
	_ = o.endings.do(func() error {
		o.mu.Lock()
		gone := o.leaving
		o.leaving = nil
		sync := o.ledger.syncLocked()
		o.mu.Unlock()
		if len(gone) == 0 {
			return nil
		}
		err := sync()
		var aside []*asideRun
		for _, s := range gone {
			one, kept := o.setAside(s, s.refused)
			if one != nil {
				aside = append(aside, one)
			}
			if !kept {
				// A file that cannot be removed is removed by the next Open.
				_ = o.fs.Remove(s.path)
			}
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if err != nil {
			o.ledger.behind = true
		}
		o.departing -= len(gone)
		o.aside = append(o.aside, aside...)
		o.trimAsideLocked()
		for _, s := range gone {
			o.freeLocked(s.Share, s.Bytes)
		}
		return nil
	})
}

func (o *Outbox) unlistLocked(s *stored) bool {
	list := o.bySource[s.Source]
	i := slices.Index(list, s)
	if i < 0 || o.closed {
		return false
	}
	if len(list) == 1 {
		delete(o.bySource, s.Source)
	} else {
		o.bySource[s.Source] = slices.Delete(slices.Clone(list), i, i+1)
	}
	o.pending--
	return true
}

func (o *Outbox) freeLocked(share string, size int64) {
	o.used -= size
	if o.shares[share] -= size; o.shares[share] <= 0 {
		delete(o.shares, share)
	}
	if !o.closed {
		close(o.space)
		o.space = make(chan struct{})
	}
}

func (o *Outbox) takeLocked(share string, size int64) {
	o.used += size
	o.shares[share] += size
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func (o *Outbox) path(number uint64, suffix string) string {
	return filepath.Join(o.dir, fmt.Sprintf("%016x%s", number, suffix))
}
