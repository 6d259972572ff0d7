package relational

import (
	"context"
	"fmt"

	"edgesync/dire"
)

// assertionRows are rows of assertion.
type assertionRows struct {
	id, source, partition, device, runStarted, chunk, lastSeen, deviceLastSeen, retractedAt *Ints

	home, hash *Blobs
	key, runID *Texts
}

func newAssertionRows(n int) *assertionRows {
	return &assertionRows{
		id: NewInts("id", n), source: NewInts("source", n), partition: NewInts("partition", n), device: NewInts("device", n),
		runStarted: NewInts("run_started", n), chunk: NewInts("chunk", n), lastSeen: NewInts("last_seen", n),
		deviceLastSeen: NewInts("device_last_seen", n), retractedAt: NewInts("retracted_at", n),
		home: NewBlobs("home", n), hash: NewBlobs("hash", n), key: NewTexts("key", n), runID: NewTexts("run_id", n),
	}
}

func (r *assertionRows) rows() *Rows {
	return NewRows(r.id, r.source, r.partition, r.device, r.runStarted, r.chunk, r.lastSeen, r.deviceLastSeen, r.retractedAt,
		r.home, r.hash, r.key, r.runID)
}

// putAssertions also says when the devices that the plan puts were last seen,
// where the row is written anyway.
func (w *writer) putAssertions(ctx context.Context) error {
	w.lastSeen, w.written = make(map[int64]int64, len(w.plan.Devices)), make(map[int64]bool, len(w.plan.Put))
	for i := range w.plan.Devices {
		w.lastSeen[w.homes[w.plan.Devices[i].ID]] = w.plan.Devices[i].LastSeen.UnixMicro()
	}
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
		to.runStarted.addMicros(a.Run.Started)
		to.chunk.Add(int64(a.Run.Chunk))
		to.lastSeen.addMicros(a.LastSeen)
		if at, heads := w.lastSeen[number]; heads {
			to.deviceLastSeen.Add(at)
			w.written[number] = true
		} else {
			to.deviceLastSeen.AddNull()
		}
		to.retractedAt.addMicros(a.RetractedAt)
		if err := to.home.addHome(a.HomeID); err != nil {
			return fmt.Errorf("put assertion %q: %w", a.Key, err)
		}
		to.hash.Add(a.Hash[:])
		to.key.Add(a.Key)
		to.runID.Add(a.Run.ID)
	}
	err := w.s.Insert(ctx, "assertion", fresh.rows())
	if err == nil && stored.id.Len() > 0 {
		// What an assertion is known by stays, so none of its indexes are touched.
		_, err = w.s.Exec(ctx, `
			UPDATE assertion SET partition = b.partition, device = b.device, run_started = b.run_started, run_id = b.run_id,
				chunk = b.chunk, last_seen = b.last_seen, retracted_at = b.retracted_at, hash = b.hash,
				device_last_seen = coalesce(b.device_last_seen, assertion.device_last_seen)
			FROM rows(?) b WHERE assertion.id = b.id`, stored.rows())
	}
	if err != nil {
		return fmt.Errorf("put assertions: %w", err)
	}
	return nil
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

// refresh carries out plan.Seen. A row is written once where it can be: most
// assertions head the device they are part of.
func (w *writer) refresh(ctx context.Context) error {
	n := len(w.plan.Seen)
	if n == 0 {
		return nil
	}
	latest := map[int64]int64{}
	for i := range w.plan.Seen {
		device, at := w.seenDevice[i], w.plan.Seen[i].LastSeen.UnixMicro()
		if _, put := w.lastSeen[device]; put {
			continue
		}
		if earlier, ok := latest[device]; !ok || earlier < at {
			latest[device] = at
		}
	}
	ids, seen, started, chunk, device, run := NewInts("id", n), NewInts("last_seen", n), NewInts("run_started", n), NewInts("chunk", n),
		NewInts("device_last_seen", n), NewTexts("run_id", n)
	for i := range w.plan.Seen {
		s := &w.plan.Seen[i]
		ids.Add(w.seen[i])
		seen.addMicros(s.LastSeen)
		started.addMicros(s.Run.Started)
		chunk.Add(int64(s.Run.Chunk))
		run.Add(s.Run.ID)
		if at, ok := latest[w.seen[i]]; ok {
			device.Add(at)
			delete(latest, w.seen[i])
		} else {
			device.AddNull()
		}
	}
	_, err := w.s.Exec(ctx, `
		UPDATE assertion SET last_seen = b.last_seen, run_started = b.run_started, run_id = b.run_id, chunk = b.chunk,
			device_last_seen = CASE WHEN coalesce(b.device_last_seen > assertion.device_last_seen, assertion.device_last_seen IS NULL)
				THEN b.device_last_seen ELSE assertion.device_last_seen END
		FROM rows(?) b WHERE assertion.id = b.id`, NewRows(ids, seen, started, chunk, device, run))
	if err != nil {
		return fmt.Errorf("refresh assertions: %w", err)
	}
	if err := touchDevices(ctx, w.s, latest); err != nil {
		return fmt.Errorf("refresh devices: %w", err)
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
