package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
)

// reopen ends an outbox and opens it again.
func reopen(t testing.TB, box *outbox.Outbox, dir string, o outbox.Options) *outbox.Outbox {
	t.Helper()
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	box, err := outbox.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box
}

func TestRunsOutliveTheProcess(t *testing.T) {
	box, dir := open(t, outbox.Options{})
	put(t, box, head("s2", "run-0"), 10, payload.ModeIncremental)
	for i := range 3 {
		put(t, box, head("s1", fmt.Sprintf("run-%d", i)), 12_345, payload.ModeIncremental)
	}
	unfinished, err := box.Begin(head("s3", "unfinished"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unfinished.Add(t.Context(), device(1)); err != nil {
		t.Fatal(err)
	}
	used, _ := box.Stats()
	box = reopen(t, box, dir, outbox.Options{})
	if found := box.Found(); found.Runs != 4 || found.Unfinished != 1 || len(found.Damaged) != 0 || found.Spoiled != 0 {
		t.Fatalf("found %+v", found)
	}
	if now, runs := box.Stats(); now != used || runs != 4 || !slices.Equal(box.Sources(), []string{"s2", "s1"}) {
		t.Fatalf("%d bytes, want %d; %d runs of %v", now, used, runs, box.Sources())
	}
	for i := range 3 {
		l := lease(t, box, "s1")
		if l.Run.ID != fmt.Sprintf("run-%d", i) || !l.Run.Started.Equal(now) || l.Run.TenantID != "tenant" {
			t.Fatalf("lease %d is %+v", i, l.Run)
		}
		if got := read(t, l); len(got) != 12_345 {
			t.Fatalf("%d updates", len(got))
		}
		l.Delivered(l.Run.Updates)
	}
	box = reopen(t, box, dir, outbox.Options{})
	want := outbox.Totals{Runs: 4, Taken: 3*12_345 + 10, Acknowledged: 3 * 12_345}
	if got := box.Totals(); got != want || got.Waiting() != 10 {
		t.Fatalf("totals are %+v, want %+v", got, want)
	}
}

// TestDamagedFileIsPutAsideAndTheRestDelivered flips, cuts and grows a run's
// file everywhere, while the process runs and between two of them.
func TestDamagedFileIsPutAsideAndTheRestDelivered(t *testing.T) {
	damage := map[string]func([]byte, int) []byte{
		"flipped":   func(b []byte, i int) []byte { b[i] ^= 0x40; return b },
		"truncated": func(b []byte, i int) []byte { return b[:i] },
		"extended":  func(b []byte, i int) []byte { return append(b, b[:i]...) },
		"zeroed":    func(b []byte, i int) []byte { clear(b[i:]); return b },
		"swapped":   func(b []byte, i int) []byte { return append(b[i:len(b):len(b)], b[:i]...) },
		"empty":     func([]byte, int) []byte { return nil },
	}
	for name, spoil := range damage {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " restart=", restart), func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					dir, err := os.MkdirTemp(inMemory(t), "")
					if err != nil {
						rt.Fatal(err)
					}
					damageOne(rt, dir, name, spoil, restart)
				})
			})
		}
	}
}

func damageOne(rt *rapid.T, dir, name string, spoil func([]byte, int) []byte, restart bool) {
	options := outbox.Options{ChunkUpdates: 5}
	box, err := outbox.Open(dir, options)
	if err != nil {
		rt.Fatal(err)
	}
	putPlain(rt, box, "s1", "bad", 12)
	putPlain(rt, box, "s1", "good", 3)
	putPlain(rt, box, "s2", "other", 4)
	files, _ := filepath.Glob(filepath.Join(dir, "*.run"))
	content, err := os.ReadFile(files[0])
	if err != nil {
		rt.Fatal(err)
	}
	at := rapid.IntRange(1, len(content)-1).Draw(rt, "at")
	spoilt := spoil(slices.Clone(content), at)
	if slices.Equal(spoilt, content) {
		rt.Skip("what was there is there again")
	}
	if err := os.WriteFile(files[0], spoilt, 0o600); err != nil {
		rt.Fatal(err)
	}
	damaged := 0
	if restart {
		if err := box.Close(); err != nil {
			rt.Fatal(err)
		}
		if box, err = outbox.Open(dir, options); err != nil {
			rt.Fatalf("%s at %d: the outbox does not open: %v", name, at, err)
		}
		damaged = len(box.Found().Damaged)
	}
	defer func() { _ = box.Close() }()
	arrived := map[string]int{}
	for _, source := range []string{"s1", "s2"} {
		for box.Waiting(source) {
			if deliver(rt, box, source, arrived) {
				damaged++
			}
		}
	}
	if damaged != 1 || arrived["good"] != 3 || arrived["other"] != 4 || arrived["bad"] != 0 {
		rt.Fatalf("%s at %d: %d damaged, %v arrived", name, at, damaged, arrived)
	}
	if bad, _ := filepath.Glob(filepath.Join(dir, "*.bad")); len(bad) != 1 {
		rt.Fatalf("%s at %d: put aside %v", name, at, bad)
	}
	if got, want := box.Totals(), (outbox.Totals{Runs: 3, Taken: 19, Acknowledged: 7, Damaged: 12}); got != want {
		rt.Fatalf("%s at %d: totals are %+v, want %+v", name, at, got, want)
	}
}

