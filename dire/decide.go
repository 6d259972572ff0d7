package dire

import "slices"

// decision begins a decision that the probe led to.
func (pl *planner) decision(kind DecisionKind, rule DecisionRule, partition string) Decision {
	p := pl.probe
	d := Decision{
		Kind: kind, Rule: rule, At: p.received, Partition: partition, Source: p.Source,
		Runs: p.because.Runs, By: p.because.By, Reason: p.because.Reason,
	}
	if p.run.ID != "" {
		d.Runs = []string{p.run.ID}
	}
	if p.links != nil {
		d.By, d.Reason = p.links.By, p.links.Reason
	}
	return d
}

// about adds an assertion to those concerned.
func (d *Decision) about(n *node) {
	if len(d.Assertions) < MaxEvidence {
		d.Assertions = append(d.Assertions, Ref{n.now.Source, n.now.Key})
		d.subject(n.now.HomeID)
	}
}

// subject adds a home id to those it is found by.
func (d *Decision) subject(home string) {
	if !slices.Contains(d.Subjects, home) {
		d.Subjects = append(d.Subjects, home)
	}
}

// decide keeps what the batch did: who was retracted and who came back, and
// which devices became one or came apart. What merely follows an address is no
// decision: it follows the next one, too.
func (pl *planner) decide() {
	merged, split := devices{index: map[string]int32{}}, devices{index: map[string]int32{}}
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if n.changed && n.old != nil && n.old.Retracted() != n.now.Retracted() {
			pl.plan.Decisions = append(pl.plan.Decisions, pl.life(n))
		}
		switch {
		case n.old == nil && n.grouped(true) && n.device != n.now.HomeID:
			merged.add(n.device)
		case n.old != nil && n.device != n.old.DeviceID && (n.grouped(true) || n.grouped(false)):
			merged.add(n.device)
			split.add(n.old.DeviceID)
		}
	}
	if len(merged.ids) == 0 {
		return
	}
	joined, left := make([][]int32, len(merged.ids)), make([][]int32, len(split.ids))
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if d, ok := merged.index[n.device]; ok && n.grouped(true) {
			joined[d] = append(joined[d], int32(i))
		}
		if n.old != nil && n.grouped(false) {
			if d, ok := split.index[n.old.DeviceID]; ok {
				left[d] = append(left[d], int32(i))
			}
		}
	}
	for d, id := range merged.ids {
		pl.decideMerge(id, joined[d])
	}
	for d, id := range split.ids {
		pl.decideSplit(id, left[d])
	}
}

// life is the retraction or the return of an assertion.
func (pl *planner) life(n *node) Decision {
	kind, rule := DecisionReturn, RuleSeen
	if n.now.Retracted() {
		kind, rule = DecisionRetraction, RuleDeleted
		if pl.probe.because.Rule != "" {
			rule = pl.probe.because.Rule
		}
		pl.plan.Retracted++
	}
	d := pl.decision(kind, rule, n.now.Partition)
	d.Device = n.device
	d.about(n)
	d.subject(n.device)
	return d
}

// decideMerge keeps that members became one device, unless all of them were one
// before.
func (pl *planner) decideMerge(id string, members []int32) {
	origins, stored := devices{index: map[string]int32{}}, devices{index: map[string]int32{}}
	for _, i := range members {
		// A new one stands for itself.
		n := &pl.nodes[i]
		if n.old == nil || !n.grouped(false) {
			origins.add(n.now.HomeID)
		} else {
			origins.add(n.old.DeviceID)
			stored.add(n.old.DeviceID)
		}
	}
	if len(origins.ids) < 2 {
		return
	}
	d := pl.decision(DecisionMerge, RuleOperator, pl.nodes[members[0]].now.Partition)
	d.Device, d.Identifiers, d.Fresh = id, pl.shared(members, true), len(stored.ids) < 2
	if pl.probe.links == nil && len(d.Identifiers) > 0 {
		d.Rule = RuleSerial
		if slices.ContainsFunc(d.Identifiers, func(i Identifier) bool { return i.Kind == IdentifierMAC }) {
			d.Rule = RuleMAC
		}
	}
	pl.complete(&d, members, origins.ids, func(n *node) bool { return n.old == nil || n.old.DeviceID != id })
}

// decideSplit keeps that members of a device are no longer one.
func (pl *planner) decideSplit(id string, members []int32) {
	parts := devices{index: map[string]int32{}}
	for _, i := range members {
		parts.add(pl.nodes[i].device)
	}
	if len(parts.ids) < 2 {
		return
	}
	d := pl.decision(DecisionSplit, RuleChanged, pl.nodes[members[0]].now.Partition)
	d.Device, d.Identifiers = id, pl.shared(members, false)
	switch {
	case pl.probe.links != nil:
		d.Rule = RuleOperator
	case pl.sharedAmbiguous(members):
		d.Rule = RuleAmbiguous
	case pl.inOneChain(members):
		d.Rule = RuleChain
	}
	pl.complete(&d, members, parts.ids, func(n *node) bool { return n.device != id })
}

// sharedAmbiguous tells whether two of some nodes held an identifier that is
// ambiguous now.
func (pl *planner) sharedAmbiguous(nodes []int32) bool {
	held := map[int32]bool{}
	for _, i := range nodes {
		for _, r := range pl.graph.of(i) {
			if !r.old || !pl.graph.idents[r.ident].ambiguous {
				continue
			}
			if held[r.ident] {
				return true
			}
			held[r.ident] = true
		}
	}
	return false
}

// inOneChain tells whether two of some nodes are in one chain now.
func (pl *planner) inOneChain(nodes []int32) bool {
	return slices.ContainsFunc(pl.now.chains, func(chain []int32) bool {
		n := 0
		for _, i := range nodes {
			if slices.Contains(chain, i) {
				n++
			}
		}
		return n > 1
	})
}

// complete adds the members, those that moved first, and the other devices.
func (pl *planner) complete(d *Decision, members []int32, ids []string, moved func(*node) bool) {
	d.subject(d.Device)
	for _, first := range [...]bool{true, false} {
		for _, i := range members {
			if n := &pl.nodes[i]; moved(n) == first {
				d.about(n)
			}
		}
	}
	for _, id := range ids {
		if id != d.Device && len(d.Devices) < MaxEvidence {
			d.Devices = append(d.Devices, id)
			d.subject(id)
		}
	}
	slices.Sort(d.Devices)
	pl.plan.Decisions = append(pl.plan.Decisions, *d)
}
