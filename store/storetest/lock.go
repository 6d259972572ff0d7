package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// testLock checks that a lock has one holder at a time, that names do not get in
// each other's way, and that who gives up does.
func testLock(t *testing.T, place Place) {
	store := open(t, place)
	unlock, err := store.Lock(t.Context(), "a")
	check(t, err)
	other, err := store.Lock(t.Context(), "it's another")
	check(t, err)
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = store.Lock(ctx, "a")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("lock that is held: got error %v", err)
	}
	unlock()
	var holders atomic.Int32
	var group errgroup.Group
	for range 6 {
		group.Go(func() error {
			unlock, err := store.Lock(t.Context(), "a")
			if err != nil {
				return err
			}
			defer unlock()
			if n := holders.Add(1); n != 1 {
				return errors.New("two hold one lock")
			}
			holders.Add(-1)
			return nil
		})
	}
	check(t, group.Wait())
}
