package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"edgesync/dire"
)

// Apply carries a plan out. Rows refer to each other by number: the numbers of
// what is stored are looked up and those of what is new given out here, so that
// each table is then written with one statement.
func (t tenantTx) Apply(ctx context.Context, plan dire.Plan) error {
	w := &writer{s: t.s, plan: plan, known: t.known}
	defer clear(t.known)
	for _, step := range []func(context.Context) error{
		w.number, w.numberDevices, w.putAssertions, w.putIdentifiers, w.putStanding, w.refresh, w.dropDevices, w.putDevices, w.putLinks, w.putDecisions,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("apply plan: %w", err)
		}
	}
	return nil
}

// writer carries out one plan.
type writer struct {
	s     session
	plan  dire.Plan
	names names
	known map[dire.Ref]numbers
	// put and seen hold the number of each assertion of plan.Put and plan.Seen.
	put, seen []int64
	// replaced are those of put that were stored before.
	replaced [][]driver.Value
	// seenDevice holds the number of the device of each of plan.Seen.
	seenDevice []int64
	// homes are the numbers of assertions by home id.
	homes map[string]int64
}

// number finds the numbers of the plan's assertions, and gives new ones numbers.
func (w *writer) number(ctx context.Context) error {
	var err error
	if w.names, err = w.s.names(ctx); err != nil {
		return err
	}
	values := map[string]bool{}
	for i := range w.plan.Put {
		values[w.plan.Put[i].Source], values[w.plan.Put[i].Partition] = true, true
	}
	for i := range w.plan.Devices {
		values[w.plan.Devices[i].Partition] = true
	}
	if err := w.names.add(ctx, w.s, values); err != nil {
		return err
	}
	if err := w.numberStored(ctx); err != nil {
		return err
	}
	return w.numberNew(ctx)
}

func (w *writer) numberStored(ctx context.Context) error {
	puts := len(w.plan.Put)
	w.put, w.seen = make([]int64, puts), make([]int64, len(w.plan.Seen))
	w.seenDevice = make([]int64, len(w.plan.Seen))
	rows := make([][]driver.Value, 0, puts)
	for i := range w.plan.Put {
		rows = append(rows, []driver.Value{int64(i), w.names.number[w.plan.Put[i].Source], w.plan.Put[i].Key})
	}
	found := 0
	for i := range w.plan.Seen {
		seen := &w.plan.Seen[i]
		if n, ok := w.known[dire.Ref{Source: seen.Source, Key: seen.Key}]; ok {
			w.seen[i], w.seenDevice[i] = n.assertion, n.device
			found++
			continue
		}
		rows = append(rows, []driver.Value{int64(puts + i), w.names.number[seen.Source], seen.Key})
	}
	err := w.s.join(ctx, rows, `
		SELECT b.c0, a.id, s.device FROM batch(?) b
		CROSS JOIN assertion a ON a.source = b.c1 AND a.key = b.c2
		CROSS JOIN standing s ON s.assertion = a.id`,
		func(row scanner) error {
			var i int
			var assertion, device int64
			if err := row.Scan(&i, &assertion, &device); err != nil {
				return err
			}
			if i < puts {
				w.put[i] = assertion
				w.replaced = append(w.replaced, []driver.Value{assertion})
				return nil
			}
			w.seen[i-puts], w.seenDevice[i-puts] = assertion, device
			found++
			return nil
		})
	if err == nil && found != len(w.plan.Seen) {
		err = fmt.Errorf("refresh assertions: %d of %d are not stored", len(w.plan.Seen)-found, len(w.plan.Seen))
	}
	return err
}

func (w *writer) numberNew(ctx context.Context) error {
	var last int64
	if err := w.s.one(ctx, `SELECT coalesce(max(id), 0) FROM assertion`, nil, &last); err != nil {
		return fmt.Errorf("number assertions: %w", err)
	}
	w.homes = make(map[string]int64, len(w.plan.Put))
	for i := range w.put {
		if w.put[i] == 0 {
			last++
			w.put[i] = last
		}
		w.homes[w.plan.Put[i].HomeID] = w.put[i]
	}
	return nil
}

