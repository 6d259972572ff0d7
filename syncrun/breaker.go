package syncrun

import (
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"edgesync/syncrun/outbox"
)

const (
	// breakerTrips is how many failed runs in a row make a source be left alone.
	breakerTrips = 5
	// A source is left alone for one interval of its own, within these bounds.
	minOpen, maxOpen = time.Minute, time.Hour
)

// errOpen is why a source is not asked although its turn has come.
var errOpen = errors.New("the source is left alone for a while")

// breaker keeps a source that fails from being asked again and again: after
// some failures in a row it is left alone, then tried with one run.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	// until is the end of the pause under way; last is why the last run failed.
	until time.Time
	last  error
}

func newBreaker(every time.Duration, now func() time.Time) *breaker {
	b := &breaker{}
	open := min(max(every, minOpen), maxOpen)
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     open,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerTrips },
		// What the outbox or a changed configuration puts an end to says nothing
		// of the source.
		IsExcluded: func(err error) bool { return errors.Is(err, outbox.ErrFull) || errors.Is(err, errStopped) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if b.until = (time.Time{}); to == gobreaker.StateOpen {
				b.until = now().Add(open)
			}
		},
	})
	return b
}

// allow asks for a run; the function takes how it ended.
func (b *breaker) allow() (func(error), error) {
	done, err := b.circuit.Allow()
	if err != nil {
		return nil, fmt.Errorf("%w, until %s, since its last runs failed: %w", errOpen, b.until.UTC().Format(time.RFC3339), b.last)
	}
	return func(err error) {
		b.last = err
		done(err)
	}, nil
}
