package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, o outbox.Options) (*outbox.Outbox, string) {
	t.Helper()
	dir := t.TempDir()
	box, err := outbox.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return box, dir
}

// inMemory is a directory that no test waits for, where the machine has one:
// what a power cut leaves the tests make themselves.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "edgesync-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func wantFiles(t testing.TB, dir string, want int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.run"))
	if err != nil || len(files) != want {
		t.Fatalf("%d spool files, want %d: %v %v", len(files), want, files, err)
	}
}

func head(source, id string) outbox.Head {
	return outbox.Head{ID: id, Source: source, Name: "acme/" + source, TenantID: "tenant", SourceID: source, ServiceID: "service", Started: now}
}

func device(i int) *payload.Update {
	return &payload.Update{
		IP: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), MAC: fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255),
		Hostname: fmt.Sprintf("host-%06d.example.com", i), Source: "armis", AgentID: "hq-sync", Partition: "default", Timestamp: now, IsAvailable: true, Confidence: 7,
		Metadata: map[string]string{
			payload.MetaIntegrationType: "armis", payload.MetaIntegrationID: fmt.Sprint(i), payload.MetaArmisDeviceID: fmt.Sprint(i),
			payload.MetaIntegrationSourceID: "3f2c8a3e-6f7a-4d58-9f05-1b8f6a2d0c11", payload.MetaManufacturer: "Contoso & Söhne", payload.MetaModel: "Model <X>",
			payload.MetaOperatingSystem: "Linux 6.1", payload.MetaDeviceType: "Server", payload.MetaSite: "HQ", payload.MetaTags: "critical,prod",
			payload.MetaAllIPs: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), payload.MetaQueryLabel: "all devices",
		},
	}
}

