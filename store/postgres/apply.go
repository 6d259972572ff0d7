package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"

	"edgesync/core"
	"edgesync/dire"
)

// Apply carries a plan out. Rows refer to each other by number: the numbers of
// what is stored are looked up and those of what is new given out here. What is
// new is then copied into each table at once, and what is stored changed with
// one statement.
func (t tenantTx) Apply(ctx context.Context, plan dire.Plan) error {
	w := &writer{s: t.s, plan: plan, written: make(map[int64]bool, len(plan.Put))}
	for _, step := range []func(context.Context) error{
		w.number, w.numberDevices, w.putAssertions, w.putIdentifiers, w.putStanding, w.refresh, w.dropDevices, w.putDevices,
		w.putLinks, w.putDecisions, w.checkDevices,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("apply plan: %w", err)
		}
	}
	return nil
}

// writer carries out one plan.
type writer struct {
	s     *session
	plan  dire.Plan
	names *names
	// put and seen hold the number of each assertion of plan.Put and plan.Seen.
	// Those of put from fresh on are new.
	put, seen []int64
	fresh     int64
	// seenDevice holds the number of the device of each of plan.Seen.
	seenDevice []int64
	// homes are the numbers of assertions by home id.
	homes map[string]int64
	// lastSeen are the devices the plan puts, by number, and when each was seen;
	// written are the rows of standing that have it already.
	lastSeen map[int64]any
	written  map[int64]bool
}

// isNew tells whether an assertion, or the device of its number, is not stored.
func (w *writer) isNew(number int64) bool { return number >= w.fresh }

// number finds the numbers of the plan's assertions, and gives new ones numbers.
func (w *writer) number(ctx context.Context) error {
	var err error
	if w.names, err = w.s.names(ctx); err != nil {
		return err
	}
	var values []string
	add := func(value string) {
		if n := len(values); n == 0 || values[n-1] != value {
			values = append(values, value)
		}
	}
	for i := range w.plan.Put {
		add(w.plan.Put[i].Source)
	}
	for i := range w.plan.Put {
		add(w.plan.Put[i].Partition)
	}
	for i := range w.plan.Devices {
		add(w.plan.Devices[i].Partition)
	}
	if err := w.names.add(ctx, w.s, values); err != nil {
		return err
	}
	if err := w.numberStored(ctx); err != nil {
		return err
	}
	return w.numberNew(ctx)
}

// numberStored asks for those that the probe before the plan did not ask for.
func (w *writer) numberStored(ctx context.Context) error {
	puts := len(w.plan.Put)
	w.put, w.seen = make([]int64, puts), make([]int64, len(w.plan.Seen))
	w.seenDevice = make([]int64, len(w.plan.Seen))
	found := 0
	keep := func(i int, at place) {
		switch {
		case at.assertion == 0:
		case i < puts:
			w.put[i] = at.assertion
		default:
			w.seen[i-puts], w.seenDevice[i-puts] = at.assertion, at.device
			found++
		}
	}
	known := w.s.probed
	w.s.probed = nil
	var sources, places []int64
	var keys []string
	add := func(i int, source, key string) {
		if known != nil && known.source == source {
			if at, asked := known.keys[key]; asked {
				keep(i, at)
				return
			}
		}
		sources, keys, places = append(sources, w.names.number[source]), append(keys, key), append(places, int64(i))
	}
	for i := range w.plan.Put {
		add(i, w.plan.Put[i].Source, w.plan.Put[i].Key)
	}
	for i := range w.plan.Seen {
		add(puts+i, w.plan.Seen[i].Source, w.plan.Seen[i].Key)
	}
	var err error
	if len(keys) > 0 {
		err = w.s.each(ctx, `
			SELECT b.place, a.id, s.device
			FROM unnest($1::bigint[], $2::text[], $3::bigint[]) b (source, key, place)
			JOIN assertion a ON a.source = b.source AND a.key = b.key
			JOIN standing s ON s.assertion = a.id`, []any{sources, keys, places},
			func(row scanner) error {
				var i int
				var at place
				err := row.Scan(&i, &at.assertion, &at.device)
				keep(i, at)
				return err
			})
	}
	if err == nil && found != len(w.plan.Seen) {
		err = fmt.Errorf("refresh assertions: %d of %d are not stored", len(w.plan.Seen)-found, len(w.plan.Seen))
	}
	return err
}

