package source

import "fmt"

// Walk watches a listing being paged through, for the ways it can fail to be
// what the source holds: pages that drift, that repeat, that never end. The zero
// value is the start of one.
type Walk struct {
	seen IDSet
	// total is the most the source said it has; counted is whether it said so.
	total   int64
	counted bool
	stale   int
}

// maxStale is how many pages in a row may bring nothing new: a page can when
// the listing drifts, but a listing that goes on like that does not end.
const maxStale = 3

// maxSurplus is how far a listing may pass its own total before it is disbelieved.
const maxSurplus = 1000

// Add takes note of an id; false when the listing named it before.
func (w *Walk) Add(id ID) bool { return w.seen.Add(id) }

// Has tells whether the listing named the id.
func (w *Walk) Has(id ID) bool { return w.seen.Has(id) }

// Found is how many different ids the listing named.
func (w *Walk) Found() int64 { return w.seen.Len() }

// Total is the most the source said the listing has, or -1.
func (w *Walk) Total() int64 {
	if !w.counted {
		return -1
	}
	return w.total
}

// Page takes note of a page: how many things it held, how many of them Add had
// not met before, the total it named (below 0 for none) and whether it named a
// next page. An error is a listing that cannot be going to end.
func (w *Walk) Page(held, fresh int, total int64, more bool) error {
	if total >= 0 {
		w.total, w.counted = max(w.total, total), true
	}
	if fresh > 0 {
		w.stale = 0
	} else {
		w.stale++
	}
	switch {
	case !more:
		return nil
	case held == 0:
		return Errorf(ReasonAnswer, "the pages do not end: an empty page names a next one")
	case w.stale >= maxStale:
		return Errorf(ReasonAnswer, "the pages do not end: %d in a row held nothing new", w.stale)
	case w.counted && w.Found() > 2*w.total+maxSurplus:
		return Errorf(ReasonAnswer, "the pages do not end: they hold %d where the source counts %d", w.Found(), w.total)
	}
	return nil
}

// Partial says why a listing that ended does not cover what it lists, or
// nothing when it does. Every total a page named is compared, since one that
// changed on the way is how pages drift: whatever moved from a page not yet read
// to one already read was never seen.
func (w *Walk) Partial() string {
	switch {
	case !w.counted:
		return "the source did not say how many there are"
	case w.Found() < w.total:
		return fmt.Sprintf("found %d where the source counts %d: it changed while it was read, or its pages end too early", w.Found(), w.total)
	case w.Found() > w.total:
		return fmt.Sprintf("found %d where the source counts %d: it changed while it was read", w.Found(), w.total)
	}
	return ""
}
