package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/dire"
)

// testSnapshots checks what a snapshot is judged by.
func testSnapshots(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	source := uuid.New()
	s1 := source.String()
	run := func(id string, started int, counted bool) core.Run {
		return core.Run{
			ID: id, SourceID: source, Mode: "snapshot", Started: at(started), Total: 7, Received: 1,
			Deleted: 2, Refused: 3, Retracted: 4, Complete: true, Counted: counted,
		}
	}
	runs := []core.Run{run("r1", 1, true), run("r2", 2, false), run("r3", 3, true), run("r4", 4, true)}
	var things []*thing
	for i, started := range []int{1, 2, 3, 4, 4} {
		thing := newThing(s1, fmt.Sprintf("id:%d", i), "p")
		thing.a.Run = dire.Run{ID: fmt.Sprintf("r%d", started), Started: at(started)}
		things = append(things, thing)
	}
	gone := newThing(s1, "id:8", "p").retracted()
	never := newThing(s1, "id:9", "p").retracted()
	never.a.Run = dire.Run{}
	other := newThing("another", "id:1", "p")
	apply(t, tenant, planOf(append(things, gone, never, other)...))
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		for _, r := range runs {
			check(t, tx.PutRun(ctx, r))
		}
		return nil
	})
	snapshots := func(limit int) (ids []string) {
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			found, err := tx.Snapshots(ctx, source, limit)
			for _, r := range found {
				ids = append(ids, r.ID)
				equal(t, "snapshot", r, runs[slices.IndexFunc(runs, func(o core.Run) bool { return o.ID == r.ID })])
			}
			return err
		})
		return ids
	}
	equal(t, "latest two snapshots", snapshots(2), []string{"r4", "r3"})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		for name, want := range map[string]int64{"r4": 2, "r3": 1, "r9": 0} {
			n, err := tx.CountRun(ctx, s1, dire.Run{ID: name, Started: at(int(name[1] - '0'))})
			check(t, err)
			equal(t, "assertions of "+name, n, want)
		}
		n, err := tx.CountRun(ctx, s1, dire.Run{ID: "r4", Started: at(3)})
		check(t, err)
		equal(t, "assertions of a run that started at another time", n, 0)
		living, absent, err := tx.CountLiving(ctx, s1, at(3))
		check(t, err)
		equal(t, "living and absent", []int64{living, absent}, []int64{5, 2})
		keys, err := tx.Absent(ctx, s1, at(3))
		check(t, err)
		equal(t, "absent", keys, []string{"id:0", "id:1"})
		living, absent, err = tx.CountLiving(ctx, "nobody", at(3))
		check(t, err)
		equal(t, "living and absent of nobody", []int64{living, absent}, []int64{0, 0})
		keys, err = tx.Absent(ctx, "nobody", at(3))
		equal(t, "absent of nobody", keys, nil)
		return err
	})
	// What is retracted later no longer lives.
	things[0].retracted()
	apply(t, tenant, things[0].plan())
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		living, absent, err := tx.CountLiving(ctx, s1, at(3))
		equal(t, "living and absent", []int64{living, absent}, []int64{4, 1})
		return err
	})
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.DiscountRuns(ctx, source, at(3)) })
	for i := range runs {
		runs[i].Counted = runs[i].ID == "r4"
	}
	equal(t, "snapshots after the others are discounted", snapshots(0), []string{"r4"})
}

