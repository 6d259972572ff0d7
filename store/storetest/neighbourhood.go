package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"edgesync/core"
	"edgesync/dire"
)

func probeFor(t testing.TB, source, partition string, updates ...dire.Update) dire.Probe {
	t.Helper()
	probe, err := dire.DefaultRules().ProbeFor(dire.Batch{
		Source: source, SourceType: "armis", Confidence: 5, Partition: partition,
		Run: dire.Run{ID: "run-9", Started: at(30)}, Received: at(40), Updates: updates,
	})
	check(t, err)
	return probe
}

// stored is an update as an assertion: its key and identifiers are dire's.
func stored(t testing.TB, source, partition string, update dire.Update) *thing {
	t.Helper()
	probe := probeFor(t, source, partition, update)
	thing := newThing(source, probe.Keys[0], partition)
	thing.a.Facts.NativeID = update.NativeID
	thing.a.Identifiers = probe.Reach(nil).Identifiers
	return thing
}

func neighbourhood(t testing.TB, tenant core.TenantStore, probe dire.Probe) (near dire.Neighbourhood) {
	t.Helper()
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) (err error) {
		near, err = tx.Neighbourhood(ctx, probe)
		return err
	})
	return near
}

func refs(assertions []dire.Assertion) map[dire.Ref]bool {
	found := map[dire.Ref]bool{}
	for i := range assertions {
		found[dire.Ref{Source: assertions[i].Source, Key: assertions[i].Key}] = true
	}
	return found
}

// inventory invents updates whose identifiers come from small pools, so that
// they meet by all kinds of ways.
type inventory struct {
	random *rand.Rand
	// spread is how many values there are of each kind for each source.
	spread int
}

func (v inventory) update() dire.Update {
	var u dire.Update
	if v.random.IntN(3) > 0 {
		u.NativeID = fmt.Sprint(v.random.IntN(v.spread))
	}
	for range v.random.IntN(3) {
		u.MACs = append(u.MACs, fmt.Sprintf("00:1b:21:00:%02x:%02x", v.random.IntN(v.spread)>>8, v.random.IntN(v.spread)&255))
	}
	if v.random.IntN(3) == 0 {
		u.Manufacturer, u.SerialNumber = "maker", fmt.Sprintf("s%05d", v.random.IntN(v.spread))
	}
	for range v.random.IntN(3) {
		u.IPs = append(u.IPs, fmt.Sprintf("10.0.%d.%d", v.random.IntN(v.spread)>>8, v.random.IntN(v.spread)&255))
	}
	if u.NativeID == "" && u.MACs == nil && u.IPs == nil {
		u.IPs = []string{"10.1.0.1"}
	}
	return u
}

// testNeighbourhood compares what a store finds with a search that looks at
// everything, over random inventories.
func testNeighbourhood(t *testing.T, place Place) {
	store := open(t, place)
	for seed := range uint64(12) {
		tenant := createTenant(t, store)
		v := inventory{rand.New(rand.NewPCG(seed, 1)), 20 << (seed % 3)}
		byRef := map[dire.Ref]*thing{}
		sources, partitions := []string{"s1", "s2", "s3"}, []string{"p1", "p2"}
		pick := func(from []string) string { return from[v.random.IntN(len(from))] }
		for range 60 {
			thing := stored(t, pick(sources), pick(partitions), v.update())
			if v.random.IntN(6) == 0 {
				thing.retracted()
			}
			byRef[dire.Ref{Source: thing.a.Source, Key: thing.a.Key}] = thing
		}
		var things []*thing
		for _, ref := range slices.SortedFunc(maps.Keys(byRef), func(a, b dire.Ref) int {
			return slices.Compare([]string{a.Source, a.Key}, []string{b.Source, b.Key})
		}) {
			thing := byRef[ref]
			if n := len(things); n > 0 && v.random.IntN(4) == 0 {
				thing.partOf(things[v.random.IntN(n)])
			}
			things = append(things, thing)
		}
		apply(t, tenant, planOf(things...))
		for range 20 {
			var updates []dire.Update
			for range 1 + v.random.IntN(4) {
				updates = append(updates, v.update())
			}
			compareNeighbourhood(t, tenant, things, probeFor(t, pick(sources), pick(partitions), updates...))
		}
	}
}

