package dire_test

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"edgesync/dire"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// memory is a store that holds rows in maps and answers a probe with exactly
// what dire.Neighbourhood says it must, and nothing more.
type memory struct {
	rows    map[dire.Ref]dire.Assertion
	devices map[string]dire.Device
	// seed decides which rows are left out where any will do.
	seed uint64
}

func newMemory(seed uint64) *memory {
	return &memory{rows: map[dire.Ref]dire.Assertion{}, devices: map[string]dire.Device{}, seed: seed}
}

func refOf(a *dire.Assertion) dire.Ref { return dire.Ref{Source: a.Source, Key: a.Key} }

// place is an identifier within its partition.
type place struct {
	partition string
	dire.Identifier
}

func (m *memory) holders(p place) []dire.Ref {
	var refs []dire.Ref
	for ref, a := range m.rows {
		if a.Partition == p.partition && slices.Contains(a.Identifiers, p.Identifier) {
			refs = append(refs, ref)
		}
	}
	// Any order will do, so it is one the seed decides.
	slices.SortFunc(refs, func(a, b dire.Ref) int { return cmp.Compare(m.rank(a), m.rank(b)) })
	return refs
}

func (m *memory) rank(r dire.Ref) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %s", m.seed, r.Source, r.Key)
	return h.Sum64()
}

func (m *memory) neighbourhood(p *dire.Probe) dire.Neighbourhood {
	var n dire.Neighbourhood
	for _, key := range p.Keys {
		if a, ok := m.rows[dire.Ref{Source: p.Source, Key: key}]; ok {
			n.Known = append(n.Known, dire.Known{
				Key: a.Key, Partition: a.Partition, Hash: a.Hash, Run: a.Run,
				DeviceID: a.DeviceID, LastSeen: a.LastSeen, RetractedAt: a.RetractedAt,
			})
		}
	}
	reach := p.Reach(n.Known)
	for _, a := range m.rows {
		if slices.Contains(reach.Homes, a.HomeID) {
			n.Homes = append(n.Homes, a.HomeID)
		}
	}
	found := m.walk(reach)
	m.addWeak(reach, found)
	devices := map[string]bool{}
	for ref := range found {
		devices[m.rows[ref].DeviceID] = true
	}
	for ref, a := range m.rows {
		if devices[a.DeviceID] {
			found[ref] = true
		}
	}
	for ref := range found {
		a := m.rows[ref]
		a.Identifiers = nil
		data, err := dire.EncodeFacts(&a.Facts)
		if err != nil {
			panic(err)
		}
		if a.Facts, err = dire.DecodeFacts(data); err != nil {
			panic(err)
		}
		n.Assertions = append(n.Assertions, a)
	}
	slices.SortFunc(n.Assertions, func(a, b dire.Assertion) int { return cmp.Compare(m.rank(refOf(&a)), m.rank(refOf(&b))) })
	return n
}

func hardware(id dire.Identifier) bool {
	return id.Kind == dire.IdentifierMAC || id.Kind == dire.IdentifierSerial
}

func (m *memory) walk(reach dire.Reach) map[dire.Ref]bool {
	found, keys, visited := map[dire.Ref]bool{}, map[dire.Ref]bool{}, map[place]bool{}
	var queue []place
	enter := func(ref dire.Ref) {
		if found[ref] {
			return
		}
		found[ref] = true
		a := m.rows[ref]
		for _, id := range a.Identifiers {
			if hardware(id) {
				queue = append(queue, place{a.Partition, id})
			}
		}
	}
	for _, key := range reach.Keys {
		ref := dire.Ref{Source: reach.Source, Key: key}
		keys[ref] = true
		enter(ref)
	}
	for _, id := range reach.Identifiers {
		if hardware(id) {
			queue = append(queue, place{reach.Partition, id})
		}
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if visited[p] {
			continue
		}
		visited[p] = true
		taken := map[string]int{}
		for _, ref := range m.holders(p) {
			a := m.rows[ref]
			if a.Native() && !keys[ref] {
				kind := fmt.Sprint(a.Source, a.Retracted())
				if taken[kind]++; taken[kind] > 2 {
					continue
				}
			}
			enter(ref)
		}
	}
	return found
}