// numberDevices finds the numbers of the home ids that the plan names and that
// are not the homes of what it puts.
func (w *writer) numberDevices(ctx context.Context) error {
	missing := map[string]bool{}
	need := func(id string) {
		if _, ok := w.homes[id]; !ok {
			missing[id] = true
		}
	}
	for i := range w.plan.Put {
		need(w.plan.Put[i].DeviceID)
	}
	for i := range w.plan.Devices {
		need(w.plan.Devices[i].ID)
	}
	for _, id := range w.plan.Gone {
		need(id)
	}
	for i := range w.plan.Links {
		need(w.plan.Links[i].A)
		need(w.plan.Links[i].B)
	}
	for _, pair := range w.plan.Unlinked {
		need(pair.A)
		need(pair.B)
	}
	for i := range w.plan.Decisions {
		for _, home := range w.plan.Decisions[i].Subjects {
			need(home)
		}
	}
	rows := make([][]driver.Value, 0, len(missing))
	for id := range missing {
		rows = append(rows, []driver.Value{id})
	}
	err := w.s.join(ctx, rows, `SELECT b.c0, a.id FROM batch(?) b CROSS JOIN assertion a ON a.home_id = b.c0`,
		func(row scanner) error {
			var home string
			var assertion int64
			if err := row.Scan(&home, &assertion); err != nil {
				return err
			}
			w.homes[home] = assertion
			delete(missing, home)
			return nil
		})
	if err != nil {
		return err
	}
	for id := range missing {
		return fmt.Errorf("find device %q: no assertion has it as its home", id)
	}
	return nil
}

func (w *writer) putAssertions(ctx context.Context) error {
	rows := make([][]driver.Value, len(w.plan.Put))
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		facts, err := dire.EncodeFacts(&a.Facts)
		if err != nil {
			return fmt.Errorf("put assertion %q: %w", a.Key, err)
		}
		rows[i] = []driver.Value{
			w.put[i], w.names.number[a.Source], a.Key, w.names.number[a.Partition], a.HomeID, a.Hash[:],
			micros(a.FirstSeen), micros(a.Changed), micros(a.RetractedAt), string(facts),
		}
	}
	err := w.s.insert(ctx, rows, `
		INSERT INTO assertion (id, source, key, partition, home_id, hash, first_seen, changed, retracted_at, facts)
		SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 FROM batch(?) WHERE true
		ON CONFLICT (id) DO UPDATE SET partition = excluded.partition, home_id = excluded.home_id,
			hash = excluded.hash, first_seen = excluded.first_seen, changed = excluded.changed,
			retracted_at = excluded.retracted_at, facts = excluded.facts`)
	if err != nil {
		return fmt.Errorf("put assertions: %w", err)
	}
	return nil
}

// putIdentifiers writes only the difference: what changes about a thing is
// seldom what it is found by.
func (w *writer) putIdentifiers(ctx context.Context) error {
	stored, err := w.storedIdentifiers(ctx)
	if err != nil {
		return fmt.Errorf("read identifiers: %w", err)
	}
	var added, removed [][]driver.Value
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		for _, identifier := range a.Identifiers {
			row := identifierRow{
				identifier.Value, string(identifier.Kind), w.names.number[a.Partition], class(a),
				w.names.number[a.Source], w.put[i],
			}
			if stored[row] {
				delete(stored, row)
				continue
			}
			added = append(added, row.cells())
		}
	}
	for row := range stored {
		removed = append(removed, row.cells())
	}
	err = w.s.insert(ctx, removed, `
		DELETE FROM identifier WHERE (value, kind, partition, class, source, assertion) IN
			(SELECT c0, c1, c2, c3, c4, c5 FROM batch(?))`)
	if err != nil {
		return fmt.Errorf("remove identifiers: %w", err)
	}
	err = w.s.insert(ctx, added, `
		INSERT INTO identifier (value, kind, partition, class, source, assertion)
		SELECT c0, c1, c2, c3, c4, c5 FROM batch(?) WHERE true
		ON CONFLICT DO NOTHING`)
	if err != nil {
		return fmt.Errorf("add identifiers: %w", err)
	}
	return nil
}

