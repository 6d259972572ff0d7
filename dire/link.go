package dire

import (
	"errors"
	"time"
)

// Link is an operator's word on two assertions: that they are one device, or
// that they are not. It holds whatever becomes of the two until it is dropped.
type Link struct {
	// A and B are the home ids of the two, A the lesser. A pair has one Link at
	// most.
	A, B string
	// Apart is true for two that are not one device.
	Apart bool
	// At is when it was said, By who said it and Reason why, if told.
	At         time.Time
	By, Reason string
}

// Pair names a Link by its two home ids, A the lesser.
type Pair struct{ A, B string }

// PairOf names the pair of two home ids, in whichever order they come.
func PairOf(a, b string) Pair {
	if b < a {
		a, b = b, a
	}
	return Pair{a, b}
}

// Pair names the link.
func (l *Link) Pair() Pair { return Pair{l.A, l.B} }

// LinkChange is what an operator changes about pairs.
type LinkChange struct {
	// At, By and Reason go into the links put and the decisions that follow.
	At         time.Time
	By, Reason string
	// Link and Apart are pairs to put, each once; Drop are pairs to forget, of
	// which there may be none.
	Link, Apart, Drop []Pair
}

// ProbeForLinks makes a change of pairs ready to be planned, like a batch.
func (r Rules) ProbeForLinks(c LinkChange) (Probe, error) {
	if c.At.IsZero() {
		return Probe{}, errors.New("probe a change of links: it has no time")
	}
	c.At = c.At.UTC().Truncate(time.Microsecond)
	return Probe{received: c.At, links: &c}, nil
}
