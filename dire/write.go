package dire

import "slices"

// write turns the decisions into rows: the assertions that change or move, the
// records of the devices they are part of or left, and the ids that head nothing
// any more.
func (pl *planner) write() {
	dirty := devices{index: make(map[string]int32, len(pl.plan.Put))}
	var moved []int32
	for i := range pl.nodes {
		n := &pl.nodes[i]
		moves := n.old == nil || n.old.DeviceID != n.device
		if !n.changed && !moves {
			continue
		}
		dirty.add(n.device)
		if n.old != nil && moves {
			dirty.add(n.old.DeviceID)
		}
		if !n.changed {
			moved = append(moved, int32(i))
		}
	}
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if n.changed {
			n.now.DeviceID, n.now.Identifiers = n.device, n.ids
		}
	}
	pl.plan.Put = slices.Grow(pl.plan.Put, len(moved))
	for _, i := range moved {
		n := &pl.nodes[i]
		n.now.DeviceID, n.now.Identifiers = n.device, n.ids
		n.changed = true
		pl.plan.Put = append(pl.plan.Put, *n.now)
	}
	pl.writeSeen()
	pl.writeDevices(&dirty)
}

// writeSeen leaves out what is in Put.
func (pl *planner) writeSeen() {
	if len(pl.seen) == 0 {
		return
	}
	pl.plan.Seen = make([]Seen, 0, len(pl.seen))
	for _, s := range pl.seen {
		if s.node >= 0 && pl.nodes[s.node].changed {
			continue
		}
		pl.plan.Seen = append(pl.plan.Seen, s.seen)
	}
}

// devices is a set of device ids in the order they were added.
type devices struct {
	ids   []string
	index map[string]int32
}

func (d *devices) add(id string) {
	if _, ok := d.index[id]; !ok {
		d.index[id] = int32(len(d.ids))
		d.ids = append(d.ids, id)
	}
}

// writeDevices builds the records of the devices; one without members is gone.
func (pl *planner) writeDevices(dirty *devices) {
	if len(dirty.ids) == 0 {
		return
	}
	last := make([]int32, len(dirty.ids))
	for i := range last {
		last[i] = -1
	}
	prev := make([]int32, len(pl.nodes))
	for i := range pl.nodes {
		if d, ok := dirty.index[pl.nodes[i].device]; ok {
			prev[i], last[d] = last[d], int32(i)
		}
	}
	pl.plan.Devices = make([]Device, 0, len(dirty.ids))
	var members []member
	for d, id := range dirty.ids {
		members = members[:0]
		for i := last[d]; i >= 0; i = prev[i] {
			members = append(members, member{pl.nodes[i].now, pl.nodes[i].strong})
		}
		if len(members) == 0 {
			pl.plan.Gone = append(pl.plan.Gone, id)
			continue
		}
		pl.plan.Devices = append(pl.plan.Devices, canonical(id, members))
	}
}
