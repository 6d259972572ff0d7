package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
)

// Totals count updates over the whole life of an outbox, processes that were
// killed included. Taken is always the sum of the others and of what waits.
type Totals struct {
	Runs int64 `json:"runs"`
	// Taken updates belong to runs that were committed.
	Taken        int64 `json:"taken"`
	Acknowledged int64 `json:"acknowledged"`
	// Superseded ones were replaced by a newer run before they could leave,
	// Withdrawn ones belong to sources that were taken away.
	Superseded int64 `json:"superseded"`
	Withdrawn  int64 `json:"withdrawn"`
	// Refused ones the gateway will not have; Damaged ones cannot be read back.
	Refused int64 `json:"refused"`
	Damaged int64 `json:"damaged"`
}

// Waiting is what was taken and has not met its end.
func (t Totals) Waiting() int64 {
	return t.Taken - t.Acknowledged - t.Superseded - t.Withdrawn - t.Refused - t.Damaged
}

func (t *Totals) add(o Totals) {
	t.Runs += o.Runs
	t.Taken += o.Taken
	t.Acknowledged += o.Acknowledged
	t.Superseded += o.Superseded
	t.Withdrawn += o.Withdrawn
	t.Refused += o.Refused
	t.Damaged += o.Damaged
}

// entry is one line of the ledger: the totals so far, or what a run adds to
// them when it is taken and when it ends.
type entry struct {
	Run  uint64 `json:"run,omitempty"`
	Ends bool   `json:"ends,omitempty"`
	// Add is what the line adds.
	Add Totals `json:"add"`
}

const (
	ledgerName = "ledger"
	// maxLedger is how much of the ledger may be about runs that have ended.
	maxLedger = 1 << 20
)

// ledger is the file in which a run's end is written down before its file is
// removed: a run that is acknowledged stays so whatever happens next, and the
// totals are right after any crash. A ledger that cannot be written costs the
// totals of the runs it misses, never a run.
type ledger struct {
	fs   FS
	path string
	file File
	// size is how long it is, limit when it is written anew.
	size, limit int64
	totals      Totals
	// open are the runs taken and not ended, with their updates.
	open map[uint64]int64
	// behind says that a line is missing in the file.
	behind bool
	// gathering says that nothing is written yet.
	gathering bool
}

// openLedger reads what an earlier process wrote; ended are the runs whose end
// it knows. Lines that were torn or spoiled are left out and counted.
// Nothing is written before begin.
func openLedger(fs FS, dir string) (l *ledger, ended map[uint64]bool, spoiled int) {
	l = &ledger{fs: fs, path: filepath.Join(dir, ledgerName), open: map[uint64]int64{}, gathering: true}
	ended = map[uint64]bool{}
	content, err := fs.ReadFile(l.path)
	if err != nil && !isNotExist(err) {
		spoiled++
	}
	for line := range bytes.Lines(content) {
		e, ok := decodeEntry(line)
		if !ok {
			spoiled++
			continue
		}
		switch {
		case e.Run == 0:
			l.totals.add(e.Add)
		case e.Ends && !ended[e.Run]:
			ended[e.Run] = true
			delete(l.open, e.Run)
			l.totals.add(e.Add)
		case !e.Ends:
			l.open[e.Run] = e.Add.Taken
			l.totals.add(e.Add)
		}
	}
	return l, ended, spoiled
}

func decodeEntry(line []byte) (e entry, ok bool) {
	sum, body, found := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !found || err != nil || len(sum) != 8 || crc32.Checksum(body, castagnoli) != uint32(want) {
		return entry{}, false
	}
	return e, json.Unmarshal(body, &e) == nil
}

func appendEntry(dst []byte, e entry) []byte {
	body, err := json.Marshal(e)
	if err != nil {
		panic("numbers have no JSON: " + err.Error())
	}
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(body, castagnoli))
	return append(append(dst, body...), '\n')
}

// taken and ended write down what becomes of a run.
func (l *ledger) taken(run uint64, updates int64) {
	l.open[run] = updates
	l.write(entry{Run: run, Add: Totals{Runs: 1, Taken: updates}})
}

func (l *ledger) ended(run uint64, add Totals) {
	delete(l.open, run)
	l.write(entry{Run: run, Ends: true, Add: add})
}

func (l *ledger) write(e entry) {
	l.totals.add(e.Add)
	if l.gathering {
		return
	}
	if l.behind || l.file == nil || l.size > l.limit {
		l.behind = l.rewrite() != nil
		return
	}
	line := appendEntry(nil, e)
	if _, err := l.file.Write(line); err != nil {
		// Part of the line may be there; whoever reads it will leave it out.
		l.behind = true
		return
	}
	l.size += int64(len(line))
}

// begin writes down what was gathered.
func (l *ledger) begin() {
	l.gathering = false
	l.behind = l.rewrite() != nil
}

// rewrite makes a ledger of the totals and the runs that are open, and puts it
// in the place of the old one.
func (l *ledger) rewrite() error {
	base := l.totals
	var lines []byte
	for run, updates := range l.open {
		base.Runs--
		base.Taken -= updates
		lines = appendEntry(lines, entry{Run: run, Add: Totals{Runs: 1, Taken: updates}})
	}
	lines = append(appendEntry(nil, entry{Add: base}), lines...)
	next := l.path + ".new"
	if err := l.fs.Remove(next); err != nil && !isNotExist(err) {
		return err
	}
	f, err := l.fs.Append(next)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.fs.Rename(next, l.path)
	}
	if err == nil {
		err = l.fs.SyncDir(filepath.Dir(l.path))
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	l.close()
	l.file, l.size, l.limit = f, int64(len(lines)), maxLedger+2*int64(len(lines))
	return nil
}

// syncLocked returns what makes the lines written so far durable: that a run was
// taken says its file too, that it ended nothing else. A ledger written anew
// meanwhile has them.
func (l *ledger) syncLocked() func() error {
	f := l.file
	if f == nil {
		return func() error { return nil }
	}
	return func() error {
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			return err
		}
		return nil
	}
}

func (l *ledger) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
