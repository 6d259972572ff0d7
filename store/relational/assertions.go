package relational

import (
	"context"
	"fmt"

	"edgesync/dire"
)

// assertionRows are rows of assertion.
type assertionRows struct {
	id, source, partition, device, retractedAt *Ints

	home, hash *Blobs
	key        *Texts
}

func newAssertionRows(n int) *assertionRows {
	return &assertionRows{
		id: NewInts("id", n), source: NewInts("source", n), partition: NewInts("partition", n), device: NewInts("device", n),
		retractedAt: NewInts("retracted_at", n), home: NewBlobs("home", n), hash: NewBlobs("hash", n), key: NewTexts("key", n),
	}
}

func (r *assertionRows) rows() *Rows {
	return NewRows(r.id, r.source, r.partition, r.device, r.retractedAt, r.home, r.hash, r.key)
}

func (w *writer) putAssertions(ctx context.Context) error {
	fresh, stored := newAssertionRows(len(w.plan.Put)), newAssertionRows(0)
	for i := range w.plan.Put {
		a, number := &w.plan.Put[i], w.put[i]
		to := stored
		if w.isNew(number) {
			to = fresh
		}
		to.id.Add(number)
		to.source.Add(w.names.number[a.Source])
		to.partition.Add(w.names.number[a.Partition])
		to.device.Add(w.homes[a.DeviceID])
		to.retractedAt.addMicros(a.RetractedAt)
		if err := to.home.addHome(a.HomeID); err != nil {
			return fmt.Errorf("put assertion %q: %w", a.Key, err)
		}
		to.hash.Add(a.Hash[:])
		to.key.Add(a.Key)
	}
	err := w.s.Insert(ctx, "assertion", fresh.rows())
	if err == nil && stored.id.Len() > 0 {
		// What an assertion is known by stays, so none of its indexes are touched.
		_, err = w.s.Exec(ctx, `
			UPDATE assertion SET partition = b.partition, device = b.device, retracted_at = b.retracted_at, hash = b.hash
			FROM rows(?) b WHERE assertion.id = b.id`, stored.rows())
	}
	if err != nil {
		return fmt.Errorf("put assertions: %w", err)
	}
	return nil
}

// putSightings writes when what the plan puts, and what it only saw again, was
// seen, and the devices. What is seen again moves its device's time forward only,
// unless the plan says that itself.
func (w *writer) putSightings(ctx context.Context) error {
	devices := make([]int64, len(w.plan.Devices))
	for i := range w.plan.Devices {
		devices[i] = w.homes[w.plan.Devices[i].ID]
	}
	sightings, err := Tenant{w.s}.sightings(ctx, w.put, w.seen, w.seenDevice, devices)
	if err != nil {
		return err
	}
	for i := range w.plan.Put {
		a, s := &w.plan.Put[i], sightings.change(w.put[i])
		s.see(sightedByRun(w.names.number[a.Source], a.Run), microsOf(a.LastSeen))
		s.retracted = a.Retracted()
	}
	for i := range w.plan.Seen {
		seen, at := &w.plan.Seen[i], microsOf(w.plan.Seen[i].LastSeen)
		sightings.change(w.seen[i]).see(sightedByRun(w.names.number[seen.Source], seen.Run), at)
		d := sightings.change(w.seenDevice[i])
		d.device = max(d.device, at)
	}
	for i := range w.plan.Devices {
		sightings.change(devices[i]).device = microsOf(w.plan.Devices[i].LastSeen)
	}
	return sightings.write(ctx, w.s)
}

// putFacts writes what is asserted.
func (w *writer) putFacts(ctx context.Context) error {
	type factRows struct {
		assertion, firstSeen, changed *Ints
		identifiers, facts            *Texts
	}
	newRows := func(n int) *factRows {
		return &factRows{NewInts("assertion", n), NewInts("first_seen", n), NewInts("changed", n), NewTexts("identifiers", n), NewTexts("facts", n)}
	}
	fresh, stored := newRows(len(w.plan.Put)), newRows(0)
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		facts, err := dire.EncodeFacts(&a.Facts)
		if err != nil {
			return fmt.Errorf("put assertion %q: %w", a.Key, err)
		}
		to := stored
		if w.isNew(w.put[i]) {
			to = fresh
		}
		to.assertion.Add(w.put[i])
		to.firstSeen.addMicros(a.FirstSeen)
		to.changed.addMicros(a.Changed)
		to.identifiers.Add(encodeIdentifiers(a.Identifiers))
		to.facts.Add(string(facts))
	}
	err := w.s.Insert(ctx, "fact", NewRows(fresh.assertion, fresh.firstSeen, fresh.changed, fresh.identifiers, fresh.facts))
	if err == nil && stored.assertion.Len() > 0 {
		_, err = w.s.Exec(ctx, `
			UPDATE fact SET first_seen = b.first_seen, changed = b.changed, identifiers = b.identifiers, facts = b.facts
			FROM rows(?) b WHERE fact.assertion = b.assertion`,
			NewRows(stored.assertion, stored.firstSeen, stored.changed, stored.identifiers, stored.facts))
	}
	if err != nil {
		return fmt.Errorf("put facts: %w", err)
	}
	return nil
}

// checkDevices checks what a foreign key from assertion to device would, for the
// rows the plan touches and at the price of the few that can be wrong.
func (w *writer) checkDevices(ctx context.Context) error {
	there := make(map[int64]bool, len(w.plan.Devices))
	for i := range w.plan.Devices {
		there[w.homes[w.plan.Devices[i].ID]] = true
	}
	named, gone := NewInts("id", 0), NewInts("id", 0)
	for i := range w.plan.Put {
		if device := w.homes[w.plan.Put[i].DeviceID]; !there[device] {
			there[device] = true
			named.Add(device)
		}
	}
	for _, id := range w.plan.Gone {
		gone.Add(w.homes[id])
	}
	if named.Len()+gone.Len() == 0 {
		return nil
	}
	var lost int64
	err := One(ctx, w.s, `
		SELECT (SELECT count(*) FROM rows(?) b WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.id = b.id))
			+ (SELECT count(*) FROM rows(?) b WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.id = b.id) AND (
				EXISTS (SELECT 1 FROM assertion a WHERE a.id = b.id AND a.device = a.id)
				OR EXISTS (SELECT 1 FROM assertion a WHERE a.device = b.id AND a.device <> a.id)))`,
		[]any{NewRows(named), NewRows(gone)}, &lost)
	if err == nil && lost > 0 {
		err = fmt.Errorf("%d assertions would be part of no device", lost)
	}
	if err != nil {
		return fmt.Errorf("check devices: %w", err)
	}
	return nil
}
