package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
)

func TestWhatTheGatewayRefusesIsKeptAside(t *testing.T) {
	dir := t.TempDir()
	box, err := outbox.Open(dir, outbox.Options{ChunkUpdates: 2})
	if err != nil {
		t.Fatal(err)
	}
	put(t, box, head("s1", "run-1"), 5, payload.ModeSnapshot)
	l := lease(t, box, "s1")
	l.Delivered(3, outbox.Refusal{Chunk: 1, Why: "bad timestamp"})
	put(t, box, head("s1", "run-2"), 1, payload.ModeSnapshot)
	lease(t, box, "s1").Refused("not assigned")
	put(t, box, head("s1", "run-3"), 2, payload.ModeSnapshot)
	if used, runs := box.Stats(); runs != 1 || used <= 0 {
		t.Errorf("%d runs wait and take %d bytes", runs, used)
	}
	look := func() {
		t.Helper()
		kept := box.Kept("s1")
		if len(kept) != 3 || !kept[0].RefusedAt.IsZero() || kept[1].RefusedAt.IsZero() || kept[1].Whole() || !kept[2].Whole() {
			t.Fatalf("kept are %+v", kept)
		}
		if kept[1].ID != "run-1" || kept[1].Refusals[0] != (outbox.Refusal{Chunk: 1, Why: "bad timestamp"}) || kept[2].Refusals[0].Why != "not assigned" {
			t.Fatalf("kept are %+v", kept)
		}
		for i, want := range []int{1, 3, 1} {
			chunks := 0
			err := box.Read(t.Context(), kept[i], func(chunk int, json []byte) bool {
				if chunk != chunks || !bytes.Contains(json, []byte(`"hostname"`)) {
					t.Errorf("chunk %d of %s is %q", chunk, kept[i].ID, json)
				}
				chunks++
				return true
			})
			if err != nil || chunks != want {
				t.Errorf("%s has %d chunks, want %d (%v)", kept[i].ID, chunks, want, err)
			}
		}
	}
	look()
	totals := box.Totals()
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if box, err = outbox.Open(dir, outbox.Options{ChunkUpdates: 2}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = box.Close() }()
	if found := box.Found(); found.Runs != 1 || len(found.Damaged) != 0 || box.Totals() != totals || totals.Refused != 3 {
		t.Errorf("found %+v; totals were %+v and are %+v", found, totals, box.Totals())
	}
	look()
	if kept := box.Kept("s2"); len(kept) != 0 {
		t.Errorf("another source has %+v", kept)
	}
	gone := box.Kept("s1")[0]
	lease(t, box, "s1").Delivered(2)
	if err := box.Read(t.Context(), gone, func(int, []byte) bool { return true }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run that was delivered reads as %v", err)
	}
}

func TestKeptAsideIsBounded(t *testing.T) {
	box, _ := open(t, outbox.Options{})
	for i := range 20 {
		put(t, box, head("s1", fmt.Sprint("run-", i)), 1, payload.ModeSnapshot)
		lease(t, box, "s1").Refused("no")
	}
	if kept := box.Kept("s1"); len(kept) != 16 || kept[15].ID != "run-19" {
		t.Errorf("%d are kept", len(kept))
	}
	small, dir := open(t, outbox.Options{MaxBytes: 64 << 10})
	for i := range 20 {
		put(t, small, head("s1", fmt.Sprint("run-", i)), 20, payload.ModeSnapshot)
		lease(t, small, "s1").Refused("no")
	}
	size := int64(0)
	for _, one := range small.Kept("s1") {
		size += one.Bytes
	}
	if size > 64<<10/16 {
		t.Errorf("what is kept aside takes %d bytes", size)
	}
	wantFiles(t, dir, 0)
}
