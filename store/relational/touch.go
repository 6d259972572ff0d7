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
	places, err := t.see(ctx, sightedByRun(source, probe.Run()), repeats)
	if err != nil {
		return fail(err)
	}
	if len(places) == 0 {
		return probe, nil
	}
	return probe.Without(places), nil
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

// see finds the repeats that are stored, notes that they were seen again, and
// returns their places in the probe. Of what the run said already of what was not
// seen later there is nothing to note.
func (t Tenant) see(ctx context.Context, by sightedBy, repeats []dire.Repeat) (places []int, err error) {
	n := len(repeats)
	sources, keys, hashes, at := NewInts("source", n), NewTexts("key", n), NewBlobs("hash", n), NewInts("place", n)
	for i := range repeats {
		sources.Add(by.source)
		keys.Add(repeats[i].Key)
		hashes.Add(repeats[i].Hash[:])
		at.Add(int64(i))
	}
	var row, number, device int64
	rows, numbers, devices := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	err = t.s.Each(ctx, `
		SELECT b.place, a.id, a.device
		FROM rows(?) b LOOKUP assertion a ON a.source = b.source AND a.key = b.key AND a.hash = b.hash`,
		[]any{NewRows(sources, keys, hashes, at)}, func(r Row) error {
			err := r.Scan(&row, &number, &device)
			rows, numbers, devices = append(rows, row), append(numbers, number), append(devices, device)
			return err
		})
	if err != nil {
		return nil, err
	}
	sightings, err := t.sightings(ctx, numbers, devices)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		seen, s := repeats[row].LastSeen.UnixMicro(), sightings.of(numbers[i])
		again := s.by.started == by.started && s.by.run == by.run && s.last >= seen
		if s.retracted || s.by.started == never || s.by.started > by.started || again {
			continue
		}
		sightings.change(numbers[i]).see(by, max(s.last, seen))
		d := sightings.change(devices[i])
		d.device = max(d.device, seen)
		places = append(places, repeats[row].Place)
	}
	return places, sightings.write(ctx, t.s)
}