func testHolds(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	source := core.Source{ID: uuid.New(), Name: "one", CreatedAt: at(1)}
	name := source.ID.String()
	hold := core.Hold{
		Source: name, Kind: core.HoldSnapshot, Run: dire.Run{ID: "r1", Started: at(1)}, At: at(2), Retractions: 30, Living: 40,
	}
	deletions := core.Hold{Source: name, Kind: core.HoldDeletions, Run: dire.Run{ID: "r2", Started: at(3)}, At: at(4), Retractions: 3, Living: 4}
	foreign := core.Hold{Source: "edge/sweep", Kind: core.HoldDeletions, At: at(5), Retractions: 1, Living: 2}
	holds := func(of string, want ...core.Hold) {
		t.Helper()
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			found, err := tx.Holds(ctx, of)
			equal(t, "holds of "+of, found, want)
			return err
		})
	}
	pending := func(of string, want ...dire.Retraction) {
		t.Helper()
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			found, err := tx.Pending(ctx, of)
			equal(t, "pending of "+of, found, want)
			return err
		})
	}
	holds("")
	pending(name)
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		return errors.Join(tx.PutSource(ctx, source), tx.PutHold(ctx, hold), tx.PutHold(ctx, foreign), tx.PutHold(ctx, deletions),
			tx.PutPending(ctx, name, []dire.Retraction{{Key: "id:2", At: at(1)}, {Key: "id:1", At: at(1)}}),
			tx.PutPending(ctx, name, []dire.Retraction{{Key: "id:2", At: at(9)}}), tx.PutPending(ctx, name, nil),
			tx.PutPending(ctx, "edge/sweep", []dire.Retraction{{Key: "ip:10.0.0.1", At: at(1)}}))
	})
	ordered := []core.Hold{deletions, hold, foreign}
	slices.SortFunc(ordered, func(a, b core.Hold) int {
		return slices.Compare([]string{a.Source, string(a.Kind)}, []string{b.Source, string(b.Kind)})
	})
	holds("", ordered...)
	holds(name, deletions, hold)
	pending(name, dire.Retraction{Key: "id:1", At: at(1)}, dire.Retraction{Key: "id:2", At: at(9)})
	hold.Retractions, hold.Run = 31, dire.Run{ID: "r3", Started: at(7)}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		return errors.Join(tx.PutHold(ctx, hold), tx.DeleteHold(ctx, name, core.HoldDeletions), tx.DeleteHold(ctx, "nobody", core.HoldSnapshot))
	})
	holds(name, hold)
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.DeleteSource(ctx, source.ID) })
	holds("", foreign)
	pending(name)
	pending("edge/sweep", dire.Retraction{Key: "ip:10.0.0.1", At: at(1)})
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.DeletePending(ctx, "edge/sweep") })
	pending("edge/sweep")
}

// link is an operator's word on two things.
func link(a, b *thing, apart bool, seconds int) dire.Link {
	pair := dire.PairOf(a.a.HomeID, b.a.HomeID)
	return dire.Link{A: pair.A, B: pair.B, Apart: apart, At: at(seconds), By: "local:0", Reason: "o'ne \"reason\""}
}

func testLinks(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a, b, c, d := newThing("s1", "id:1", "p"), newThing("s2", "id:1", "p"), newThing("s3", "ip:10.0.0.9", "p").identifier(dire.IdentifierWeakIP, "10.0.0.9"), newThing("s4", "id:1", "p")
	linked, apart, last := link(a, b, false, 1), link(b, c, true, 2), link(c, d, false, 3)
	plan := planOf(a, b, c, d)
	plan.Links = []dire.Link{linked, apart, last}
	apply(t, tenant, plan)
	links := func(want ...dire.Link) {
		t.Helper()
		slices.SortFunc(want, func(x, y dire.Link) int { return slices.Compare([]string{x.A, x.B}, []string{y.A, y.B}) })
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			found, err := tx.Links(ctx)
			equal(t, "links", found, want)
			return err
		})
	}
	links(linked, apart, last)
	around := func(thing *thing) (found []string, words int) {
		near := neighbourhood(t, tenant, dire.DefaultRules().ProbeAround(thing.a.HomeID))
		for ref := range refs(near.Assertions) {
			found = append(found, ref.Source)
		}
		slices.Sort(found)
		return found, len(near.Links)
	}
	for _, want := range []struct {
		thing   *thing
		sources []string
		links   int
	}{{a, []string{"s1", "s2"}, 2}, {b, []string{"s1", "s2"}, 2}, {c, []string{"s3", "s4"}, 2}, {d, []string{"s3", "s4"}, 2}} {
		found, words := around(want.thing)
		equal(t, "around "+want.thing.a.Source, found, want.sources)
		equal(t, "links around "+want.thing.a.Source, words, want.links)
	}
	// Replaced by its pair, and forgotten, whether it is there or not.
	linked.Apart, linked.At = true, at(9)
	apply(t, tenant, dire.Plan{Links: []dire.Link{linked}, Unlinked: []dire.Pair{last.Pair(), dire.PairOf(a.a.HomeID, d.a.HomeID)}})
	links(linked, apart)
	found, _ := around(a)
	equal(t, "around what is no longer linked", found, []string{"s1"})
}

