package dire

import (
	"fmt"
	"time"
)

// Plan decides what a batch changes, given what the store holds around it. It
// takes the neighbourhood over: what it holds may be changed and may come back
// in the plan. An error means that the neighbourhood is not what was asked for.
func (r Rules) Plan(p Probe, n Neighbourhood) (Plan, error) {
	pl := planner{rules: r, probe: &p}
	if err := pl.load(&n); err != nil {
		return Plan{}, err
	}
	if len(pl.plan.Put) > 0 || p.links != nil {
		pl.graph.index(pl.nodes)
		pl.walk()
		pl.group()
		pl.attach()
		pl.decide()
		pl.findings()
	}
	pl.write()
	return pl.plan, nil
}

// planner carries one batch from what is stored to a plan.
type planner struct {
	rules Rules
	probe *Probe
	// nodes are the stored assertions around the batch and the new ones.
	nodes []node
	graph graph
	// pairs are what operators said; beside files them by their nodes.
	pairs  []pair
	beside map[int32][]int32
	// now is the grouping after the batch.
	now  layer
	seen []sighting
	plan Plan
}

// node is an assertion in the two states a batch lies between.
type node struct {
	// now is the assertion after the batch; old before it, nil for a new one.
	// They are one for an assertion that the batch does not change.
	now, old *Assertion
	// ids and oldIDs are its identifiers in the two states.
	ids, oldIDs       []Identifier
	strong, oldStrong bool
	// linked and oldLinked tell that an operator's word makes it one with another.
	linked, oldLinked bool
	// relinked tells that an operator's word on it changes.
	relinked bool
	// changed tells that the batch changes what is asserted or whether it is.
	changed bool
	// affected tells that it may be grouped anew.
	affected bool
	// device is the id of the device it is part of after the batch.
	device string
}

func (n *node) native() bool { return n.now.Native() }

// grouped tells whether a node counts in grouping in a state, and does not
// merely follow its addresses.
func (n *node) grouped(now bool) bool {
	if now {
		return n.strong || n.linked
	}
	return n.oldStrong || n.oldLinked
}

// retracted tells whether a node is there in a state, strong and retracted.
func (n *node) retracted(now bool) bool {
	if now {
		return n.strong && n.now.Retracted()
	}
	return n.old != nil && n.oldStrong && n.old.Retracted()
}

// sighting is an assertion that is only seen again; node is -1 where the
// neighbourhood did not need it.
type sighting struct {
	seen Seen
	node int32
}

// load brings the batch together with what is stored: afterwards plan.Put holds
// the assertions that change, each with a node, and seen those that do not.
func (pl *planner) load(n *Neighbourhood) error {
	p := pl.probe
	pl.plan.Stats = Stats{Unchanged: p.repeated, Superseded: p.superseded, Refused: p.refused}
	known := p.stored(n.Known)
	changes := make([]change, len(p.items))
	puts, fresh := 0, 0
	for i := range p.items {
		c := pl.changeOf(i, known[i])
		changes[i] = c
		if c.any() {
			puts++
		}
		if known[i] == nil {
			fresh++
		}
	}
	pl.plan.Put = make([]Assertion, 0, puts)
	pl.nodes = make([]node, 0, len(n.Assertions)+fresh)
	if puts == 0 && p.links == nil {
		n.Assertions = nil
	}
	at := pl.loadStored(n.Assertions)
	taken := make(map[string]bool, len(n.Homes))
	for _, home := range n.Homes {
		taken[home] = true
	}
	for i := range changes {
		c := &changes[i]
		switch {
		case (known[i] == nil || c.any()) && (known[i] == nil) != (at[i] < 0):
			return fmt.Errorf("plan a batch of %s: known rows and assertions of the neighbourhood disagree on %q", p.Source, p.Keys[i])
		case known[i] == nil && !c.any():
			// A retraction of what was never stored.
		case known[i] == nil:
			pl.insert(i, c, taken)
		case c.any():
			pl.replace(i, c, at[i])
		case c.seen:
			pl.sight(i, known[i], at[i])
		}
	}
	return pl.loadPairs(n.Links)
}