func (m *memory) addWeak(reach dire.Reach, found map[dire.Ref]bool) {
	walk := maps.Clone(found)
	strong, weak := map[place]bool{}, map[place]bool{}
	add := func(partition string, ids []dire.Identifier) {
		for _, id := range ids {
			switch id.Kind {
			case dire.IdentifierIP:
				strong[place{partition, id}] = true
			case dire.IdentifierWeakIP:
				weak[place{partition, id}] = true
			}
		}
	}
	add(reach.Partition, reach.Identifiers)
	for ref := range walk {
		add(m.rows[ref].Partition, m.rows[ref].Identifiers)
	}
	for p := range strong {
		p.Kind = dire.IdentifierWeakIP
		for _, ref := range m.holders(p) {
			found[ref] = true
			add(p.partition, m.rows[ref].Identifiers)
		}
	}
	for p := range weak {
		p.Kind = dire.IdentifierIP
		outside := map[string]bool{}
		for _, ref := range m.holders(p) {
			a := m.rows[ref]
			if a.Retracted() || walk[ref] || outside[a.DeviceID] || len(outside) == 2 {
				continue
			}
			outside[a.DeviceID] = true
			found[ref] = true
		}
	}
}

// apply carries a plan out and checks what a store may rely on.
func (m *memory) apply(t tester, plan dire.Plan) {
	t.Helper()
	written := map[dire.Ref]bool{}
	once := func(ref dire.Ref) {
		if written[ref] {
			t.Fatalf("%v is in the plan twice", ref)
		}
		written[ref] = true
	}
	for _, a := range plan.Put {
		once(refOf(&a))
		for ref, other := range m.rows {
			if other.HomeID == a.HomeID && ref != refOf(&a) {
				t.Fatalf("%v takes the home of %v", refOf(&a), ref)
			}
		}
		m.rows[refOf(&a)] = a
	}
	for _, s := range plan.Seen {
		ref := dire.Ref{Source: s.Source, Key: s.Key}
		once(ref)
		a, ok := m.rows[ref]
		if !ok || a.DeviceID != s.DeviceID {
			t.Fatalf("seen %v of device %s: stored is %+v", ref, s.DeviceID, a)
		}
		a.Run, a.LastSeen = s.Run, s.LastSeen
		m.rows[ref] = a
		d := m.devices[s.DeviceID]
		if d.LastSeen.Before(s.LastSeen) {
			d.LastSeen = s.LastSeen
			m.devices[s.DeviceID] = d
		}
	}
	for _, d := range plan.Devices {
		if slices.Contains(plan.Gone, d.ID) {
			t.Fatalf("device %s is written and gone", d.ID)
		}
		m.devices[d.ID] = d
	}
	for _, id := range plan.Gone {
		if _, ok := m.devices[id]; !ok {
			t.Fatalf("device %s is gone but was not there", id)
		}
		delete(m.devices, id)
	}
}

// ingest takes a batch through all three steps.
func (m *memory) ingest(t tester, b dire.Batch) dire.Plan {
	t.Helper()
	rules := dire.DefaultRules()
	b.Updates = slices.Clone(b.Updates)
	probe, err := rules.ProbeFor(b)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := rules.Plan(probe, m.neighbourhood(&probe))
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Stats
	if sum := s.Stored + s.Unchanged + s.Superseded + s.Refused; sum != len(b.Updates) {
		t.Fatalf("stats %+v add up to %d of %d updates", s, sum, len(b.Updates))
	}
	m.apply(t, plan)
	return plan
}

// clone copies the maps; rows are never changed in place.
func (m *memory) clone() *memory {
	return &memory{rows: maps.Clone(m.rows), devices: maps.Clone(m.devices), seed: m.seed}
}

// device looks an id up as a store does: a device's, or an assertion's home.
func (m *memory) device(id string) (dire.Device, bool) {
	if d, ok := m.devices[id]; ok {
		return d, true
	}
	for _, a := range m.rows {
		if a.HomeID == id {
			d, ok := m.devices[a.DeviceID]
			return d, ok
		}
	}
	return dire.Device{}, false
}
