package diretest

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"edgesync/dire"
)

// defaults are the rules a platform runs on.
var defaults = dire.DefaultRules()

// Memory is a store that holds rows in maps and answers a probe with exactly
// what dire.Neighbourhood says it must, and nothing more.
type Memory struct {
	Rows    map[dire.Ref]dire.Assertion
	Devices map[string]dire.Device
	Links   map[dire.Pair]dire.Link
	// Decisions are all that were kept.
	Decisions []dire.Decision
	// seed decides which rows are left out where any will do, and what is written
	// without a plan.
	seed uint64
}

func NewMemory(seed uint64) *Memory {
	return &Memory{
		Rows: map[dire.Ref]dire.Assertion{}, Devices: map[string]dire.Device{},
		Links: map[dire.Pair]dire.Link{}, seed: seed,
	}
}

// RefOf names an assertion.
func RefOf(a *dire.Assertion) dire.Ref { return dire.Ref{Source: a.Source, Key: a.Key} }

// place is an identifier within its partition.
type place struct {
	partition string
	dire.Identifier
}

func (m *Memory) holders(p place) []dire.Ref {
	var refs []dire.Ref
	for ref, a := range m.Rows {
		if a.Partition == p.partition && slices.Contains(a.Identifiers, p.Identifier) {
			refs = append(refs, ref)
		}
	}
	// Any order will do, so it is one the seed decides.
	slices.SortFunc(refs, func(a, b dire.Ref) int { return cmp.Compare(m.rank(a), m.rank(b)) })
	return refs
}

func (m *Memory) rank(r dire.Ref) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %s", m.seed, r.Source, r.Key)
	return h.Sum64()
}

