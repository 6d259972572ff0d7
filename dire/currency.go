package dire

import (
	"bytes"
	"time"
)

// change is what an item does to what is stored of its key. An item counts as
// one update for what it asserts and as one for a deletion; each has an outcome
// of its own.
type change struct {
	// facts is true when the item's facts replace the stored ones, retracted when
	// RetractedAt changes, to at.
	facts, retracted bool
	at               time.Time
	// seen is true when the item says what is stored, at a run not older.
	seen bool
	// stored, unchanged and superseded count the item's one or two updates.
	stored, unchanged, superseded int
}

func (c *change) any() bool { return c.facts || c.retracted }

// fresh is the change of a key of which nothing is stored.
func fresh(it *item, run Run) change {
	if it.bare {
		return change{unchanged: 1}
	}
	c := change{facts: true}
	if it.asserted {
		c.stored++
	}
	if it.deleted {
		c.stored, c.retracted, c.at = c.stored+1, true, run.Started
	}
	return c
}

// changeOf decides what an item changes. What is current of a key is a function
// of all updates that ever came, in whatever order: the facts are those of the
// greatest (run start, hash) that asserts, and it is retracted when the latest
// deletion is not of an earlier run than they.
func changeOf(it *item, run Run, k *Known) change {
	c := change{at: k.RetractedAt}
	if it.bare {
		if k.Run.Started.IsZero() {
			// It is known from deletions only.
			return change{unchanged: 1}
		}
		run = Run{Started: it.at}
	}
	order := bytes.Compare(it.hash[:], k.Hash[:])
	// A thing known from deletions only has facts for want of better ones.
	never := k.Run.Started.IsZero()
	current := k.Run.Started
	if it.asserted {
		older := run.Started.Before(current)
		switch {
		case older, run.Started.Equal(current) && order < 0:
			c.superseded++
		case order == 0 && !never && !c.revives(run):
			// Of a retracted one only the run is news, which Seen would make the
			// device's.
			c.seen = k.RetractedAt.IsZero()
			c.facts = !c.seen && run.Started.After(current)
			c.unchanged++
		default:
			c.facts = true
			c.stored++
		}
		if !older {
			current = run.Started
		}
		if c.revives(run) {
			c.retracted, c.at = true, time.Time{}
		}
	}
	if it.deleted {
		c.delete(it, run, current, order)
	}
	c.retracted = !c.at.Equal(k.RetractedAt)
	c.facts = c.facts && !it.bare
	return c
}

// revives tells whether what the run asserts is later than the deletion.
func (c *change) revives(run Run) bool {
	return !c.at.IsZero() && run.Started.After(c.at)
}

// delete adds a deletion to the change; current is the run that asserts.
func (c *change) delete(it *item, run Run, current time.Time, order int) {
	switch {
	case run.Started.Before(current):
		c.superseded++
	case run.Started.After(c.at):
		c.at = run.Started
		c.stored++
		c.facts = c.facts || current.IsZero()
	case !it.asserted && current.IsZero() && run.Started.Equal(c.at) && order > 0:
		c.facts = true
		c.stored++
	default:
		c.unchanged++
	}
}
