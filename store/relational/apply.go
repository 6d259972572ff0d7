package relational

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
// new is then inserted into each table at once, and what is stored changed with
// one statement.
func (t Tenant) Apply(ctx context.Context, plan dire.Plan) error {
	w := &writer{s: t.s, plan: &plan}
	if w.isEmpty() {
		return nil
	}
	for _, step := range []func(context.Context) error{
		w.number, w.numberDevices, w.putIdentifiers, w.putFacts, w.putAssertions, w.putSightings, w.dropDevices, w.putDevices,
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
	s     Session
	plan  *dire.Plan
	names *names
	// put and seen hold the number of each assertion of plan.Put and plan.Seen.
	// Those of put from fresh on are new.
	put, seen []int64
	fresh     int64
	// seenDevice holds the number of the device of each of plan.Seen.
	seenDevice []int64
	// homes are the numbers of assertions by home id.
	homes map[string]int64
}

func (w *writer) isEmpty() bool {
	p := w.plan
	return len(p.Put)+len(p.Seen)+len(p.Devices)+len(p.Gone)+len(p.Links)+len(p.Unlinked)+len(p.Decisions) == 0
}

// isNew tells whether an assertion, or the device of its number, is not stored.
func (w *writer) isNew(number int64) bool { return number >= w.fresh }

// number finds the numbers of the plan's assertions, and gives new ones numbers.
func (w *writer) number(ctx context.Context) error {
	var err error
	if w.names, err = namesOf(ctx, w.s); err != nil {
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
	known := w.s.State().probed
	w.s.State().probed = nil
	sources, keys, places := NewInts("source", 0), NewTexts("key", 0), NewInts("place", 0)
	add := func(i int, source, key string) {
		if known != nil && known.source == source {
			if at, asked := known.keys[key]; asked {
				keep(i, at)
				return
			}
		}
		sources.Add(w.names.number[source])
		keys.Add(key)
		places.Add(int64(i))
	}
	for i := range w.plan.Put {
		add(i, w.plan.Put[i].Source, w.plan.Put[i].Key)
	}
	for i := range w.plan.Seen {
		add(puts+i, w.plan.Seen[i].Source, w.plan.Seen[i].Key)
	}
	var err error
	if keys.Len() > 0 {
		err = w.s.Each(ctx, `
			SELECT b.place, a.id, a.device
			FROM rows(?) b LOOKUP assertion a ON a.source = b.source AND a.key = b.key`,
			[]any{NewRows(sources, keys, places)},
			func(row Row) error {
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
	if err := One(ctx, w.s, `SELECT coalesce(max(id), 0) FROM assertion`, nil, &last); err != nil {
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
	err := w.s.Each(ctx, `SELECT a.home, a.id FROM rows(?) b LOOKUP assertion a ON a.home = b.home`, []any{homeRows(ids)},
		func(row Row) error {
			var home string
			var assertion int64
			if err := row.Scan(homeColumn{&home}, &assertion); err != nil {
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