// put writes a run of n devices and commits it.
func put(t testing.TB, box *outbox.Outbox, h outbox.Head, n int, mode string) (outbox.Run, []outbox.Run) {
	t.Helper()
	w, err := box.Begin(h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Add(t.Context(), device(i)); err != nil {
			t.Fatal(err)
		}
	}
	run, replaced, err := w.Commit(t.Context(), outbox.Outcome{Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	return run, replaced
}

func lease(t testing.TB, box *outbox.Outbox, source string) *outbox.Lease {
	t.Helper()
	l, err := box.Lease(source)
	if err != nil || l == nil {
		t.Fatalf("lease %s: %v, %v", source, l, err)
	}
	return l
}

// read returns every update of a lease and checks that each chunk is in bounds.
func read(t testing.TB, l *outbox.Lease) []payload.Update {
	t.Helper()
	var all []payload.Update
	for i := 0; ; i++ {
		chunk, err := l.Next(outbox.Plain)
		if errors.Is(err, io.EOF) {
			if i != l.Run.Chunks {
				t.Fatalf("%d chunks, want %d", i, l.Run.Chunks)
			}
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if chunk.Index != i || chunk.Total != l.Run.Chunks || chunk.Final() != (i == l.Run.Chunks-1) {
			t.Fatalf("chunk %d is %+v of %d", i, chunk, l.Run.Chunks)
		}
		if len(chunk.Message) > payload.ChunkMax {
			t.Fatalf("chunk of %d bytes", len(chunk.Message))
		}
		updates, err := payload.DecodeUpdates(chunk.Message, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(updates) != chunk.Updates {
			t.Fatalf("chunk of %d updates says %d", len(updates), chunk.Updates)
		}
		all = append(all, updates...)
	}
}

func TestRunComesBackAsItWasWritten(t *testing.T) {
	box, dir := open(t, outbox.Options{})
	run, _ := put(t, box, head("s1", "run-1"), 12345, payload.ModeSnapshot)
	if run.Updates != 12345 || run.Chunks < 5 || run.Mode != payload.ModeSnapshot {
		t.Fatalf("committed %+v", run)
	}
	l := lease(t, box, "s1")
	for range 2 {
		updates := read(t, l)
		if len(updates) != 12345 {
			t.Fatalf("%d updates", len(updates))
		}
		for i, u := range updates {
			want := device(i)
			m := u.SyncMeta
			if u.MAC != want.MAC || u.Metadata[payload.MetaManufacturer] != want.Metadata[payload.MetaManufacturer] || m == nil {
				t.Fatalf("update %d is %+v", i, u)
			}
			if m.SyncRunID != "run-1" || m.SyncServiceID != "service" || m.Mode != payload.ModeSnapshot || m.TotalDevices != 12345 ||
				m.TotalChunks != run.Chunks || !m.RunStarted.Equal(now) {
				t.Fatalf("sync_meta of update %d is %+v", i, m)
			}
		}
		if last := updates[len(updates)-1].SyncMeta; !last.IsFinal || last.ChunkIndex != run.Chunks-1 {
			t.Fatalf("sync_meta of the last update is %+v", last)
		}
		if err := l.Rewind(); err != nil {
			t.Fatal(err)
		}
	}
	l.Delivered(l.Run.Updates)
	wantFiles(t, dir, 0)
	if bytes, runs := box.Stats(); bytes != 0 || runs != 0 || box.Waiting("s1") {
		t.Fatalf("%d bytes, %d runs left", bytes, runs)
	}
}

func TestChunksApartAreNoSnapshot(t *testing.T) {
	box, _ := open(t, outbox.Options{ChunkUpdates: 2})
	put(t, box, head("s1", "run-1"), 3, payload.ModeSnapshot)
	l := lease(t, box, "s1")
	chunk, err := l.Next(outbox.Apart)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(chunk.Message, []byte(`"sync_run_id":"run-1","run_started":"2026-03-01T12:00:00Z","mode":"incremental"}}`)) != 2 || bytes.Contains(chunk.Message, []byte("total_chunks")) {
		t.Fatalf("chunk apart is %s", chunk.Message)
	}
	l.Refused("no")
}

func TestEmptyRunIsOneEmptyChunk(t *testing.T) {
	box, _ := open(t, outbox.Options{})
	put(t, box, head("s1", "run-1"), 0, payload.ModeSnapshot)
	l := lease(t, box, "s1")
	chunk, err := l.Next(outbox.Plain)
	if err != nil || string(chunk.Message) != "[]" || !chunk.Final() || chunk.Total != 1 {
		t.Fatalf("chunk %+v, %v", chunk, err)
	}
	if _, err := l.Next(outbox.Plain); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last chunk: %v", err)
	}
	l.Delivered(l.Run.Updates)
}

func TestRunsOfASourceKeepTheirOrder(t *testing.T) {
	box, _ := open(t, outbox.Options{})
	for i := range 3 {
		put(t, box, head("s1", fmt.Sprintf("run-%d", i)), 1, payload.ModeIncremental)
	}
	for i := range 3 {
		l := lease(t, box, "s1")
		if second, err := box.Lease("s1"); second != nil || err != nil {
			t.Fatalf("leased twice: %v, %v", second, err)
		}
		if l.Run.ID != fmt.Sprintf("run-%d", i) {
			t.Fatalf("lease %d is %s", i, l.Run.ID)
		}
		if !l.Release() {
			t.Fatal("released run is gone")
		}
		l = lease(t, box, "s1")
		l.Delivered(l.Run.Updates)
	}
}

func TestSnapshotTakesThePlaceOfAllButTheFirstInLine(t *testing.T) {
	box, dir := open(t, outbox.Options{})
	put(t, box, head("s1", "first"), 1, payload.ModeIncremental)
	put(t, box, head("s1", "second"), 1, payload.ModeIncremental)
	put(t, box, head("s1", "third"), 1, payload.ModeSnapshot)
	put(t, box, head("s2", "other"), 1, payload.ModeIncremental)
	_, replaced := put(t, box, head("s1", "new"), 1, payload.ModeSnapshot)
	if len(replaced) != 1 || replaced[0].ID != "third" {
		t.Fatalf("replaced %+v", replaced)
	}
	wantFiles(t, dir, 3)
	for _, want := range []string{"first", "new"} {
		l := lease(t, box, "s1")
		if l.Run.ID != want {
			t.Fatalf("next is %s, want %s", l.Run.ID, want)
		}
		l.Delivered(1)
	}
	if got, want := box.Totals(), (outbox.Totals{Runs: 5, Taken: 5, Acknowledged: 2, Superseded: 2}); got != want || got.Waiting() != 1 {
		t.Fatalf("totals are %+v, want %+v", got, want)
	}
}

func TestDroppedSourceGetsNoFurtherAttempt(t *testing.T) {
	box, dir := open(t, outbox.Options{})
	put(t, box, head("s1", "first"), 2, payload.ModeIncremental)
	put(t, box, head("s1", "second"), 3, payload.ModeIncremental)
	sending := lease(t, box, "s1")
	if dropped := box.DropSource("s1"); len(dropped) != 1 || dropped[0].ID != "second" {
		t.Fatalf("dropped %+v", dropped)
	}
	if sending.Release() {
		t.Fatal("a run of a dropped source gets another attempt")
	}
	wantFiles(t, dir, 0)
	if got := box.Totals(); got.Withdrawn != 5 || got.Waiting() != 0 {
		t.Fatalf("totals are %+v", got)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	box, dir := open(t, outbox.Options{ChunkUpdates: 10})
	w, err := box.Begin(head("s1", "run"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if err := w.Add(t.Context(), device(i)); err != nil {
			t.Fatal(err)
		}
	}
	if used, _ := box.Stats(); used == 0 {
		t.Fatal("nothing was written")
	}
	w.Abort()
	w.Abort()
	wantFiles(t, dir, 0)
	if used, runs := box.Stats(); used != 0 || runs != 0 {
		t.Fatalf("%d bytes, %d runs left", used, runs)
	}
}

func TestFullOutboxRefusesWhenNothingLeaves(t *testing.T) {
	box, _ := open(t, outbox.Options{MaxBytes: 2000, ChunkUpdates: 10})
	w, err := box.Begin(head("s1", "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i := range 10000 {
		if err = w.Add(t.Context(), device(i)); err != nil {
			break
		}
	}
	if !errors.Is(err, outbox.ErrFull) {
		t.Fatalf("got %v", err)
	}
}

func TestFullOutboxDropsTheSourcesOwnOlderRunFirst(t *testing.T) {
	box, _ := open(t, outbox.Options{MaxBytes: 9000, ChunkUpdates: 10, Patience: time.Second})
	put(t, box, head("s2", "other"), 10, payload.ModeSnapshot)
	put(t, box, head("s1", "old"), 40, payload.ModeSnapshot)
	_, replaced := put(t, box, head("s1", "new"), 60, payload.ModeSnapshot)
	if len(replaced) != 1 || replaced[0].ID != "old" || !box.Waiting("s2") {
		t.Fatalf("replaced %+v", replaced)
	}
}

func TestFullOutboxWaitsForWhatLeaves(t *testing.T) {
	box, _ := open(t, outbox.Options{MaxBytes: 7000, ChunkUpdates: 10})
	put(t, box, head("s1", "first"), 50, payload.ModeSnapshot)
	w, err := box.Begin(head("s2", "second"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	done := make(chan error, 1)
	go func() {
		for i := range 50 {
			if err := w.Add(t.Context(), device(i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	lease(t, box, "s1").Delivered(50)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	put(t, box, head("s3", "third"), 1, payload.ModeSnapshot)
	for i := range 1000 {
		if err = w.Add(ctx, device(i)); err != nil {
			break
		}
	}
	if !errors.Is(err, outbox.ErrFull) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestOversizedUpdateIsRefusedAlone(t *testing.T) {
	box, _ := open(t, outbox.Options{})
	w, err := box.Begin(head("s1", "run"))
	if err != nil {
		t.Fatal(err)
	}
	huge := device(1)
	huge.Hostname = strings.Repeat("x", 300<<10)
	var refused *payload.UpdateError
	if err := w.Add(t.Context(), huge); !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	if err := w.Add(t.Context(), device(2)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Commit(t.Context(), outbox.Outcome{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, lease(t, box, "s1")); len(got) != 1 {
		t.Fatalf("%d updates", len(got))
	}
}

func TestOneProcessADirectory(t *testing.T) {
	box, dir := open(t, outbox.Options{})
	if _, err := outbox.Open(dir, outbox.Options{}); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Fatalf("opened twice: %v", err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := box.Begin(head("s", "r")); !errors.Is(err, outbox.ErrClosed) {
		t.Fatalf("begin after close: %v", err)
	}
}

func TestTemporaryOutboxGoesWithClose(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	box, err := outbox.Open("", outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, box, head("s1", "run"), 3, payload.ModeSnapshot)
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Fatalf("left %v", left)
	}
}

func TestSpoolFilesArePrivate(t *testing.T) {
	box, dir := open(t, outbox.Options{})
	put(t, box, head("s1", "run"), 3, payload.ModeSnapshot)
	files, _ := filepath.Glob(filepath.Join(dir, "*.run"))
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

// BenchmarkChunk50000 is the way of 50,000 updates from the adapter's hand to
// the spool file.
func BenchmarkChunk50000(b *testing.B) {
	const limit = 500 * time.Millisecond
	box, _ := open(b, outbox.Options{})
	updates := make([]*payload.Update, 50000)
	for i := range updates {
		updates[i] = device(i)
	}
	b.ReportAllocs()
	var size int64
	for b.Loop() {
		w, err := box.Begin(head("s1", "run"))
		if err != nil {
			b.Fatal(err)
		}
		for _, u := range updates {
			if err := w.Add(b.Context(), u); err != nil {
				b.Fatal(err)
			}
		}
		run, _, err := w.Commit(b.Context(), outbox.Outcome{Mode: payload.ModeSnapshot})
		if err != nil {
			b.Fatal(err)
		}
		size = run.Bytes
	}
	b.ReportMetric(float64(size), "disk-bytes")
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(limit), "of-limit")
}