func putPlain(t rapid.TB, box *outbox.Outbox, source, id string, n int) {
	w, err := box.Begin(head(source, id))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Add(context.Background(), device(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Commit(context.Background(), outbox.Outcome{Mode: payload.ModeIncremental}); err != nil {
		t.Fatal(err)
	}
}

// deliver sends the oldest run of a source as a runtime would; true says that it
// was damaged.
func deliver(t rapid.TB, box *outbox.Outbox, source string, arrived map[string]int) bool {
	var damaged *outbox.DamagedError
	l, err := box.Lease(source)
	if errors.As(err, &damaged) {
		return true
	}
	if err != nil || l == nil {
		t.Fatalf("lease: %v %v", l, err)
	}
	n := 0
	for {
		chunk, err := l.Next(outbox.Plain)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.As(err, &damaged) {
			l.Quarantine(err)
			return true
		}
		if err != nil {
			t.Fatal(err)
		}
		updates, err := payload.DecodeUpdates(chunk.Message, now)
		if err != nil {
			t.Fatal(err)
		}
		n += len(updates)
	}
	arrived[l.Run.ID] += n
	l.Delivered(l.Run.Updates)
	return false
}

// TestPowerCutAnywhereLosesNothingAcknowledged switches the machine off after
// each number of operations in turn, and finds every run that was taken and not
// delivered, whole, and the totals in balance.
func TestPowerCutAnywhereLosesNothingAcknowledged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, attic := tempDir(rt, t), tempDir(rt, t)
		disk := newFragile(attic, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "roll") })
		model := map[string]int{}
		order := []string{}
		arrived := map[string]int{}
		for life := range rapid.IntRange(1, 4).Draw(rt, "lives") {
			disk.mu.Lock()
			disk.left = rapid.IntRange(1, 60).Draw(rt, "operations")
			disk.mu.Unlock()
			box, err := outbox.Open(dir, outbox.Options{ChunkUpdates: 4, FS: disk})
			if err == nil {
				order = live(rt, box, life, model, order, arrived)
				_ = box.Close()
			}
			disk.crash()
		}
		box, err := outbox.Open(dir, outbox.Options{ChunkUpdates: 4})
		if err != nil {
			rt.Fatalf("the outbox does not open: %v", err)
		}
		defer func() { _ = box.Close() }()
		if found := box.Found(); len(found.Damaged) != 0 {
			rt.Fatalf("a power cut left damaged runs: %+v", found)
		}
		before := maps.Clone(arrived)
		for box.Waiting("s") {
			if deliver(rt, box, "s", arrived) {
				rt.Fatal("a power cut left a damaged run")
			}
		}
		for id, n := range model {
			if before[id] == 0 && arrived[id] != n {
				rt.Fatalf("run %s was taken with %d updates, %d arrived", id, n, arrived[id])
			}
		}
		if totals := box.Totals(); totals.Waiting() != 0 || totals.Damaged != 0 {
			rt.Fatalf("out of balance: %+v", totals)
		}
	})
}

func tempDir(rt *rapid.T, t *testing.T) string {
	dir, err := os.MkdirTemp(inMemory(t), "")
	if err != nil {
		rt.Fatal(err)
	}
	return dir
}

// live uses an outbox until its disk is gone or there is nothing left to do.
func live(rt *rapid.T, box *outbox.Outbox, life int, model map[string]int, order []string, arrived map[string]int) []string {
	for i := range 4 {
		if rapid.Bool().Draw(rt, "deliver") {
			l, err := box.Lease("s")
			if err != nil {
				return order
			}
			if l != nil {
				n := 0
				for chunk, err := l.Next(outbox.Plain); err == nil; chunk, err = l.Next(outbox.Plain) {
					n += chunk.Updates
				}
				if int64(n) != l.Run.Updates {
					l.Release()
					return order
				}
				// The gateway has it from here on.
				arrived[l.Run.ID] = n
				l.Delivered(l.Run.Updates)
			}
		}
		id := fmt.Sprintf("run-%d-%d", life, i)
		w, err := box.Begin(head("s", id))
		if err != nil {
			return order
		}
		n := rapid.IntRange(0, 12).Draw(rt, "updates")
		for i := range n {
			if err := w.Add(context.Background(), device(i)); err != nil {
				w.Abort()
				return order
			}
		}
		if _, _, err := w.Commit(context.Background(), outbox.Outcome{Mode: payload.ModeIncremental}); err != nil {
			return order
		}
		model[id] = n
		order = append(order, id)
	}
	return order
}

