package dire

import (
	"fmt"
	"slices"
)

// pair is an operator's word on two nodes, in the two states.
type pair struct {
	a, b     int32
	apart    bool
	old, now bool
}

func (p *pair) in(now bool) bool {
	if now {
		return p.now
	}
	return p.old
}

// loadPairs brings the stored links and the change of links together. A link to
// an assertion that is not around has no effect here: what it has an effect on
// is part of the same device, and so in the neighbourhood.
func (pl *planner) loadPairs(links []Link) error {
	change := pl.probe.links
	if len(links) == 0 && change == nil {
		return nil
	}
	at := make(map[string]int32, len(pl.nodes))
	for i := range pl.nodes {
		at[pl.nodes[i].now.HomeID] = int32(i)
	}
	stored := make(map[Pair]int, len(links))
	for i := range links {
		l := &links[i]
		a, ok := at[l.A]
		b, also := at[l.B]
		if ok && also {
			stored[l.Pair()] = len(pl.pairs)
			pl.pairs = append(pl.pairs, pair{a: a, b: b, apart: l.Apart, old: true, now: true})
		}
	}
	if change != nil {
		if err := pl.changePairs(change, at, stored); err != nil {
			return err
		}
	}
	pl.sortPairs()
	return nil
}

// changePairs carries the probe's change out on the pairs.
func (pl *planner) changePairs(change *LinkChange, at map[string]int32, stored map[Pair]int) error {
	sides := func(p Pair) (a, b int32, err error) {
		a, ok := at[p.A]
		b, also := at[p.B]
		if !ok || !also || p.A >= p.B {
			return 0, 0, fmt.Errorf("plan a change of links: the pair %s, %s is not in the neighbourhood", p.A, p.B)
		}
		pl.nodes[a].relinked, pl.nodes[b].relinked = true, true
		return a, b, nil
	}
	for _, p := range change.Drop {
		if _, _, err := sides(p); err != nil {
			return err
		}
		if i, ok := stored[p]; ok {
			pl.pairs[i].now = false
			pl.plan.Unlinked = append(pl.plan.Unlinked, p)
		}
	}
	put := func(p Pair, apart bool) error {
		a, b, err := sides(p)
		if err != nil {
			return err
		}
		if i, ok := stored[p]; ok {
			if pl.pairs[i].apart == apart {
				return nil
			}
			pl.pairs[i].now = false
		}
		pl.pairs = append(pl.pairs, pair{a: a, b: b, apart: apart, now: true})
		pl.plan.Links = append(pl.plan.Links, Link{
			A: p.A, B: p.B, Apart: apart, At: change.At, By: change.By, Reason: change.Reason,
		})
		return nil
	}
	for _, p := range change.Link {
		if err := put(p, false); err != nil {
			return err
		}
	}
	for _, p := range change.Apart {
		if err := put(p, true); err != nil {
			return err
		}
	}
	return nil
}

// sortPairs files the pairs by their nodes. In a state in which the two are not
// of one partition a pair has no effect.
func (pl *planner) sortPairs() {
	pl.beside = make(map[int32][]int32, 2*len(pl.pairs))
	for i := range pl.pairs {
		p := &pl.pairs[i]
		a, b := &pl.nodes[p.a], &pl.nodes[p.b]
		p.now = p.now && a.now.Partition == b.now.Partition
		p.old = p.old && a.old != nil && b.old != nil && a.old.Partition == b.old.Partition
		if !p.apart {
			a.linked, b.linked = a.linked || p.now, b.linked || p.now
			a.oldLinked, b.oldLinked = a.oldLinked || p.old, b.oldLinked || p.old
		}
		pl.beside[p.a] = append(pl.beside[p.a], int32(i))
		pl.beside[p.b] = append(pl.beside[p.b], int32(i))
	}
}

func (pl *planner) hasApart(i int32, now bool) bool {
	for _, at := range pl.beside[i] {
		if p := &pl.pairs[at]; p.apart && p.in(now) {
			return true
		}
	}
	return false
}

func (pl *planner) saidApart(i, j int32, now bool) bool {
	for _, at := range pl.beside[i] {
		if p := &pl.pairs[at]; p.apart && p.in(now) && (p.a == j || p.b == j) {
			return true
		}
	}
	return false
}

// apartFrom tells whether a weak node is not to be part of a device: an operator
// said of one of those that make it up that the two are not one.
func (pl *planner) apartFrom(i int32, device string) bool {
	for _, at := range pl.beside[i] {
		p := &pl.pairs[at]
		if !p.apart || !p.now {
			continue
		}
		other := &pl.nodes[p.a+p.b-i]
		if other.grouped(true) && other.device == device {
			return true
		}
	}
	return false
}

// joinPairs joins the affected nodes that operators linked, whether they live or
// not. Of a component that then holds two that are not to be one the retracted
// ones leave their living groups; where that is not enough it keeps no other links
// than these.
func (pl *planner) joinPairs(l, living *layer, now bool) {
	if len(pl.pairs) == 0 {
		return
	}
	pl.uniteLinked(l, now)
	for _, component := range pl.severed(l, now) {
		for _, i := range component {
			l.parent[i] = living.find(i)
		}
	}
	pl.uniteLinked(l, now)
	severed := pl.severed(l, now)
	l.chains = append(l.chains, severed...)
	for _, component := range severed {
		for _, i := range component {
			l.parent[i] = i
		}
	}
	pl.uniteLinked(l, now)
}

// severed lists the components that hold two nodes that an operator said are not
// one.
func (pl *planner) severed(l *layer, now bool) [][]int32 {
	roots := map[int32]bool{}
	for i := range pl.pairs {
		p := &pl.pairs[i]
		if p.apart && p.in(now) && pl.nodes[p.a].affected && pl.nodes[p.b].affected && l.find(p.a) == l.find(p.b) {
			roots[l.find(p.a)] = true
		}
	}
	if len(roots) == 0 {
		return nil
	}
	return slices.DeleteFunc(l.components(), func(component []int32) bool { return !roots[l.find(component[0])] })
}

func (pl *planner) uniteLinked(l *layer, now bool) {
	for i := range pl.pairs {
		p := &pl.pairs[i]
		if !p.apart && p.in(now) && pl.nodes[p.a].affected && pl.nodes[p.b].affected {
			l.union(p.a, p.b)
		}
	}
}
