// Package diretest is what tests of identity are made of: an oracle that states
// the rules as plainly as it can, streams of batches in which nearly everything
// collides, a store that holds rows in maps, and what must be true of any store
// after any stream. It knows no database and no test framework.
package diretest

import "edgesync/dire"

// T is what tests report to: *testing.T, and what property tests hand out.
type T interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Store is what a stream is told to.
type Store interface {
	Ingest(t T, b dire.Batch) dire.Plan
	Relink(t T, c dire.LinkChange) dire.Plan
	Retract(t T, r dire.Retractions) dire.Plan
	// State is all that is stored. It must not be changed.
	State(t T) (map[dire.Ref]dire.Assertion, map[string]dire.Device)
}
