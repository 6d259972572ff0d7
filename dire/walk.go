package dire

// stride is how far the walk goes from an identifier.
type stride uint8

const (
	// strideNone: two living native ids of one source that the batch does not
	// change hold it. It links nobody, whatever the batch says.
	strideNone stride = iota
	// strideLiving: the same, but one of them or both are retracted. It links
	// living assertions only.
	strideLiving
	// strideAll: it may link all that hold it.
	strideAll
)

// walk finds the affected nodes: those the batch or an operator changes, and
// those that a link, before or after, could connect to one of them. All others keep their group.
func (pl *planner) walk() {
	queue := make([]int32, 0, len(pl.nodes))
	reach := func(i int32) {
		if !pl.nodes[i].affected {
			pl.nodes[i].affected = true
			queue = append(queue, i)
		}
	}
	for i := range pl.nodes {
		if n := &pl.nodes[i]; n.changed || n.relinked {
			reach(int32(i))
		}
	}
	var seen strides
	for next := 0; next < len(queue); next++ {
		at := queue[next]
		for _, i := range pl.beside[at] {
			if p := &pl.pairs[i]; !p.apart {
				reach(p.a + p.b - at)
			}
		}
		for _, r := range pl.graph.of(at) {
			id := &pl.graph.idents[r.ident]
			if !hardware(id.Kind) {
				continue
			}
			step := seen.of(pl, r.ident)
			if step == strideLiving && !pl.mayLive(at) {
				step = strideNone
			}
			if step <= id.walked {
				continue
			}
			id.walked = step
			for h := id.last; h >= 0; h = pl.graph.refs[h].prev {
				if holder := pl.graph.refs[h].node; step == strideAll || pl.mayLive(holder) {
					reach(holder)
				}
			}
		}
	}
}

// mayLive tells whether a node lives before or after the batch.
func (pl *planner) mayLive(i int32) bool {
	n := &pl.nodes[i]
	return n.changed || !n.now.Retracted()
}

// strides finds how far identifiers may link, each once.
type strides struct {
	known       []stride
	done        []bool
	living, all sources
}

func (s *strides) of(pl *planner, at int32) stride {
	if s.known == nil {
		s.known = make([]stride, len(pl.graph.idents))
		s.done = make([]bool, len(pl.graph.idents))
	}
	if s.done[at] {
		return s.known[at]
	}
	s.living.reset()
	s.all.reset()
	step := strideAll
	for h := pl.graph.idents[at].last; h >= 0; h = pl.graph.refs[h].prev {
		n := &pl.nodes[pl.graph.refs[h].node]
		if n.changed || !n.native() {
			continue
		}
		if s.all.add(n.now.Source) {
			step = strideLiving
		}
		if !n.now.Retracted() && s.living.add(n.now.Source) {
			step = strideNone
			break
		}
	}
	s.known[at], s.done[at] = step, true
	return step
}