func compareNeighbourhood(t *testing.T, tenant core.TenantStore, things []*thing, probe dire.Probe) {
	t.Helper()
	near := neighbourhood(t, tenant, probe)
	found := refs(near.Assertions)
	equal(t, "assertions found, each once", len(near.Assertions), len(found))
	for i := range near.Assertions {
		got := near.Assertions[i]
		at := slices.IndexFunc(things, func(t *thing) bool { return t.a.Source == got.Source && t.a.Key == got.Key })
		want := things[at].a
		got.Identifiers = want.Identifiers
		equal(t, "assertion found", got, want)
	}
	reach := probe.Reach(near.Known)
	s := search{things: things, reach: reach}
	for ref := range s.required() {
		if !found[ref] {
			t.Fatalf("neighbourhood of %+v misses %v: found %v", reach, ref, found)
		}
	}
}

// search finds what a neighbourhood must hold, the slow way. Where dire lets a
// store choose, it demands only what there is no choice about.
type search struct {
	things []*thing
	reach  dire.Reach
}

type place struct {
	partition string
	dire.Identifier
}

func (s search) required() map[dire.Ref]bool {
	walk := map[*thing]bool{}
	visited := map[place]bool{}
	var visit func(place)
	reached := func(t *thing) {
		if walk[t] {
			return
		}
		walk[t] = true
		for _, id := range t.a.Identifiers {
			visit(place{t.a.Partition, id})
		}
	}
	visit = func(at place) {
		if visited[at] || at.Kind != dire.IdentifierMAC && at.Kind != dire.IdentifierSerial {
			return
		}
		visited[at] = true
		for _, t := range s.holders(at) {
			if len(s.rivals(at, t)) <= 2 {
				reached(t)
			}
		}
	}
	for _, t := range s.things {
		if s.inReach(t) {
			reached(t)
		}
	}
	for _, id := range s.reach.Identifiers {
		visit(place{s.reach.Partition, id})
	}
	return s.devicesOf(s.addresses(walk))
}

// rivals are the native assertions that dire has a store choose two of, t among
// them; nil if t is none.
func (s search) rivals(at place, t *thing) (rivals []*thing) {
	if !t.a.Native() || s.inReach(t) {
		return nil
	}
	for _, o := range s.holders(at) {
		if o.a.Native() && o.a.Source == t.a.Source && o.a.Retracted() == t.a.Retracted() && !s.inReach(o) {
			rivals = append(rivals, o)
		}
	}
	return rivals
}

// addresses adds to a walk the weak assertions and those that have their address.
func (s search) addresses(walk map[*thing]bool) map[*thing]bool {
	near := maps.Clone(walk)
	addresses := func(of map[*thing]bool, kind dire.IdentifierKind) map[place]bool {
		found := map[place]bool{}
		for t := range of {
			for _, id := range t.a.Identifiers {
				if id.Kind == kind {
					found[place{t.a.Partition, id}] = true
				}
			}
		}
		for _, id := range s.reach.Identifiers {
			if id.Kind == kind {
				found[place{s.reach.Partition, id}] = true
			}
		}
		return found
	}
	for at := range addresses(walk, dire.IdentifierIP) {
		at.Kind = dire.IdentifierWeakIP
		for _, t := range s.holders(at) {
			near[t] = true
		}
	}
	for at := range addresses(near, dire.IdentifierWeakIP) {
		at.Kind = dire.IdentifierIP
		outside := map[string]*thing{}
		for _, t := range s.holders(at) {
			if !t.a.Retracted() && !walk[t] {
				outside[t.a.DeviceID] = t
			}
		}
		if len(outside) <= 2 {
			for _, t := range outside {
				near[t] = true
			}
		}
	}
	return near
}

// devicesOf are all assertions of the devices of some.
func (s search) devicesOf(some map[*thing]bool) map[dire.Ref]bool {
	devices, all := map[string]bool{}, map[dire.Ref]bool{}
	for t := range some {
		devices[t.a.DeviceID] = true
	}
	for _, t := range s.things {
		if devices[t.a.DeviceID] {
			all[dire.Ref{Source: t.a.Source, Key: t.a.Key}] = true
		}
	}
	return all
}

func (s search) inReach(t *thing) bool {
	return t.a.Source == s.reach.Source && slices.Contains(s.reach.Keys, t.a.Key)
}