func (w *writer) numberNew(ctx context.Context) error {
	w.homes = make(map[string]int64, len(w.plan.Put))
	if len(w.plan.Put) == 0 {
		w.fresh = math.MaxInt64
		return nil
	}
	var last int64
	if err := w.s.one(ctx, `SELECT coalesce(max(id), 0) FROM assertion`, nil, &last); err != nil {
		return fmt.Errorf("number assertions: %w", err)
	}
	w.fresh = last + 1
	for i := range w.put {
		if w.put[i] == 0 {
			last++
			w.put[i] = last
		}
		home := w.plan.Put[i].HomeID
		if other, ok := w.homes[home]; ok && other != w.put[i] {
			return fmt.Errorf("number assertions: two would have the home %q: %w", home, core.ErrConflict)
		}
		w.homes[home] = w.put[i]
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
	if len(missing) == 0 {
		return nil
	}
	ids := make([]string, 0, len(missing))
	for id := range missing {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	err := w.s.each(ctx, `SELECT a.home_id, a.id FROM unnest($1::text[]) b (id) JOIN assertion a ON a.home_id = b.id`, []any{ids},
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

// divide divides rows whose first cell is their number into those that are new,
// which are copied, and the others.
func (w *writer) divide(rows [][]any) (fresh, stored [][]any) {
	for _, row := range rows {
		if w.isNew(row[0].(int64)) {
			fresh = append(fresh, row)
		} else {
			stored = append(stored, row)
		}
	}
	return fresh, stored
}

// write inserts rows, or replaces those of the same number.
func (w *writer) write(ctx context.Context, table string, columns []column, rows [][]any) error {
	fresh, stored := w.divide(rows)
	if err := w.s.copy(ctx, table, columnNames(columns), fresh); err != nil {
		return err
	}
	return w.s.upsert(ctx, table, columns, stored)
}

func (w *writer) putAssertions(ctx context.Context) error {
	rows := make([][]any, len(w.plan.Put))
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		facts, err := dire.EncodeFacts(&a.Facts)
		if err != nil {
			return fmt.Errorf("put assertion %q: %w", a.Key, err)
		}
		rows[i] = []any{
			w.put[i], w.names.number[a.Source], w.names.number[a.Partition], micros(a.FirstSeen), micros(a.Changed),
			micros(a.RetractedAt), a.Key, a.HomeID, a.Hash[:], string(facts),
		}
	}
	fresh, stored := w.divide(rows)
	err := w.s.copy(ctx, "assertion", columnNames(assertionColumns), fresh)
	if err == nil {
		// What an assertion is known by stays, so none of its indexes are touched.
		err = w.s.batch(ctx, `
			UPDATE assertion SET partition = b.partition, first_seen = b.first_seen, changed = b.changed,
				retracted_at = b.retracted_at, home_id = b.home_id, hash = b.hash, facts = b.facts
			FROM `, assertionColumns, stored, ` WHERE assertion.id = b.id`)
	}
	if err != nil {
		return fmt.Errorf("put assertions: %w", err)
	}
	return nil
}

var assertionColumns = []column{
	{"id", number}, {"source", number}, {"partition", number}, {"first_seen", number}, {"changed", number},
	{"retracted_at", number}, {"key", text}, {"home_id", text}, {"hash", octets}, {"facts", text},
}

// putStanding also says when the devices that the plan puts were last seen, where
// the row is written anyway.
func (w *writer) putStanding(ctx context.Context) error {
	w.lastSeen = make(map[int64]any, len(w.plan.Devices))
	for i := range w.plan.Devices {
		w.lastSeen[w.homes[w.plan.Devices[i].ID]] = micros(w.plan.Devices[i].LastSeen)
	}
	rows := make([][]any, len(w.plan.Put))
	for i := range w.plan.Put {
		a := &w.plan.Put[i]
		rows[i] = []any{
			w.put[i], w.homes[a.DeviceID], w.names.number[a.Source], micros(a.LastSeen), w.lastSeen[w.put[i]],
			micros(a.Run.Started), a.Run.ID, a.Retracted(), int64(a.Run.Chunk),
		}
		w.written[w.put[i]] = true
	}
	fresh, stored := w.divide(rows)
	err := w.s.copy(ctx, "standing", columnNames(standingColumns), fresh)
	if err == nil {
		err = w.s.batch(ctx, `
			UPDATE standing SET device = b.device, last_seen = b.last_seen, run_started = b.run_started, run_id = b.run_id,
				retracted = b.retracted, chunk = b.chunk, device_last_seen = coalesce(b.device_last_seen, standing.device_last_seen)
			FROM `, standingColumns, stored, ` WHERE standing.assertion = b.assertion`)
	}
	if err != nil {
		return fmt.Errorf("put standing: %w", err)
	}
	return nil
}

var standingColumns = []column{
	{"assertion", number}, {"device", number}, {"source", number}, {"last_seen", number}, {"device_last_seen", number},
	{"run_started", number}, {"run_id", text}, {"retracted", truth}, {"chunk", number},
}

// refresh carries out plan.Seen. A row is written once where it can be: most
// assertions head the device they are part of.
func (w *writer) refresh(ctx context.Context) error {
	if len(w.plan.Seen) == 0 {
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
	rows := make([][]any, len(w.plan.Seen))
	for i := range w.plan.Seen {
		seen := &w.plan.Seen[i]
		var device any
		if at, ok := latest[w.seen[i]]; ok {
			device = at
			delete(latest, w.seen[i])
		}
		rows[i] = []any{w.seen[i], micros(seen.LastSeen), micros(seen.Run.Started), seen.Run.ID, device, int64(seen.Run.Chunk)}
	}
	err := w.s.batch(ctx, `
		UPDATE standing SET last_seen = b.last_seen, run_started = b.run_started, run_id = b.run_id, chunk = b.chunk,
			device_last_seen = greatest(standing.device_last_seen, b.device_last_seen)
		FROM `, seenColumns, rows, ` WHERE standing.assertion = b.assertion`)
	if err != nil {
		return fmt.Errorf("refresh assertions: %w", err)
	}
	rows = rows[:0]
	for device, at := range latest {
		rows = append(rows, []any{device, at})
	}
	err = w.s.batch(ctx, `UPDATE standing SET device_last_seen = b.at FROM `, []column{{"device", number}, {"at", number}}, rows,
		` WHERE standing.assertion = b.device AND coalesce(standing.device_last_seen < b.at, true)`)
	if err != nil {
		return fmt.Errorf("refresh devices: %w", err)
	}
	return nil
}

var seenColumns = []column{
	{"assertion", number}, {"last_seen", number}, {"run_started", number}, {"run_id", text}, {"device_last_seen", number},
	{"chunk", number},
}

// checkDevices checks what a foreign key from standing to device would, for the
// rows the plan touches and at the price of the few that can be wrong.
func (w *writer) checkDevices(ctx context.Context) error {
	there := make(map[int64]bool, len(w.plan.Devices))
	for i := range w.plan.Devices {
		there[w.homes[w.plan.Devices[i].ID]] = true
	}
	var named []int64
	for i := range w.plan.Put {
		if device := w.homes[w.plan.Put[i].DeviceID]; !there[device] {
			there[device] = true
			named = append(named, device)
		}
	}
	var gone []int64
	for _, id := range w.plan.Gone {
		gone = append(gone, w.homes[id])
	}
	if len(named)+len(gone) == 0 {
		return nil
	}
	slices.Sort(named)
	slices.Sort(gone)
	var lost int64
	err := w.s.one(ctx, `
		SELECT (SELECT count(*) FROM unnest($1::bigint[]) b (id) WHERE NOT EXISTS (SELECT FROM device d WHERE d.id = b.id))
			+ (SELECT count(*) FROM unnest($2::bigint[]) b (id) WHERE EXISTS (SELECT FROM standing s WHERE s.device = b.id)
				AND NOT EXISTS (SELECT FROM device d WHERE d.id = b.id))`, []any{named, gone}, &lost)
	if err == nil && lost > 0 {
		err = fmt.Errorf("%d assertions would be part of no device", lost)
	}
	if err != nil {
		return fmt.Errorf("check devices: %w", err)
	}
	return nil
}
