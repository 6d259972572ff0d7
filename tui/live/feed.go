package live

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "edgesync/proto/admin/v1"
)

const (
	// pastEvents is how many events the first update brings.
	pastEvents = 500
	// between is the least time between two snapshots handed over: whatever
	// arrives in it costs the screen one drawing.
	between = 100 * time.Millisecond
	// retryFirst and retryMost bound the waits before the stream is opened again.
	retryFirst, retryMost = 250 * time.Millisecond, 10 * time.Second
)

// Feed follows the platform over one stream and opens it again when it breaks.
type Feed struct {
	client adminv1.AdminClient
	tenant string
	now    func() time.Time

	mu       sync.Mutex
	snapshot Snapshot
	changed  chan struct{}
}

// NewFeed makes a feed of one tenant, or with an empty slug of all. Run it.
func NewFeed(client adminv1.AdminClient, tenant string, now func() time.Time) *Feed {
	return &Feed{client: client, tenant: tenant, now: now, changed: make(chan struct{}, 1)}
}

// Run follows the platform until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() { f.measure(ctx) })
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = retryFirst, retryMost
	for {
		began := f.now()
		err := f.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.now().Sub(began) > retryMost {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		f.change(func(s *Snapshot) { s.Problem, s.RetryAt = problem(err), f.now().Add(pause) })
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func problem(err error) string {
	switch status.Code(err) {
	case codes.Unavailable:
		return "the platform does not answer"
	case codes.Unimplemented:
		return "the platform is older than this program: it has no live view"
	}
	if errors.Is(err, io.EOF) {
		return "the platform ended the connection"
	}
	return status.Convert(err).Message()
}

func (f *Feed) stream(ctx context.Context) error {
	stream, err := f.client.Watch(ctx, &adminv1.WatchRequest{Tenant: f.tenant, Events: pastEvents})
	if err != nil {
		return err
	}
	for {
		update, err := stream.Recv()
		if err != nil {
			return err
		}
		f.change(func(s *Snapshot) { *s = s.Apply(update) })
	}
}

// measure takes the rate of updates every second.
func (f *Feed) measure(ctx context.Context) {
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	last, known := int64(0), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-seconds.C:
		}
		f.change(func(s *Snapshot) {
			if !s.Ready {
				return
			}
			total := s.updates()
			rate := float64(max(total-last, 0))
			if !known { // What came before the first look is no rate.
				rate = 0
			}
			last, known = total, true
			rates := append(append([]float64{}, s.Rates...), rate)
			s.Rates = rates[max(0, len(rates)-KeepRates):]
		})
	}
}

func (f *Feed) change(edit func(*Snapshot)) {
	f.mu.Lock()
	next := f.snapshot
	edit(&next)
	f.snapshot = next
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Next waits until something has changed, and a moment longer for what changes
// with it; false when ctx ends.
func (f *Feed) Next(ctx context.Context) (Snapshot, bool) {
	select {
	case <-ctx.Done():
		return Snapshot{}, false
	case <-f.changed:
	}
	f.mu.Lock()
	ready := f.snapshot.Ready && len(f.snapshot.Rates) > 0
	f.mu.Unlock()
	if ready { // The first is shown at once.
		select {
		case <-ctx.Done():
			return Snapshot{}, false
		case <-time.After(between):
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot, true
}
