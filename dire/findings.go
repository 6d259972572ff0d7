package dire

// findings reports what the rules refuse to link now and did not before the
// batch.
func (pl *planner) findings() {
	if len(pl.now.ambiguous) == 0 && len(pl.now.chains) == 0 {
		return
	}
	before := pl.groups(false)
	ambiguous := make(map[int32]bool, len(before.ambiguous))
	for _, ident := range before.ambiguous {
		ambiguous[ident] = true
	}
	for _, ident := range pl.now.ambiguous {
		if !ambiguous[ident] {
			pl.plan.Decisions = append(pl.plan.Decisions, pl.ambiguity(ident))
		}
	}
	chained := make(map[int32]int)
	for i, chain := range before.chains {
		for _, node := range chain {
			chained[node] = i + 1
		}
	}
	for _, chain := range pl.now.chains {
		if !within(chain, chained) {
			pl.plan.Decisions = append(pl.plan.Decisions, pl.chain(chain))
		}
	}
}

// within tells whether all of a component were in one chain before.
func within(component []int32, chained map[int32]int) bool {
	was := chained[component[0]]
	for _, node := range component {
		if chained[node] != was {
			return false
		}
	}
	return was > 0
}

func (pl *planner) ambiguity(ident int32) Decision {
	id := &pl.graph.idents[ident]
	d := pl.decision(DecisionAmbiguous, RuleAmbiguous, id.partition)
	d.Identifiers = []Identifier{id.Identifier}
	// Native ids come first: two of them are why.
	for _, native := range [...]bool{true, false} {
		for h := id.last; h >= 0; h = pl.graph.refs[h].prev {
			r := &pl.graph.refs[h]
			if n := &pl.nodes[r.node]; n.native() == native && pl.holds(r, true) {
				d.about(n)
			}
		}
	}
	return d
}

// chain names the members of a component and the identifiers that two of them
// share.
func (pl *planner) chain(component []int32) Decision {
	d := pl.decision(DecisionChain, RuleChain, pl.nodes[component[0]].now.Partition)
	for _, node := range component {
		d.about(&pl.nodes[node])
	}
	d.Identifiers = pl.shared(component, true)
	return d
}

// shared lists the hardware ids that two of some nodes hold in one of the
// states, less what is ambiguous now for those of now.
func (pl *planner) shared(nodes []int32, now bool) []Identifier {
	var list []Identifier
	holders := make(map[int32]int)
	for _, node := range nodes {
		for _, r := range pl.graph.of(node) {
			id := &pl.graph.idents[r.ident]
			if !hardware(id.Kind) || now && !r.now || !now && !r.old || now && id.ambiguous {
				continue
			}
			if holders[r.ident]++; holders[r.ident] == 2 && len(list) < MaxEvidence {
				list = append(list, id.Identifier)
			}
		}
	}
	return list
}