// Neighbourhood answers a probe.
func (m *Memory) Neighbourhood(p *dire.Probe) dire.Neighbourhood {
	var n dire.Neighbourhood
	for _, key := range p.Keys {
		if a, ok := m.Rows[dire.Ref{Source: p.Source, Key: key}]; ok {
			n.Known = append(n.Known, dire.Known{
				Key: a.Key, Partition: a.Partition, Hash: a.Hash, Run: a.Run,
				DeviceID: a.DeviceID, LastSeen: a.LastSeen, RetractedAt: a.RetractedAt,
			})
		}
	}
	reach := p.Reach(n.Known)
	for _, a := range m.Rows {
		if slices.Contains(reach.Homes, a.HomeID) {
			n.Homes = append(n.Homes, a.HomeID)
		}
	}
	found := m.walk(reach)
	m.addWeak(reach, found)
	devices := map[string]bool{}
	for ref := range found {
		devices[m.Rows[ref].DeviceID] = true
	}
	for ref, a := range m.Rows {
		if devices[a.DeviceID] {
			found[ref] = true
		}
	}
	for ref := range found {
		a := m.Rows[ref]
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
	for _, l := range m.Links {
		if found[m.at(l.A)] || found[m.at(l.B)] {
			n.Links = append(n.Links, l)
		}
	}
	slices.SortFunc(n.Assertions, func(a, b dire.Assertion) int { return cmp.Compare(m.rank(RefOf(&a)), m.rank(RefOf(&b))) })
	return n
}

// at is the assertion with a home id.
func (m *Memory) at(home string) dire.Ref {
	for ref, a := range m.Rows {
		if a.HomeID == home {
			return ref
		}
	}
	return dire.Ref{}
}

// Hardware tells whether an identifier links.
func Hardware(id dire.Identifier) bool {
	return id.Kind == dire.IdentifierMAC || id.Kind == dire.IdentifierSerial
}

func (m *Memory) walk(reach dire.Reach) map[dire.Ref]bool {
	found, keys, visited := map[dire.Ref]bool{}, map[dire.Ref]bool{}, map[place]bool{}
	var queue []place
	var enter func(ref dire.Ref)
	enter = func(ref dire.Ref) {
		if found[ref] {
			return
		}
		found[ref] = true
		a := m.Rows[ref]
		for pair, l := range m.Links {
			if !l.Apart && (pair.A == a.HomeID || pair.B == a.HomeID) {
				enter(m.at(pair.A))
				enter(m.at(pair.B))
			}
		}
		for _, id := range a.Identifiers {
			if Hardware(id) {
				queue = append(queue, place{a.Partition, id})
			}
		}
	}
	for _, key := range reach.Keys {
		ref := dire.Ref{Source: reach.Source, Key: key}
		keys[ref] = true
		enter(ref)
	}
	for _, home := range reach.Members {
		keys[m.at(home)] = true
		enter(m.at(home))
	}
	for _, id := range reach.Identifiers {
		if Hardware(id) {
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
			a := m.Rows[ref]
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

func (m *Memory) addWeak(reach dire.Reach, found map[dire.Ref]bool) {
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
		add(m.Rows[ref].Partition, m.Rows[ref].Identifiers)
	}
	for p := range strong {
		p.Kind = dire.IdentifierWeakIP
		for _, ref := range m.holders(p) {
			found[ref] = true
			add(p.partition, m.Rows[ref].Identifiers)
		}
	}
	for p := range weak {
		p.Kind = dire.IdentifierIP
		outside := map[string]bool{}
		for _, ref := range m.holders(p) {
			a := m.Rows[ref]
			if a.Retracted() || walk[ref] || outside[a.DeviceID] || len(outside) == 2 {
				continue
			}
			outside[a.DeviceID] = true
			found[ref] = true
		}
	}
}

// apply carries a plan out and checks what a store may rely on.
func (m *Memory) apply(t T, plan dire.Plan) {
	t.Helper()
	written := map[dire.Ref]bool{}
	once := func(ref dire.Ref) {
		if written[ref] {
			t.Fatalf("%v is in the plan twice", ref)
		}
		written[ref] = true
	}
	for _, a := range plan.Put {
		once(RefOf(&a))
		for ref, other := range m.Rows {
			if other.HomeID == a.HomeID && ref != RefOf(&a) {
				t.Fatalf("%v takes the home of %v", RefOf(&a), ref)
			}
		}
		m.Rows[RefOf(&a)] = a
	}
	for _, s := range plan.Seen {
		ref := dire.Ref{Source: s.Source, Key: s.Key}
		once(ref)
		a, ok := m.Rows[ref]
		if !ok || a.DeviceID != s.DeviceID {
			t.Fatalf("seen %v of device %s: stored is %+v", ref, s.DeviceID, a)
		}
		a.Run, a.LastSeen = s.Run, s.LastSeen
		m.Rows[ref] = a
		d := m.Devices[s.DeviceID]
		if d.LastSeen.Before(s.LastSeen) {
			d.LastSeen = s.LastSeen
			m.Devices[s.DeviceID] = d
		}
	}
	for _, d := range plan.Devices {
		if slices.Contains(plan.Gone, d.ID) {
			t.Fatalf("device %s is written and gone", d.ID)
		}
		m.Devices[d.ID] = d
	}
	for _, id := range plan.Gone {
		if _, ok := m.Devices[id]; !ok {
			t.Fatalf("device %s is gone but was not there", id)
		}
		delete(m.Devices, id)
	}
	for _, pair := range plan.Unlinked {
		delete(m.Links, pair)
	}
	for _, l := range plan.Links {
		m.Links[l.Pair()] = l
	}
	for i := range plan.Decisions {
		for _, home := range plan.Decisions[i].Subjects {
			if m.at(home).Key == "" {
				t.Fatalf("decision %+v is about %s, which is nothing", plan.Decisions[i], home)
			}
		}
	}
	m.Decisions = append(m.Decisions, plan.Decisions...)
}

// Ingest takes a batch through all three steps.
func (m *Memory) Ingest(t T, b dire.Batch) dire.Plan {
	t.Helper()
	b.Updates = slices.Clone(b.Updates)
	probe, err := defaults.ProbeFor(b)
	if err == nil {
		probe = m.touch(&probe)
	}
	plan := m.carryOut(t, probe, err)
	s := plan.Stats
	if sum := s.Stored + s.Unchanged + s.Superseded + s.Refused; sum != len(b.Updates) {
		t.Fatalf("stats %+v add up to %d of %d updates", s, sum, len(b.Updates))
	}
	return plan
}

// touch writes some of what a batch only repeats, as the seed decides, and returns
// the rest.
func (m *Memory) touch(p *dire.Probe) dire.Probe {
	var touched []int
	run := p.Run()
	for _, r := range p.Repeats() {
		ref := dire.Ref{Source: p.Source, Key: r.Key}
		a, ok := m.Rows[ref]
		if !ok || a.Hash != r.Hash || a.Retracted() || a.Run.Started.IsZero() || a.Run.Started.After(run.Started) || (m.rank(ref)+m.seed)%2 == 0 {
			continue
		}
		touched = append(touched, r.Place)
		if a.Run.ID == run.ID && a.Run.Started.Equal(run.Started) && !r.LastSeen.After(a.LastSeen) {
			continue
		}
		a.Run = run
		if r.LastSeen.After(a.LastSeen) {
			a.LastSeen = r.LastSeen
		}
		m.Rows[ref] = a
		if d := m.Devices[a.DeviceID]; d.LastSeen.Before(a.LastSeen) {
			d.LastSeen = a.LastSeen
			m.Devices[a.DeviceID] = d
		}
	}
	return p.Without(touched)
}

// Relink changes pairs.
func (m *Memory) Relink(t T, c dire.LinkChange) dire.Plan {
	t.Helper()
	probe, err := defaults.ProbeForLinks(c)
	return m.carryOut(t, probe, err)
}

// Retract retracts things of a source.
func (m *Memory) Retract(t T, r dire.Retractions) dire.Plan {
	t.Helper()
	probe, err := defaults.ProbeForRetractions(r)
	return m.carryOut(t, probe, err)
}

func (m *Memory) carryOut(t T, probe dire.Probe, err error) dire.Plan {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := defaults.Plan(probe, m.Neighbourhood(&probe))
	if err != nil {
		t.Fatal(err)
	}
	m.apply(t, plan)
	return plan
}

// State is all that is stored.
func (m *Memory) State(T) (map[dire.Ref]dire.Assertion, map[string]dire.Device) {
	return m.Rows, m.Devices
}

// Clone copies the maps; rows are never changed in place.
func (m *Memory) Clone() *Memory {
	return &Memory{
		Rows: maps.Clone(m.Rows), Devices: maps.Clone(m.Devices), Links: maps.Clone(m.Links),
		Decisions: slices.Clip(m.Decisions), seed: m.seed,
	}
}

// Device looks an id up as a store does: a device's, or an assertion's home.
func (m *Memory) Device(id string) (dire.Device, bool) {
	if d, ok := m.Devices[id]; ok {
		return d, true
	}
	for _, a := range m.Rows {
		if a.HomeID == id {
			d, ok := m.Devices[a.DeviceID]
			return d, ok
		}
	}
	return dire.Device{}, false
}
