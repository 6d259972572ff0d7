package dire

import "slices"

// layer is a grouping of affected nodes: union-find over their indexes.
type layer struct {
	parent []int32
	// ambiguous are the identifiers rule (a) took away.
	ambiguous []int32
	// chains are the components rule (b) took apart.
	chains [][]int32
}

func (l *layer) find(i int32) int32 {
	for l.parent[i] != i {
		l.parent[i] = l.parent[l.parent[i]]
		i = l.parent[i]
	}
	return i
}

func (l *layer) union(a, b int32) {
	if a, b = l.find(a), l.find(b); a < b {
		l.parent[b] = a
	} else {
		l.parent[a] = b
	}
}

func newLayer(size int) layer {
	l := layer{parent: make([]int32, size)}
	for i := range l.parent {
		l.parent[i] = int32(i)
	}
	return l
}

// holds tells whether a ref is there in a state, and its node alive.
func (pl *planner) holds(r *ref, now bool) bool {
	n := &pl.nodes[r.node]
	if now {
		return r.now && !n.now.Retracted()
	}
	return r.old && !n.old.Retracted()
}

// link groups the affected living nodes of one state over the hardware ids they
// share, less what rules (a) and (b) take away.
func (pl *planner) link(now bool) layer {
	l := newLayer(len(pl.nodes))
	var natives sources
	for i := range pl.graph.idents {
		if !hardware(pl.graph.idents[i].Kind) {
			continue
		}
		natives.reset()
		first, shared, ambiguous := int32(-1), false, false
		for h := pl.graph.idents[i].last; h >= 0 && !ambiguous; h = pl.graph.refs[h].prev {
			r := &pl.graph.refs[h]
			if !pl.holds(r, now) {
				continue
			}
			n := &pl.nodes[r.node]
			ambiguous = n.native() && natives.add(n.now.Source)
			if n.affected {
				shared = shared || first >= 0
				first = r.node
			}
		}
		switch {
		case ambiguous:
			l.ambiguous = append(l.ambiguous, int32(i))
		case shared:
			pl.unite(&l, int32(i), first, func(r *ref) bool { return pl.holds(r, now) })
		}
	}
	for _, component := range l.components() {
		natives.reset()
		for _, i := range component {
			if n := &pl.nodes[i]; n.native() && natives.add(n.now.Source) {
				l.chains = append(l.chains, component)
				break
			}
		}
	}
	for _, component := range l.chains {
		for _, i := range component {
			l.parent[i] = i
		}
	}
	return l
}

// unite joins the affected holders of an identifier with the node first.
func (pl *planner) unite(l *layer, ident, first int32, holds func(*ref) bool) {
	for h := pl.graph.idents[ident].last; h >= 0; h = pl.graph.refs[h].prev {
		if r := &pl.graph.refs[h]; holds(r) && pl.nodes[r.node].affected {
			l.union(first, r.node)
		}
	}
}

// components lists those of two nodes and more, each in the order of the nodes.
func (l *layer) components() [][]int32 {
	size := make([]int32, len(l.parent))
	count, members := 0, int32(0)
	for i := range l.parent {
		root := l.find(int32(i))
		size[root]++
		switch {
		case size[root] == 2:
			count, members = count+1, members+2
		case size[root] > 2:
			members++
		}
	}
	if count == 0 {
		return nil
	}
	list, flat := make([][]int32, 0, count), make([]int32, 0, members)
	at := make([]int32, len(l.parent))
	for i := range l.parent {
		root := l.find(int32(i))
		if size[root] < 2 {
			continue
		}
		if at[root] == 0 {
			from := len(flat)
			flat = flat[:from+int(size[root])]
			list = append(list, flat[from:from:len(flat)])
			at[root] = int32(len(list))
		}
		k := at[root] - 1
		list[k] = append(list[k], int32(i))
	}
	return list
}

// group decides which strong affected nodes are one device, and its id. Living
// assertions come first. Retracted ones link no living ones; afterwards they are
// linked to them and to each other by the same rules, so that a device stays
// one when it is no longer asserted, and its old ids lead to it.
func (pl *planner) group() {
	pl.living = pl.link(true)
	joined := pl.joinRetracted()
	heads := make([]int32, len(pl.nodes))
	for i := range heads {
		heads[i] = -1
	}
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if !n.affected || !n.strong {
			continue
		}
		if root := joined.find(int32(i)); heads[root] < 0 || precedes(n.now, pl.nodes[heads[root]].now) {
			heads[root] = int32(i)
		}
	}
	for i := range pl.nodes {
		if n := &pl.nodes[i]; n.affected && n.strong {
			n.device = pl.nodes[heads[joined.find(int32(i))]].now.HomeID
		}
	}
}

// precedes tells which of two members gives their device its id: the oldest
// living one. Among retracted ones those come first that were retracted last, so
// that a device keeps its id when its last living member goes.
func precedes(a, b *Assertion) bool {
	if !a.RetractedAt.Equal(b.RetractedAt) {
		if a.Retracted() && b.Retracted() {
			return a.RetractedAt.After(b.RetractedAt)
		}
		return !a.Retracted()
	}
	if !a.FirstSeen.Equal(b.FirstSeen) {
		return a.FirstSeen.Before(b.FirstSeen)
	}
	return a.HomeID < b.HomeID
}

// joinRetracted adds the retracted strong nodes to the living groups, and returns
// the grouping of all. An identifier that two native ids of one source hold,
// retracted or not, does not count, and a component that would hold two native
// ids of one source or two living groups leaves its retracted members apart.
func (pl *planner) joinRetracted() *layer {
	retracted := 0
	for i := range pl.nodes {
		if n := &pl.nodes[i]; n.affected && n.strong && n.now.Retracted() {
			retracted++
		}
	}
	if retracted == 0 {
		return &pl.living
	}
	joined := layer{parent: slices.Clone(pl.living.parent)}
	var natives sources
	for i := range pl.graph.idents {
		if hardware(pl.graph.idents[i].Kind) {
			if holder := pl.retractedHolder(int32(i), &natives); holder >= 0 {
				pl.unite(&joined, int32(i), holder, func(r *ref) bool { return r.now })
			}
		}
	}
	for _, component := range joined.components() {
		if !pl.conflicts(component) {
			continue
		}
		for _, i := range component {
			joined.parent[i] = pl.living.find(i)
		}
	}
	return &joined
}

// retractedHolder returns an affected retracted node that holds the identifier
// now, or -1 where there is none or two native ids of one source, living or not,
// hold it.
func (pl *planner) retractedHolder(ident int32, natives *sources) int32 {
	natives.reset()
	retracted := int32(-1)
	for h := pl.graph.idents[ident].last; h >= 0; h = pl.graph.refs[h].prev {
		r := &pl.graph.refs[h]
		if !r.now {
			continue
		}
		n := &pl.nodes[r.node]
		if n.native() && natives.add(n.now.Source) {
			return -1
		}
		if n.affected && n.now.Retracted() {
			retracted = r.node
		}
	}
	return retracted
}

// conflicts tells whether a component holds two living groups or two native ids
// of one source.
func (pl *planner) conflicts(component []int32) bool {
	var natives sources
	group := int32(-1)
	for _, i := range component {
		n := &pl.nodes[i]
		if n.native() && natives.add(n.now.Source) {
			return true
		}
		if n.now.Retracted() {
			continue
		}
		root := pl.living.find(i)
		if group >= 0 && root != group {
			return true
		}
		group = root
	}
	return false
}
