package relational

import (
	"context"
	"fmt"

	"edgesync/dire"
)

// A batch of a source that was read before is mostly what is stored: those
// assertions are found and seen again without their leaving the database.

// samples is how many keys of a batch are asked for to tell whether it may
// repeat anything at all.
const samples = 16

// Touch writes what is new of what a batch only repeats and returns the rest.
func (t Tenant) Touch(ctx context.Context, probe dire.Probe) (dire.Probe, error) {
	repeats := probe.Repeats()
	if len(repeats) == 0 {
		return probe, nil
	}
	fail := func(err error) (dire.Probe, error) {
		return dire.Probe{}, fmt.Errorf("see %d assertions of %s again: %w", len(repeats), probe.Source, err)
	}
	names, err := namesOf(ctx, t.s)
	if err != nil {
		return fail(err)
	}
	source, ok := names.number[probe.Source]
	if !ok {
		return probe, nil
	}
	if known, err := t.isKnown(ctx, source, repeats); err != nil {
		return fail(err)
	} else if !known {
		return probe, nil
	}
	b := newTouching(source, repeats)
	if err := t.s.Dialect().Touch(ctx, t.s, probe.Run(), b); err != nil {
		return fail(err)
	}
	if err := touchDevices(ctx, t.s, b.others); err != nil {
		return fail(err)
	}
	if len(b.places) == 0 {
		return probe, nil
	}
	return probe.Without(b.places), nil
}

// isKnown tells whether any of a few of a batch's keys is stored.
func (t Tenant) isKnown(ctx context.Context, source int64, repeats []dire.Repeat) (known bool, err error) {
	some := min(len(repeats), samples)
	sample := NewTexts("key", some)
	for i := range some {
		sample.Add(repeats[i*len(repeats)/some].Key)
	}
	err = One(ctx, t.s, `SELECT EXISTS (SELECT 1 FROM rows(?) b LOOKUP assertion a ON a.source = ? AND a.key = b.key)`,
		[]any{NewRows(sample), source}, &known)
	return known, err
}

// Touching is what of a batch may be stored already.
type Touching struct {
	// Rows are (source, key, hash, at): at is when the thing was seen.
	Rows *Rows
	// place and at are those of Rows in the probe, and when they were seen.
	place []int
	at    []int64
	// places are those of the rows that were stored.
	places []int
	// others are the devices they are part of and do not head, and when each was
	// seen.
	others map[int64]int64
}

func newTouching(source int64, repeats []dire.Repeat) *Touching {
	n := len(repeats)
	sources, keys, hashes, at, places := NewInts("source", n), NewTexts("key", n), NewBlobs("hash", n), NewInts("at", n), make([]int, n)
	for i := range repeats {
		r := &repeats[i]
		sources.Add(source)
		keys.Add(r.Key)
		hashes.Add(r.Hash[:])
		at.Add(r.LastSeen.UnixMicro())
		places[i] = r.Place
	}
	return &Touching{Rows: NewRows(sources, keys, hashes, at), place: places, at: at.Cells, others: map[int64]int64{}}
}

// ByKey are the indexes of Rows by their keys.
func (b *Touching) ByKey() map[string]int {
	keys := b.Rows.Columns[1].(*Texts).Cells
	byKey := make(map[string]int, len(keys))
	for i, key := range keys {
		byKey[key] = i
	}
	return byKey
}

// Add notes that the row of an index was stored and is written: the device it is
// part of, and whether it heads that.
func (b *Touching) Add(row int, device int64, heads bool) {
	b.places = append(b.places, b.place[row])
	if heads {
		return
	}
	if earlier, ok := b.others[device]; !ok || earlier < b.at[row] {
		b.others[device] = b.at[row]
	}
}