func TestSyncThatFailsMeansTheRunIsNotTaken(t *testing.T) {
	for _, op := range []string{"sync", "syncdir", "rename", "write", "create"} {
		t.Run(op, func(t *testing.T) {
			disk := newFragile(t.TempDir(), func(int) int { return 0 })
			box, dir := open(t, outbox.Options{FS: disk})
			disk.fail = func(did, path string) error {
				if did == op && !strings.Contains(path, "ledger") {
					return syscall.EIO
				}
				return nil
			}
			w, err := box.Begin(head("s1", "run"))
			if err == nil {
				_ = w.Add(t.Context(), device(1))
				_, _, err = w.Commit(t.Context(), outbox.Outcome{Mode: payload.ModeSnapshot})
			}
			if !errors.Is(err, syscall.EIO) || errors.Is(err, outbox.ErrFull) {
				t.Fatalf("got %v", err)
			}
			if used, runs := box.Stats(); used != 0 || runs != 0 || box.Totals() != (outbox.Totals{}) {
				t.Fatalf("%d bytes, %d runs", used, runs)
			}
			disk.fail = nil
			put(t, box, head("s1", "next"), 1, payload.ModeSnapshot)
			wantFiles(t, dir, 1)
		})
	}
}

func TestReadErrorPutsTheFileAside(t *testing.T) {
	disk := newFragile(t.TempDir(), func(int) int { return 0 })
	box, _ := open(t, outbox.Options{FS: disk})
	put(t, box, head("s1", "bad"), 10, payload.ModeIncremental)
	put(t, box, head("s1", "good"), 10, payload.ModeIncremental)
	broken := ""
	disk.fail = func(op, path string) error {
		if op != "read" || !strings.HasSuffix(path, ".run") {
			return nil
		}
		if broken == "" {
			broken = path
		}
		if path == broken {
			return syscall.EIO
		}
		return nil
	}
	_, err := box.Lease("s1")
	var damaged *outbox.DamagedError
	if !errors.As(err, &damaged) || !errors.Is(err, syscall.EIO) || damaged.Run.ID != "bad" || damaged.Path == "" {
		t.Fatalf("got %v", err)
	}
	l := lease(t, box, "s1")
	if got := read(t, l); l.Run.ID != "good" || len(got) != 10 {
		t.Fatalf("leased %s with %d updates", l.Run.ID, len(got))
	}
}

func TestSpoiledLedgerCostsNoRun(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "rubbish": "\x00\x01\x02\n\n\nfoo bar\n", "torn": "1234"} {
		t.Run(name, func(t *testing.T) {
			box, dir := open(t, outbox.Options{})
			put(t, box, head("s1", "run"), 10, payload.ModeSnapshot)
			if err := box.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "ledger"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			box = reopen(t, box, dir, outbox.Options{})
			if got := read(t, lease(t, box, "s1")); len(got) != 10 || box.Totals().Waiting() != 10 {
				t.Fatalf("%d updates, totals %+v", len(got), box.Totals())
			}
		})
	}
}

// TestRunThatCannotBePutAsideIsReadAgain: a file that neither reads nor moves
// for a while is not written off.
func TestRunThatCannotBePutAsideIsReadAgain(t *testing.T) {
	disk := newFragile(t.TempDir(), func(int) int { return 0 })
	box, dir := open(t, outbox.Options{FS: disk})
	put(t, box, head("s1", "run"), 10, payload.ModeIncremental)
	disk.fail = func(op, path string) error {
		if (op == "read" || op == "rename") && strings.HasSuffix(path, ".run") {
			return syscall.EIO
		}
		return nil
	}
	if _, err := box.Lease("s1"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	box = reopen(t, box, dir, outbox.Options{FS: disk})
	if box.Waiting("s1") || len(box.Found().Damaged) != 1 {
		t.Fatalf("found %+v", box.Found())
	}
	disk.fail = nil
	box = reopen(t, box, dir, outbox.Options{FS: disk})
	if got := read(t, lease(t, box, "s1")); len(got) != 10 || box.Totals().Damaged != 0 {
		t.Fatalf("%d updates, totals %+v", len(got), box.Totals())
	}
}