func (s search) holders(at place) (found []*thing) {
	for _, t := range s.things {
		if t.a.Partition == at.partition && slices.Contains(t.a.Identifiers, at.Identifier) {
			found = append(found, t)
		}
	}
	return found
}

// testKnown checks the first half of a neighbourhood: what is stored of a
// batch's keys, and which homes are taken.
func testKnown(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	update := dire.Update{NativeID: "7", MACs: []string{"00:1b:21:00:00:01"}}
	probe := probeFor(t, "s1", "p", update)
	near := neighbourhood(t, tenant, probe)
	equal(t, "neighbourhood in an empty store", len(near.Known)+len(near.Homes)+len(near.Assertions), 0)

	head := stored(t, "s0", "p", dire.Update{NativeID: "1"})
	thing := stored(t, "s1", "p", update).partOf(head)
	thing.a.RetractedAt, thing.a.LastSeen = at(7), at(6)
	other := stored(t, "s2", "p", update)
	apply(t, tenant, planOf(head, thing, other))

	near = neighbourhood(t, tenant, probe)
	equal(t, "known", near.Known, []dire.Known{{
		Key: "id:7", Partition: "p", Hash: thing.a.Hash, Run: thing.a.Run, DeviceID: head.a.HomeID,
		LastSeen: at(6), RetractedAt: at(7),
	}})

	near = neighbourhood(t, tenant, probeFor(t, "s1", "elsewhere", dire.Update{NativeID: "99"}))
	equal(t, "neighbourhood of a stranger", len(near.Known)+len(near.Assertions), 0)
}

// testTakenHomes checks that an assertion whose home another one has gets one of
// its own, and that what is new beside it is stored as ever.
func testTakenHomes(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	probe := probeFor(t, "s1", "p", dire.Update{NativeID: "7"}, dire.Update{NativeID: "8"})
	wanted := probe.Reach(nil).Homes
	thief := newThing("s9", "id:1", "q")
	thief.a.HomeID, thief.a.DeviceID = wanted[1], wanted[1]
	apply(t, tenant, thief.plan())
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		near, err := tx.Neighbourhood(ctx, probe)
		if err != nil {
			return err
		}
		plan, err := dire.DefaultRules().Plan(probe, near)
		if err != nil {
			return err
		}
		return tx.Apply(ctx, plan)
	})
	homes := map[string]string{}
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		return tx.Assertions(ctx, func(a dire.Assertion) error {
			homes[a.Source+" "+a.Key] = a.HomeID
			return nil
		})
	})
	if len(homes) != 3 || homes["s9 id:1"] != wanted[1] || homes["s1 id:7"] != wanted[0] || homes["s1 id:8"] == wanted[1] {
		t.Errorf("homes %v, where %v were wanted", homes, wanted)
	}
}

// testCrowds checks that an identifier a whole inventory shares does not lead to
// all of it.
func testCrowds(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	const crowd = 1500
	var things []*thing
	for i := range crowd {
		thing := stored(t, []string{"s1", "s2"}[i%2], "p", dire.Update{
			NativeID: fmt.Sprint(i), Manufacturer: "maker", SerialNumber: "shared", IPs: []string{"10.0.0.1"},
		})
		if i%4 > 1 {
			thing.retracted()
		}
		things = append(things, thing)
	}
	apply(t, tenant, planOf(things...))
	for name, probe := range map[string]dire.Probe{
		"a new thing":                           probeFor(t, "s1", "p", dire.Update{NativeID: "new", Manufacturer: "maker", SerialNumber: "shared"}),
		"a weak thing with the crowd's address": probeFor(t, "s3", "p", dire.Update{IPs: []string{"10.0.0.1"}}),
		"one of the crowd that changed":         probeFor(t, "s1", "p", dire.Update{NativeID: "0", Manufacturer: "maker", SerialNumber: "shared"}),
	} {
		near := neighbourhood(t, tenant, probe)
		devices := map[string]bool{}
		living := 0
		for i := range near.Assertions {
			devices[near.Assertions[i].DeviceID] = true
			if !near.Assertions[i].Retracted() {
				living++
			}
		}
		if len(near.Assertions) > 50 || living < 2 || len(devices) < 2 {
			t.Errorf("%s: found %d of a crowd of %d, %d living, of %d devices", name, len(near.Assertions), crowd, living, len(devices))
		}
	}
}