func testDecisions(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a, b, c := newThing("s1", "id:1", "p"), newThing("s2", "id:1", "p"), newThing("s3", "id:1", "p")
	decision := func(seconds int, subjects ...*thing) dire.Decision {
		d := dire.Decision{
			Kind: dire.DecisionMerge, Rule: dire.RuleMAC, At: at(seconds), Partition: "p", Source: "s1", Runs: []string{"r1"},
			Device: a.a.HomeID, Devices: []string{b.a.HomeID}, Fresh: true, By: "local:0", Reason: "'",
			Identifiers: []dire.Identifier{{Kind: dire.IdentifierMAC, Value: "aa:00:00:00:00:01"}},
			Assertions:  []dire.Ref{{Source: "s1", Key: "id:1"}},
		}
		for _, s := range subjects {
			d.Subjects = append(d.Subjects, s.a.HomeID)
		}
		return d
	}
	one, two, three := decision(1, a, b), decision(3, b), decision(2, c, a)
	plan := planOf(a, b, c)
	plan.Decisions = []dire.Decision{one, two}
	apply(t, tenant, plan)
	apply(t, tenant, dire.Plan{Decisions: []dire.Decision{three}})
	for i, want := range []struct {
		homes []string
		limit int
		found []dire.Decision
	}{
		{[]string{a.a.HomeID}, 0, []dire.Decision{one, three}},
		{[]string{a.a.HomeID, b.a.HomeID, c.a.HomeID}, 0, []dire.Decision{one, two, three}},
		{[]string{a.a.HomeID, b.a.HomeID, c.a.HomeID}, 2, []dire.Decision{two, three}},
		{[]string{c.a.HomeID}, 9, []dire.Decision{three}},
		{[]string{"sr:none"}, 0, nil},
		{nil, 0, nil},
	} {
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			found, err := tx.Decisions(ctx, want.homes, want.limit)
			for k := range want.found {
				want.found[k].Subjects = nil
			}
			equal(t, fmt.Sprintf("decisions %d", i), found, want.found)
			return err
		})
	}
}

func testAssertions(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a, b, c := full("s2", "id:2"), newThing("s1", "id:1", "p").retracted(), newThing("s1", "id:0", "q")
	b.partOf(a)
	apply(t, tenant, planOf(a, b, c))
	list := func(until int) (found []dire.Assertion, err error) {
		enough := errors.New("enough")
		err = tenant.View(t.Context(), func(tx core.TenantTx) error {
			return tx.Assertions(t.Context(), func(a dire.Assertion) error {
				a.Identifiers = nil
				if found = append(found, a); len(found) == until {
					return enough
				}
				return nil
			})
		})
		if errors.Is(err, enough) {
			err = nil
		}
		return found, err
	}
	var want []dire.Assertion
	for _, t := range []*thing{c, b, a} {
		one := t.a
		one.Identifiers = nil
		want = append(want, one)
	}
	found, err := list(0)
	check(t, err)
	equal(t, "assertions", found, want)
	found, err = list(2)
	check(t, err)
	equal(t, "the first two assertions", found, want[:2])
}

