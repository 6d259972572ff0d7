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
	err = One(ctx, t.s, `SELECT EXISTS (SELECT 1 FROM assertion WHERE source = ? AND key AMONG rows(?))`,
		[]any{source, NewRows(sample)}, &known)
	return known, err
}

// see finds the repeats that are stored, notes that they were seen again, and
// returns their places in the probe. Of what the run said already of what was not
// seen later there is nothing to note.
func (t Tenant) see(ctx context.Context, by sightedBy, repeats []dire.Repeat) (places []int, err error) {
	keys, byKey := NewTexts("key", len(repeats)), make(map[string]*dire.Repeat, len(repeats))
	for i := range repeats {
		keys.Add(repeats[i].Key)
		byKey[repeats[i].Key] = &repeats[i]
	}
	var key string
	var hash []byte
	var number, device int64
	var found []*dire.Repeat
	var numbers, devices []int64
	err = t.s.Each(ctx, `SELECT key, hash, id, device FROM assertion WHERE source = ? AND key AMONG rows(?)`,
		[]any{by.source, NewRows(keys)}, func(r Row) error {
			if err := r.Scan(&key, &hash, &number, &device); err != nil {
				return err
			}
			if repeat := byKey[key]; string(hash) == string(repeat.Hash[:]) {
				found, numbers, devices = append(found, repeat), append(numbers, number), append(devices, device)
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	sightings, err := t.sightings(ctx, numbers, devices)
	if err != nil {
		return nil, err
	}
	for i, repeat := range found {
		seen, s := repeat.LastSeen.UnixMicro(), sightings.of(numbers[i])
		again := s.by.started == by.started && s.by.run == by.run && s.last >= seen
		if s.retracted || s.by.started == never || s.by.started > by.started || again {
			continue
		}
		sightings.change(numbers[i]).see(by, max(s.last, seen))
		d := sightings.change(devices[i])
		d.device = max(d.device, seen)
		places = append(places, repeat.Place)
	}
	return places, sightings.write(ctx, t.s)
}
