package schedule

import (
	"fmt"
	"time"
)

// DefaultDiscovery is how often a source is read when neither its own settings
// nor the service's say.
const DefaultDiscovery = 6 * time.Hour

const (
	minInterval = time.Second
	// firstRetry is the pause after the first of a row of failures; it doubles
	// with each, up to the source's own interval. It is also the longest pause
	// after a run that took longer than its interval.
	firstRetry = 30 * time.Second
	// maxJitter bounds how far a run is pushed back so that sources of one
	// interval spread out; below minJittered an interval is kept exactly.
	maxJitter     = 30 * time.Second
	minJittered   = time.Minute
	maxRetryAfter = 24 * time.Hour
	// crowd is how many sources may start at the same instant; more are spread
	// over firstStep each up to usualSpread, and over leastStep each beyond: a disk
	// makes so many runs a second durable and no more.
	crowd       = 16
	firstStep   = 20 * time.Millisecond
	usualSpread = 5 * time.Second
	leastStep   = time.Millisecond
)

// Interval returns how often a source is read: the shorter of its poll and
// discovery intervals, Go durations of at least a second. Empty ones do not
// count; with both empty it is DefaultDiscovery.
func Interval(poll, discovery string) (time.Duration, error) {
	shortest := time.Duration(0)
	for _, setting := range []struct{ name, value string }{{"poll_interval", poll}, {"discovery_interval", discovery}} {
		if setting.value == "" {
			continue
		}
		d, err := time.ParseDuration(setting.value)
		if err != nil || d < minInterval {
			return 0, fmt.Errorf("read %s %q: want a duration of at least 1s, such as 5m", setting.name, setting.value)
		}
		if shortest == 0 || d < shortest {
			shortest = d
		}
	}
	if shortest == 0 {
		return DefaultDiscovery, nil
	}
	return shortest, nil
}

// First returns when one of count sources that start together runs first: at
// once, unless they are many. Roll is a random number in [0,1).
func First(now time.Time, count int, roll float64) time.Time {
	if count <= crowd {
		return now
	}
	spread := min(time.Duration(count)*firstStep, max(usualSpread, time.Duration(count)*leastStep))
	return now.Add(time.Duration(roll * float64(spread)))
}

// Ended is what Next needs to know of a run that is over.
type Ended struct {
	Started, Finished time.Time
	// Failures counts the failed runs in a row, this one included; zero after
	// a good one.
	Failures int
	// RetryAfter is what the source asked for; zero when it did not. More than
	// a day is not believed.
	RetryAfter time.Duration
}

// Next returns when a source comes round again: one interval after the start of
// its run, sooner after a failure, and never without a pause after a run longer
// than its interval. Roll is a random number in [0,1).
func Next(every time.Duration, e Ended, roll float64) time.Time {
	pause := min(every/10, firstRetry)
	next := e.Started.Add(every)
	if e.Failures > 0 {
		if retry := e.Finished.Add(retryPause(every, e.Failures)); retry.Before(next) {
			next = retry
		}
	}
	if earliest := e.Finished.Add(max(pause, min(e.RetryAfter, maxRetryAfter))); next.Before(earliest) {
		next = earliest
	}
	if every >= minJittered {
		next = next.Add(time.Duration(roll * float64(min(every/20, maxJitter))))
	}
	return next
}

func retryPause(every time.Duration, failures int) time.Duration {
	pause := firstRetry
	for i := 1; i < failures && pause < every; i++ {
		pause *= 2
	}
	return min(pause, every)
}
