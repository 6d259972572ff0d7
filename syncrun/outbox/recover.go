package outbox

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxBad is how many files that cannot be read back are kept for whoever looks
// into it.
const maxBad = 16

// Found is what Open came upon.
type Found struct {
	// Runs wait to be delivered.
	Runs int
	// Unfinished runs were being written when their process ended; they are gone
	// and their sources are read again.
	Unfinished int
	// Damaged runs cannot be read back and were put aside.
	Damaged []*DamagedError
	// Spoiled lines of the ledger cannot be read: the totals may miss something.
	Spoiled int
}

// Found tells what Open came upon.
func (o *Outbox) Found() Found { return o.found }

// recover brings the directory into order, whatever state it was left in. Only
// a directory that cannot be read at all is an error.
func (o *Outbox) recover() error {
	files, err := o.fs.ReadDir(o.dir)
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	l, ended, spoiled := openLedger(o.fs, o.dir)
	o.ledger, o.found.Spoiled = l, spoiled
	for number := range ended {
		o.next = max(o.next, number)
	}
	missing := map[uint64]bool{}
	for number := range l.open {
		missing[number] = true
		o.next = max(o.next, number)
	}
	var all []*stored
	for _, f := range files {
		number, suffix, ok := parseName(f.Name())
		if !ok || !f.Type().IsRegular() {
			continue
		}
		o.next = max(o.next, number)
		switch {
		case suffix == partSuffix:
			_ = o.fs.Remove(filepath.Join(o.dir, f.Name()))
			o.found.Unfinished++
		case suffix == asideSuffix:
		case suffix == runSuffix && ended[number]:
			_ = o.fs.Remove(filepath.Join(o.dir, f.Name()))
		case suffix == runSuffix:
			delete(missing, number)
			if s := o.inspect(number); s != nil {
				all = append(all, s)
			}
		}
	}
	for number := range missing {
		o.ledger.ended(number, Totals{Damaged: o.ledger.open[number]})
		o.found.Damaged = append(o.found.Damaged, &DamagedError{Err: fmt.Errorf("the file of run %d is gone", number)})
	}
	slices.SortFunc(all, func(a, b *stored) int { return cmp.Compare(a.number, b.number) })
	for _, s := range all {
		o.listLocked(s)
		o.takeLocked(s.Share, s.Bytes)
	}
	o.found.Runs = len(all)
	o.ledger.begin()
	o.trimBad()
	o.recoverAside(files)
	return nil
}

// inspect reads what a file says of its run; one that says nothing sensible is
// put aside and nil.
func (o *Outbox) inspect(number uint64) *stored {
	s := &stored{number: number, path: o.path(number, runSuffix)}
	var head Head
	err := func() error {
		f, err := o.fs.Open(s.path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		// The head tells whose it was even if the rest is lost.
		if head, _, err = readHead(f); err != nil {
			return err
		}
		if s.Run, _, err = readTail(f, info.Size()); err != nil {
			return err
		}
		if s.Bytes = info.Size(); s.Head.ID != head.ID || s.Chunks < 1 || s.Source == "" {
			return errDamaged
		}
		return nil
	}()
	updates, known := o.ledger.open[number]
	if err == nil {
		if !known {
			o.ledger.taken(number, s.Updates)
		}
		return s
	}
	if !known {
		o.ledger.taken(number, 0)
	}
	damaged := &DamagedError{Run: Run{Head: head}, Err: err}
	o.found.Damaged = append(o.found.Damaged, damaged)
	if bad := o.path(number, badSuffix); o.fs.Rename(s.path, bad) == nil {
		damaged.Path = bad
		o.ledger.ended(number, Totals{Damaged: updates})
	}
	return nil
}

// trimBad removes the oldest of the files put aside once they are too many.
func (o *Outbox) trimBad() {
	files, err := o.fs.ReadDir(o.dir)
	if err != nil {
		return
	}
	var bad []string
	for _, f := range files {
		if _, suffix, ok := parseName(f.Name()); ok && suffix == badSuffix {
			bad = append(bad, f.Name())
		}
	}
	slices.Sort(bad)
	for len(bad) > maxBad {
		_ = o.fs.Remove(filepath.Join(o.dir, bad[0]))
		bad = bad[1:]
	}
}

func parseName(name string) (number uint64, suffix string, ok bool) {
	text, suffix, found := strings.Cut(name, ".")
	number, err := strconv.ParseUint(text, 16, 64)
	if suffix = "." + suffix; !found || err != nil || len(text) != 16 {
		return 0, "", false
	}
	return number, suffix, suffix == partSuffix || suffix == runSuffix || suffix == badSuffix || suffix == asideSuffix
}