// identifierRow is a row of identifier, all of which is its key.
type identifierRow struct {
	value, kind                         string
	partition, class, source, assertion int64
}

func (r identifierRow) cells() []driver.Value {
	return []driver.Value{r.value, r.kind, r.partition, r.class, r.source, r.assertion}
}

// storedIdentifiers are those of the assertions that the plan replaces.
func (w *writer) storedIdentifiers(ctx context.Context) (map[identifierRow]bool, error) {
	stored := map[identifierRow]bool{}
	err := w.s.join(ctx, w.replaced, `
		SELECT i.value, i.kind, i.partition, i.class, i.source, i.assertion
		FROM batch(?) b CROSS JOIN identifier i ON i.assertion = b.c0`,
		func(row scanner) error {
			var r identifierRow
			err := row.Scan(&r.value, &r.kind, &r.partition, &r.class, &r.source, &r.assertion)
			stored[r] = true
			return err
		})
	return stored, err
}

// class is identifier.class.
func class(a *dire.Assertion) int64 {
	class := int64(0)
	if a.Retracted() {
		class++
	}
	if a.Native() {
		class += 2
	}
	return class
}

func (w *writer) putStanding(ctx context.Context) error {
	rows := make([][]driver.Value, len(w.plan.Put))
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		rows[i] = []driver.Value{
			w.put[i], w.homes[a.DeviceID], w.names.number[a.Source], micros(a.LastSeen), micros(a.Run.Started), a.Run.ID,
			flag(a.Retracted()), int64(a.Run.Chunk),
		}
	}
	err := w.s.insert(ctx, rows, `
		INSERT INTO standing (assertion, device, source, last_seen, run_started, run_id, retracted, chunk)
		SELECT c0, c1, c2, c3, c4, c5, c6, c7 FROM batch(?) WHERE true
		ON CONFLICT (assertion) DO UPDATE SET device = excluded.device, last_seen = excluded.last_seen,
			run_started = excluded.run_started, run_id = excluded.run_id, retracted = excluded.retracted,
			chunk = excluded.chunk`)
	if err != nil {
		return fmt.Errorf("put standing: %w", err)
	}
	return nil
}

// refresh carries out plan.Seen.
func (w *writer) refresh(ctx context.Context) error {
	rows := make([][]driver.Value, len(w.plan.Seen))
	latest := map[int64]int64{}
	for i := range w.plan.Seen {
		seen := &w.plan.Seen[i]
		rows[i] = []driver.Value{w.seen[i], micros(seen.LastSeen), micros(seen.Run.Started), seen.Run.ID, nil, int64(seen.Run.Chunk)}
		device, at := w.seenDevice[i], seen.LastSeen.UnixMicro()
		if earlier, ok := latest[device]; !ok || earlier < at {
			latest[device] = at
		}
	}
	for i := range rows {
		// Most head a device of their own: one write does for both.
		if at, ok := latest[w.seen[i]]; ok {
			rows[i][4] = at
			delete(latest, w.seen[i])
		}
	}
	err := w.s.insert(ctx, rows, `
		UPDATE standing SET last_seen = b.c1, run_started = b.c2, run_id = b.c3, chunk = b.c5,
			device_last_seen = CASE WHEN b.c4 > coalesce(device_last_seen, b.c4 - 1) THEN b.c4 ELSE device_last_seen END
		FROM batch(?) b WHERE standing.assertion = b.c0`)
	if err != nil {
		return fmt.Errorf("refresh assertions: %w", err)
	}
	rows = make([][]driver.Value, 0, len(latest))
	for device, at := range latest {
		rows = append(rows, []driver.Value{device, at})
	}
	err = w.s.insert(ctx, rows, `
		UPDATE standing SET device_last_seen = b.c1
		FROM batch(?) b WHERE standing.assertion = b.c0 AND coalesce(standing.device_last_seen < b.c1, true)`)
	if err != nil {
		return fmt.Errorf("refresh devices: %w", err)
	}
	return nil
}