// changeOf decides what an item changes, and counts its updates.
func (pl *planner) changeOf(i int, k *Known) change {
	var c change
	if k == nil {
		c = fresh(&pl.probe.items[i], pl.probe.run)
	} else {
		c = changeOf(&pl.probe.items[i], pl.probe.run, k)
	}
	stats := &pl.plan.Stats
	stats.Stored += c.stored
	stats.Unchanged += c.unchanged
	stats.Superseded += c.superseded
	return c
}

// loadStored makes nodes of the stored assertions, and returns where those of
// the probe's keys are, or -1.
func (pl *planner) loadStored(assertions []Assertion) []int32 {
	at := make([]int32, len(pl.probe.Keys))
	for i := range at {
		at[i] = -1
	}
	for i := range assertions {
		a := &assertions[i]
		ids, strong := pl.rules.Identifiers(&a.Facts)
		if a.Source == pl.probe.Source {
			if k, ok := pl.probe.index[a.Key]; ok {
				at[k] = int32(len(pl.nodes))
			}
		}
		pl.nodes = append(pl.nodes, node{
			now: a, old: a, ids: ids, oldIDs: ids, strong: strong, oldStrong: strong, device: a.DeviceID,
		})
	}
	return at
}

// insert adds an assertion that is not stored yet.
func (pl *planner) insert(i int, c *change, taken map[string]bool) {
	p, it := pl.probe, &pl.probe.items[i]
	home := it.home
	if home == "" {
		home = homeID(p.partition, p.Source, p.Keys[i], 0)
	}
	for counter := uint64(1); taken[home]; counter++ {
		home = homeID(p.partition, p.Source, p.Keys[i], counter)
	}
	pl.plan.Put = append(pl.plan.Put, Assertion{
		Source: p.Source, Key: p.Keys[i], HomeID: home, FirstSeen: it.firstSeen, LastSeen: it.lastSeen,
	})
	a := &pl.plan.Put[len(pl.plan.Put)-1]
	it.apply(a, c, p)
	pl.nodes = append(pl.nodes, node{now: a, ids: it.ids, strong: it.strong, changed: true})
}

// replace changes a stored assertion.
func (pl *planner) replace(i int, c *change, at int32) {
	it, n := &pl.probe.items[i], &pl.nodes[at]
	pl.plan.Put = append(pl.plan.Put, *n.old)
	n.now = &pl.plan.Put[len(pl.plan.Put)-1]
	n.changed = true
	it.apply(n.now, c, pl.probe)
	if c.facts {
		n.ids, n.strong = it.ids, it.strong
	}
}

// apply carries a change out on an assertion.
func (it *item) apply(a *Assertion, c *change, p *Probe) {
	if c.facts {
		a.Facts, a.Hash, a.Partition, a.Changed = it.facts, it.hash, p.partition, it.lastSeen
	}
	if it.asserted && (c.facts || c.seen) {
		a.Run = p.run
		a.LastSeen = later(a.LastSeen, it.lastSeen)
	}
	a.RetractedAt = c.at
}

// sight notes that a stored assertion was seen again. Said twice of one run, it
// writes nothing.
func (pl *planner) sight(i int, k *Known, at int32) {
	p := pl.probe
	last := later(k.LastSeen, p.items[i].lastSeen)
	if k.Run.ID == p.run.ID && k.Run.Started.Equal(p.run.Started) && last.Equal(k.LastSeen) {
		return
	}
	pl.seen = append(pl.seen, sighting{
		seen: Seen{Source: p.Source, Key: k.Key, DeviceID: k.DeviceID, Run: p.run, LastSeen: last},
		node: at,
	})
	if at >= 0 {
		pl.nodes[at].now.Run, pl.nodes[at].now.LastSeen = p.run, last
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
