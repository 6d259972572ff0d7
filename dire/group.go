package dire

import "slices"

// layer is a grouping of affected nodes: union-find over their indexes.
type layer struct {
	parent []int32
	// ambiguous are the identifiers rule (a) took away.
	ambiguous []int32
	// chains are the components rule (b) took apart, and those that an operator's
	// word did.
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

// holds tells whether a ref is there in a state, and its node alive.
func (pl *planner) holds(r *ref, now bool) bool {
	n := &pl.nodes[r.node]
	if now {
		return r.now && !n.now.Retracted()
	}
	return r.old && !n.old.Retracted()
}

// groups is which affected strong nodes are one device in a state. Living
// assertions come first. Retracted ones link no living ones; afterwards they are
// linked to them and to each other by the same rules, so that a device stays
// one when it is no longer asserted, and its old ids lead to it. Last come the
// pairs operators linked.
func (pl *planner) groups(now bool) layer {
	l := pl.link(now)
	living := layer{parent: slices.Clone(l.parent)}
	pl.joinRetracted(&l, &living, now)
	pl.joinPairs(&l, &living, now)
	return l
}

// link groups the affected living nodes of a state over the hardware ids they
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
			pl.unite(&l, int32(i), first, now, func(r *ref) bool { return pl.holds(r, now) })
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

// unite joins the affected holders of an identifier, of which the node first is
// one, save for pairs that an operator said are not one.
func (pl *planner) unite(l *layer, ident, first int32, now bool, holds func(*ref) bool) {
	if len(pl.pairs) == 0 {
		for h := pl.graph.idents[ident].last; h >= 0; h = pl.graph.refs[h].prev {
			if r := &pl.graph.refs[h]; holds(r) && pl.nodes[r.node].affected {
				l.union(first, r.node)
			}
		}
		return
	}
	free := int32(-1)
	var apart []int32
	for h := pl.graph.idents[ident].last; h >= 0; h = pl.graph.refs[h].prev {
		r := &pl.graph.refs[h]
		switch {
		case !holds(r) || !pl.nodes[r.node].affected:
		case pl.hasApart(r.node, now):
			apart = append(apart, r.node)
		case free < 0:
			free = r.node
		default:
			l.union(free, r.node)
		}
	}
	for k, i := range apart {
		if free >= 0 {
			l.union(free, i)
		}
		for _, j := range apart[:k] {
			if !pl.saidApart(i, j, now) {
				l.union(i, j)
			}
		}
	}
}

// group decides which affected nodes are one device, and its id.
func (pl *planner) group() {
	pl.now = pl.groups(true)
	for _, ident := range pl.now.ambiguous {
		pl.graph.idents[ident].ambiguous = true
	}
	heads := make([]int32, len(pl.nodes))
	for i := range heads {
		heads[i] = -1
	}
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if !n.affected || !n.grouped(true) {
			continue
		}
		if root := pl.now.find(int32(i)); heads[root] < 0 || n.precedes(&pl.nodes[heads[root]]) {
			heads[root] = int32(i)
		}
	}
	for i := range pl.nodes {
		if n := &pl.nodes[i]; n.affected && n.grouped(true) {
			n.device = pl.nodes[heads[pl.now.find(int32(i))]].now.HomeID
		}
	}
}

// precedes tells which of two members gives their device its id: a strong one,
// and of these the oldest living one. Among retracted ones those come first that
// were retracted last, so that a device keeps its id when its last living member
// goes.
func (n *node) precedes(o *node) bool {
	a, b := n.now, o.now
	switch {
	case n.strong != o.strong:
		return n.strong
	case !a.RetractedAt.Equal(b.RetractedAt):
		if a.Retracted() && b.Retracted() {
			return a.RetractedAt.After(b.RetractedAt)
		}
		return !a.Retracted()
	case !a.FirstSeen.Equal(b.FirstSeen):
		return a.FirstSeen.Before(b.FirstSeen)
	}
	return a.HomeID < b.HomeID
}

// joinRetracted adds the retracted strong nodes to the living groups. An
// identifier that two native ids of one source hold, retracted or not, does not
// count, and a component that would hold two native ids of one source or two
// living groups leaves its retracted members apart.
func (pl *planner) joinRetracted(l, living *layer, now bool) {
	retracted := 0
	for i := range pl.nodes {
		if n := &pl.nodes[i]; n.affected && n.retracted(now) {
			retracted++
		}
	}
	if retracted == 0 {
		return
	}
	var natives sources
	for i := range pl.graph.idents {
		if hardware(pl.graph.idents[i].Kind) {
			if holder := pl.retractedHolder(int32(i), now, &natives); holder >= 0 {
				pl.unite(l, int32(i), holder, now, func(r *ref) bool { return r.in(now) })
			}
		}
	}
	for _, component := range l.components() {
		if !pl.conflicts(component, living, now) {
			continue
		}
		for _, i := range component {
			l.parent[i] = living.find(i)
		}
	}
}

// retractedHolder returns an affected retracted node that holds the identifier
// in a state, or -1 where there is none or two native ids of one source, living
// or not, hold it.
func (pl *planner) retractedHolder(ident int32, now bool, natives *sources) int32 {
	natives.reset()
	retracted := int32(-1)
	for h := pl.graph.idents[ident].last; h >= 0; h = pl.graph.refs[h].prev {
		r := &pl.graph.refs[h]
		if !r.in(now) {
			continue
		}
		n := &pl.nodes[r.node]
		if n.native() && natives.add(n.now.Source) {
			return -1
		}
		if n.affected && n.retracted(now) {
			retracted = r.node
		}
	}
	return retracted
}

// conflicts tells whether a component holds two living groups or two native ids
// of one source.
func (pl *planner) conflicts(component []int32, living *layer, now bool) bool {
	var natives sources
	group := int32(-1)
	for _, i := range component {
		n := &pl.nodes[i]
		if n.native() && natives.add(n.now.Source) {
			return true
		}
		if n.retracted(now) {
			continue
		}
		root := living.find(i)
		if group >= 0 && root != group {
			return true
		}
		group = root
	}
	return false
}
