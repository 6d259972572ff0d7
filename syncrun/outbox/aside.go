package outbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"edgesync/proto/payload"
)

// What the gateway refuses for good is kept aside for a while, so that it can be
// told what was in it: the file of its run, which gets another name, and behind
// that file's content which of its chunks were refused, and why. It takes part in
// no bound of the outbox; what it takes has a bound of its own.
const (
	// maxAside is how many refused runs are kept, and asidePart the part of the
	// outbox's bound that they may take.
	maxAside  = 16
	asidePart = 16
	// wholeRun stands for all chunks of a run.
	wholeRun = -1
	// maxRefusals bounds what is kept of one run.
	maxRefusals = 64
)

// Refusal says why the gateway refused a chunk, or with a Chunk below 0 a run.
type Refusal struct {
	Chunk int    `json:"chunk"`
	Why   string `json:"why"`
}

// asideRun is a run that was refused.
type asideRun struct {
	Run
	path     string
	at       time.Time
	refusals []Refusal
}

// verdict is what is written behind the file of a refused run, framed like its
// tail.
type verdict struct {
	At       time.Time `json:"at"`
	Refusals []Refusal `json:"refusals"`
}

const asideMagic = "esrun\x02r\n"

// setAside keeps the file of a run that has left the outbox under another name;
// false where that cannot be done. The ledger knows its end already, so a crash in
// between leaves a file that the next Open removes.
func (o *Outbox) setAside(s *stored, refused []Refusal) (*asideRun, bool) {
	if len(refused) == 0 || s.Bytes > o.options.MaxBytes/asidePart {
		return nil, false
	}
	one := &asideRun{
		Run: s.Run, path: o.path(s.number, asideSuffix), at: o.options.Now().UTC().Round(0), refusals: refused[:min(len(refused), maxRefusals)],
	}
	meta, err := encodeMeta(verdict{At: one.at, Refusals: one.refusals})
	if err != nil || o.fs.Rename(s.path, one.path) != nil {
		return nil, false
	}
	if o.append(one.path, appendFrame(meta, asideMagic, meta)) != nil {
		_ = o.fs.Remove(one.path)
		return nil, true
	}
	return one, true
}

func (o *Outbox) append(path string, content []byte) error {
	f, err := o.fs.Append(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// trimAsideLocked removes the oldest of what is kept aside while it is too much.
func (o *Outbox) trimAsideLocked() {
	size := int64(0)
	for _, one := range o.aside {
		size += one.Bytes
	}
	for len(o.aside) > maxAside || len(o.aside) > 0 && size > o.options.MaxBytes/asidePart {
		size -= o.aside[0].Bytes
		_ = o.fs.Remove(o.aside[0].path)
		o.aside = o.aside[1:]
	}
}

// recoverAside finds what an earlier process kept aside. What cannot be read is
// of no use to anybody.
func (o *Outbox) recoverAside(files []fs.DirEntry) {
	var names []string
	for _, f := range files {
		if _, suffix, ok := parseName(f.Name()); ok && suffix == asideSuffix && f.Type().IsRegular() {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names {
		one := &asideRun{path: filepath.Join(o.dir, name)}
		if o.inspectAside(one) != nil {
			_ = o.fs.Remove(one.path)
			continue
		}
		o.aside = append(o.aside, one)
	}
	o.trimAsideLocked()
}

func (o *Outbox) inspectAside(one *asideRun) error {
	f, err := o.fs.Open(one.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	frame := make([]byte, frameSize)
	if err := readAt(f, frame, info.Size()-frameSize); err != nil {
		return err
	}
	length, ok := metaLength(frame, asideMagic)
	if !ok {
		return errDamaged
	}
	meta := make([]byte, length)
	size := info.Size() - frameSize - length
	if err := readAt(f, meta, size); err != nil {
		return err
	}
	var v verdict
	if err := decodeMeta(frame, meta, &v); err != nil {
		return err
	}
	if one.Run, _, err = readTail(f, size); err != nil {
		return err
	}
	one.Bytes, one.at, one.refusals = size, v.At, v.Refusals
	return nil
}

// Kept is a run that is in the outbox, or that was refused and is kept aside.
type Kept struct {
	Run
	// Sending says that it is on its way to the gateway.
	Sending bool
	// RefusedAt is zero for a run that waits; else Refusals say what of it was
	// refused.
	RefusedAt time.Time
	Refusals  []Refusal

	path string
}

// Whole tells whether all of a run was refused.
func (k Kept) Whole() bool {
	return slices.ContainsFunc(k.Refusals, func(r Refusal) bool { return r.Chunk < 0 })
}

// Kept are the runs of a source, those that wait first, in the order they were
// taken.
func (o *Outbox) Kept(source string) []Kept {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []Kept
	for _, s := range o.bySource[source] {
		list = append(list, Kept{Run: s.Run, Sending: s.leased, path: s.path})
	}
	for _, one := range o.aside {
		if one.Source == source {
			list = append(list, Kept{Run: one.Run, RefusedAt: one.at, Refusals: one.refusals, path: one.path})
		}
	}
	return list
}

// Read hands over the chunks of a run, as they were written, until visit returns
// false. A run that has left meanwhile is fs.ErrNotExist.
func (o *Outbox) Read(ctx context.Context, kept Kept, visit func(chunk int, json []byte) bool) error {
	f, err := o.fs.Open(kept.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, begin, err := readHead(f)
	if err != nil {
		return err
	}
	_, end, err := readTail(f, kept.Bytes)
	if err != nil {
		return err
	}
	reader := io.NewSectionReader(f, begin, end-begin)
	var packed, plain []byte
	for index := 0; ctx.Err() == nil; index++ {
		packed, _, err = readRecord(reader, index, packed)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			plain, err = payload.Unpack(plain, packed, payload.ChunkMax)
		}
		if err != nil {
			return err
		}
		if !visit(index, plain) {
			return nil
		}
	}
	return context.Cause(ctx)
}
