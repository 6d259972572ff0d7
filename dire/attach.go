package dire

// attach gives the weak nodes that the batch can move their device: the one
// device in the partition that a living strong assertion with one of their
// addresses is part of, if exactly one, else their own. A weak assertion never
// gives a device its id, which would wander with the address, and its addresses
// lead no other weak one to it.
func (pl *planner) attach() {
	pl.touch()
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if n.strong || !n.changed && !pl.touched(int32(i)) {
			continue
		}
		n.device = n.now.HomeID
		if device, ok := pl.deviceAt(int32(i)); ok {
			n.device = device
		}
	}
}

// touch marks the addresses that affected strong nodes have or had.
func (pl *planner) touch() {
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if !n.affected {
			continue
		}
		for _, r := range pl.graph.of(int32(i)) {
			if id := &pl.graph.idents[r.ident]; !hardware(id.Kind) {
				id.touched = id.touched || r.now && n.strong || r.old && n.oldStrong
			}
		}
	}
}

func (pl *planner) touched(node int32) bool {
	for _, r := range pl.graph.of(node) {
		if pl.graph.idents[r.ident].touched {
			return true
		}
	}
	return false
}

// deviceAt returns the one device that has an address of a weak node.
func (pl *planner) deviceAt(weak int32) (device string, ok bool) {
	for _, r := range pl.graph.of(weak) {
		if !r.now {
			continue
		}
		for h := pl.graph.idents[r.ident].last; h >= 0; h = pl.graph.refs[h].prev {
			holder := &pl.graph.refs[h]
			n := &pl.nodes[holder.node]
			if !pl.holds(holder, true) || !n.strong || n.device == device {
				continue
			}
			if ok {
				return "", false
			}
			device, ok = n.device, true
		}
	}
	return device, ok
}
