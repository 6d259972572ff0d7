package core_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/proto/payload"
)

// heldStream is a stream of three chunks into a store that stands still; asked has
// the number of each chunk that is asked for.
type heldStream struct {
	*world
	inside, leave chan struct{}
	asked         chan int
	done          chan error
}

// hold begins a stream whose chunks next hands out, and waits until the first is in
// the store.
func hold(t *testing.T, next func(ctx context.Context, i int) error) *heldStream {
	w, peer, source := edge(t)
	h := &heldStream{world: w, inside: make(chan struct{}), leave: make(chan struct{}), asked: make(chan int, 10), done: make(chan error, 1)}
	slow, err := w.open(&slowStore{Store: w.store, inside: h.inside, leave: h.leave})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	go func() {
		h.done <- slow.Ingest(background, peer, stream(source, "r"), func(ctx context.Context) (payload.Chunk, error) {
			i++
			h.asked <- i
			if err := next(ctx, i); err != nil {
				return payload.Chunk{}, err
			}
			return payload.Chunk{Index: i - 1, Total: 3, Final: i == 3, Updates: w.devices(source, i, i+1)}, nil
		})
	}()
	select {
	case <-h.inside:
	case <-time.After(patience):
		t.Fatal("the stream does not get into the store")
	}
	return h
}

// end lets everything into the store until the stream ends.
func (h *heldStream) end(t *testing.T) error {
	for {
		select {
		case h.leave <- struct{}{}:
		case <-h.inside:
		case err := <-h.done:
			return err
		case <-time.After(patience):
			t.Fatal("the stream does not end")
		}
	}
}

func (h *heldStream) wantAsked(t *testing.T, want int) {
	t.Helper()
	select {
	case got := <-h.asked:
		if got != want {
			t.Fatalf("asked for chunk %d, want %d", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("nobody asks for chunk %d", want)
	}
}

// wantStill wants the stream to ask for nothing more and not to end by itself.
func (h *heldStream) wantStill(t *testing.T) {
	t.Helper()
	select {
	case got := <-h.asked:
		t.Fatalf("asked for chunk %d while the first is stored", got)
	case err := <-h.done:
		t.Fatalf("ended with %v while the first is stored", err)
	case <-time.After(50 * time.Millisecond):
	}
}

func three(_ context.Context, i int) error {
	if i > 3 {
		return io.EOF
	}
	return nil
}

func TestOneChunkIsReadAhead(t *testing.T) {
	h := hold(t, three)
	h.wantAsked(t, 1)
	h.wantAsked(t, 2)
	// The third is not asked for before the second is on its way into the store.
	h.wantStill(t)
	if err := h.end(t); err != nil {
		t.Fatal(err)
	}
	if n := h.count("acme"); n != 3 {
		t.Errorf("%d devices", n)
	}
}

// What is wrong with a chunk is told once those before it are stored.
func TestWhatIsReadAheadFailsInItsTurn(t *testing.T) {
	broken := errors.New("connection reset")
	for name, fail := range map[string]func() error{
		"an error": func() error { return broken },
		"a panic":  func() error { panic("poison") },
	} {
		t.Run(name, func(t *testing.T) {
			h := hold(t, func(_ context.Context, i int) error {
				if i == 2 {
					return fail()
				}
				return nil
			})
			h.wantAsked(t, 1)
			h.wantAsked(t, 2)
			h.wantStill(t)
			if err := h.end(t); err == nil || name == "an error" && !errors.Is(err, broken) {
				t.Errorf("ended with %v", err)
			}
			if n := h.count("acme"); n != 1 {
				t.Errorf("%d devices", n)
			}
		})
	}
}

// A stream whose chunk is refused does not wait for one that its client has yet to
// send, and reads none after it has ended.
func TestAStreamThatFailsReadsNoFurther(t *testing.T) {
	w, peer, _ := edge(t)
	stranger := core.SourceView{}
	stranger.ID = w.tenant("umbrella").ID
	reading, left := 0, false
	err := w.Ingest(t.Context(), peer, payload.Stream{RunID: "r"}, func(ctx context.Context) (payload.Chunk, error) {
		if reading++; reading == 1 {
			return payload.Chunk{Total: 2, Updates: w.devices(stranger, 0, 1)}, nil
		}
		<-ctx.Done()
		time.Sleep(10 * time.Millisecond)
		left = true
		return payload.Chunk{}, ctx.Err()
	})
	wantCode(t, err, codes.PermissionDenied)
	if reading == 2 && !left || reading > 2 {
		t.Errorf("after its end the stream is still read: %d chunks were asked for", reading)
	}
}

// What is made ready ahead is of the source as it was then. The transaction goes by
// what it is.
func TestASourceThatMovesInMidStream(t *testing.T) {
	w, peer, source := edge(t)
	i := 0
	err := w.Ingest(t.Context(), peer, stream(source, "r"), func(ctx context.Context) (payload.Chunk, error) {
		if i++; i == 5 {
			return payload.Chunk{}, io.EOF
		}
		if i == 3 {
			// The first is stored, and the second ready.
			spec := armis("armis")
			spec.Partition = "warehouse"
			if _, err := w.UpdateSource(ctx, operator, core.SourceUpdate{Tenant: "acme", Source: "armis", Spec: spec}); err != nil {
				return payload.Chunk{}, err
			}
		}
		return payload.Chunk{Index: i - 1, Total: 4, Final: i == 4, Updates: w.devices(source, i, i+1)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	partitions := map[string]string{}
	err = w.Devices(t.Context(), core.DeviceQuery{Tenant: "acme"}, func(d core.DeviceView) error {
		partitions[d.Hostname] = d.Partition
		return nil
	})
	if err != nil || partitions["host-1"] != "default" || partitions["host-3"] != "warehouse" || partitions["host-4"] != "warehouse" {
		t.Errorf("the devices are in %v, %v", partitions, err)
	}
}