func testDuplicates(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	mac := "aa:00:00:00:00:01"
	things := []*thing{
		// Two native ids of one source, and a third thing, hold one MAC.
		newThing("s1", "id:1", "p").mac(mac).host("same"), newThing("s1", "id:2", "p").mac(mac), newThing("s2", "id:9", "p").mac(mac),
		// Of another partition, of two sources, retracted, or not native.
		newThing("s1", "id:3", "q").mac(mac).host("same"), newThing("s1", "id:4", "r").mac(mac), newThing("s2", "id:4", "r").mac(mac),
		newThing("s1", "id:5", "s").mac(mac), newThing("s1", "id:6", "s").mac(mac).retracted(),
		newThing("s1", "mac:"+mac, "u").mac(mac), newThing("s1", "mac:x", "u").mac(mac).serial("S9"),
		// A serial number of one source, a host name of one partition.
		newThing("s3", "id:7", "p").serial("S7").host("same"), newThing("s3", "id:8", "p").serial("S7").host("same").ip("10.0.0.1"),
		newThing("s3", "id:9", "p").host("same").retracted(),
	}
	crowd := many("s9", core.MaxDuplicates+5)
	for _, c := range crowd {
		c.host("crowd")
		c.a.Partition = "z"
	}
	apply(t, tenant, planOf(append(things, crowd...)...))
	devices := func(of ...*thing) (ids []string) {
		for _, t := range of {
			ids = append(ids, t.a.HomeID)
		}
		slices.Sort(ids)
		return ids
	}
	want := []core.Duplicate{
		{Kind: "hostname", Partition: "p", Value: "same", Devices: devices(things[0], things[10], things[11]), Count: 3},
		{Kind: "hostname", Partition: "z", Value: "crowd", Devices: devices(crowd...)[:core.MaxDuplicates], Count: int64(len(crowd))},
		{Kind: "mac", Partition: "p", Value: mac, Devices: devices(things[:3]...), Count: 3},
		{Kind: "serial", Partition: "p", Value: "maker\x1fS7", Devices: devices(things[10], things[11]), Count: 2},
	}
	for limit, count := range map[int]int{0: 4, 2: 2} {
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			found, err := tx.Duplicates(ctx, limit)
			equal(t, fmt.Sprintf("duplicates up to %d", limit), found, want[:count])
			return err
		})
	}
	// What an operator made one is no duplicate.
	a, b := things[10], things[11]
	b.partOf(a)
	merged := a.device()
	merged.Hostname = ""
	apply(t, tenant, dire.Plan{Put: []dire.Assertion{b.a}, Devices: []dire.Device{merged}, Gone: []string{b.a.HomeID}})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		found, err := tx.Duplicates(ctx, 0)
		equal(t, "kinds of duplicate left", len(found), 2)
		return err
	})
}

// testProbes takes retractions and changes of links through a store, as a batch
// is.
func testProbes(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	rules := dire.DefaultRules()
	carry := func(probe dire.Probe, err error) (plan dire.Plan) {
		t.Helper()
		check(t, err)
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			near, err := tx.Neighbourhood(ctx, probe)
			check(t, err)
			plan, err = rules.Plan(probe, near)
			check(t, err)
			return tx.Apply(ctx, plan)
		})
		return plan
	}
	mac := []string{"00:1b:21:00:00:01"}
	carry(probeFor(t, "s1", "p", dire.Update{NativeID: "1", MACs: mac}), nil)
	carry(probeFor(t, "s2", "p", dire.Update{NativeID: "1", MACs: mac}, dire.Update{NativeID: "2"}), nil)
	plan := carry(rules.ProbeForRetractions(dire.Retractions{
		Source: "s2", Received: at(50), Rule: dire.RuleAbsent, Runs: []string{"r1", "r2"},
		Things: []dire.Retraction{{Key: "id:1", At: at(45)}, {Key: "id:2", At: at(20)}, {Key: "id:3", At: at(45)}},
	}))
	// What was asserted since lives on, and what is not stored is passed over.
	equal(t, "retracted", plan.Retracted, 1)
	equal(t, "decisions", len(plan.Decisions), 1)
	var one, two dire.Assertion
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		return tx.Assertions(ctx, func(a dire.Assertion) error {
			switch a.Source + a.Key {
			case "s1id:1":
				one = a
			case "s2id:2":
				two = a
			default:
				equal(t, "retracted at", a.RetractedAt, at(45).Truncate(time.Microsecond))
			}
			return nil
		})
	})
	pair := []dire.Pair{dire.PairOf(one.HomeID, two.HomeID)}
	plan = carry(rules.ProbeForLinks(dire.LinkChange{At: at(51), By: "local:0", Link: pair}))
	equal(t, "links put", len(plan.Links), 1)
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		device, members, err := tx.Device(ctx, two.HomeID)
		equal(t, "members of the device linked", len(members), 3)
		equal(t, "its sources", device.Sources, []string{"s1", "s2"})
		return err
	})
	carry(rules.ProbeForLinks(dire.LinkChange{At: at(52), By: "local:0", Drop: pair}))
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		_, members, err := tx.Device(ctx, two.HomeID)
		equal(t, "members of the device no longer linked", len(members), 1)
		return err
	})
}
