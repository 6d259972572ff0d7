package dire

// attach gives the weak nodes that the batch can move their device: the one
// device in the partition that a living strong assertion with one of their
// addresses is part of, if exactly one and no operator said otherwise, else
// their own. A weak assertion never
// gives a device its id, which would wander with the address, and its addresses
// lead no other weak one to it.
func (pl *planner) attach() {
	pl.touch()
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if n.grouped(true) || !n.changed && !n.affected && !pl.touched(int32(i)) {
			continue
		}
		n.device = n.now.HomeID
		if device, ok := pl.deviceAt(int32(i)); ok && !pl.apartFrom(int32(i), device) {
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
		switch at := pl.holder(r.ident); {
		case at.several, ok && at.device != "" && at.device != device:
			return "", false
		case at.device != "":
			device, ok = at.device, true
		}
	}
	return device, ok
}

// tenancy is which device has an address: none, one, or several.
type tenancy struct {
	asked, several bool
	device         string
}

// holder finds out which device has an address, once for each.
func (pl *planner) holder(ident int32) *tenancy {
	id := &pl.graph.idents[ident]
	if id.tenancy.asked {
		return &id.tenancy
	}
	id.tenancy.asked = true
	for h := id.last; h >= 0; h = pl.graph.refs[h].prev {
		r := &pl.graph.refs[h]
		n := &pl.nodes[r.node]
		if !n.strong || !pl.holds(r, true) || n.device == id.tenancy.device {
			continue
		}
		if id.tenancy.device != "" {
			id.tenancy.several = true
			break
		}
		id.tenancy.device = n.device
	}
	return &id.tenancy
}
