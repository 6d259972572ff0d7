package outbox_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
)

func TestFullDiskPausesAndHeals(t *testing.T) {
	disk := newFragile(t.TempDir(), func(int) int { return 0 })
	clock := now
	box, dir := open(t, outbox.Options{FS: disk, ChunkUpdates: 10, Now: func() time.Time { return clock }})
	put(t, box, head("s1", "waits"), 10, payload.ModeIncremental)
	disk.fail = func(op, path string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	if _, err := box.Begin(head("s2", "run")); !errors.Is(err, outbox.ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	for range 5 {
		clock = clock.Add(10 * time.Second)
		if box.Full() == nil {
			t.Fatal("a full disk counts as having room")
		}
	}
	if got := read(t, lease(t, box, "s1")); len(got) != 10 {
		t.Fatalf("%d updates of a run taken before", len(got))
	}
	disk.fail = nil
	if clock = clock.Add(10 * time.Second); box.Full() != nil {
		t.Fatal("does not notice that the disk has room again")
	}
	put(t, box, head("s2", "run"), 100, payload.ModeIncremental)
	wantFiles(t, dir, 2)
}

func TestFullDiskGivesUpWhatTheRunReplaces(t *testing.T) {
	disk := newFragile(t.TempDir(), func(int) int { return 0 })
	box, dir := open(t, outbox.Options{FS: disk, ChunkUpdates: 10})
	put(t, box, head("s1", "old"), 10, payload.ModeSnapshot)
	w, err := box.Begin(head("s1", "new"))
	if err != nil {
		t.Fatal(err)
	}
	disk.fail = func(op, _ string) error {
		if op != "write" {
			return nil
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*.run")); len(files) > 0 {
			return syscall.ENOSPC
		}
		return nil
	}
	for i := range 10 {
		if err := w.Add(t.Context(), device(i)); err != nil {
			t.Fatal(err)
		}
	}
	_, replaced, err := w.Commit(t.Context(), outbox.Outcome{Mode: payload.ModeSnapshot})
	if err != nil || len(replaced) != 1 || replaced[0].ID != "old" {
		t.Fatalf("replaced %+v, %v", replaced, err)
	}
}

func TestBoundIsKeptAndOnlyReplaceableRunsAreDropped(t *testing.T) {
	box, _ := open(t, outbox.Options{MaxBytes: 20_000, ChunkUpdates: 10, Patience: time.Millisecond})
	put(t, box, head("s1", "one"), 40, payload.ModeSnapshot)
	put(t, box, head("s2", "two"), 40, payload.ModeSnapshot)
	var lost []outbox.Run
	full := false
	for i := range 50 {
		w, err := box.Begin(head(fmt.Sprintf("x%d", i), "run"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			if err = w.Add(t.Context(), device(i)); err != nil {
				break
			}
		}
		if err == nil {
			var replaced []outbox.Run
			_, replaced, err = w.Commit(t.Context(), outbox.Outcome{Mode: payload.ModeIncremental})
			lost = append(lost, replaced...)
		}
		w.Abort()
		if used, _ := box.Stats(); used > 20_000 {
			t.Fatalf("%d bytes taken", used)
		}
		if errors.Is(err, outbox.ErrFull) {
			full = true
			break
		}
	}
	if !full || len(lost) != 0 || box.Full() == nil {
		t.Fatalf("full %v, dropped %+v, pauses with %v", full, lost, box.Full())
	}
	for _, source := range box.Sources() {
		lease(t, box, source).Delivered(1)
	}
	if box.Full() != nil {
		t.Fatal("an empty outbox is full")
	}
}

func TestOneTenantLeavesRoomForTheOthers(t *testing.T) {
	box, _ := open(t, outbox.Options{MaxBytes: 20_000, ChunkUpdates: 10, Patience: time.Millisecond})
	box.SetShares(2)
	greedy := head("s1", "greedy")
	greedy.Share = "a"
	w, err := box.Begin(greedy)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i := range 5000 {
		if err = w.Add(t.Context(), device(i)); err != nil {
			break
		}
	}
	if !errors.Is(err, outbox.ErrFull) || box.Full() != nil {
		t.Fatalf("got %v; the outbox is full: %v", err, box.Full())
	}
	put(t, box, head("s2", "modest"), 40, payload.ModeSnapshot)
}
