package dire

// findings reports what the rules refuse to link now and did not before the
// batch.
func (pl *planner) findings() {
	if len(pl.living.ambiguous) == 0 && len(pl.living.chains) == 0 {
		return
	}
	before := pl.link(false)
	ambiguous := make(map[int32]bool, len(before.ambiguous))
	for _, ident := range before.ambiguous {
		ambiguous[ident] = true
	}
	for _, ident := range pl.living.ambiguous {
		if !ambiguous[ident] {
			pl.plan.Findings = append(pl.plan.Findings, pl.ambiguity(ident))
		}
	}
	chained := make(map[int32]int)
	for i, chain := range before.chains {
		for _, node := range chain {
			chained[node] = i + 1
		}
	}
	for _, chain := range pl.living.chains {
		if !within(chain, chained) {
			pl.plan.Findings = append(pl.plan.Findings, pl.chain(chain))
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

func (pl *planner) ambiguity(ident int32) Finding {
	id := &pl.graph.idents[ident]
	f := Finding{Rule: FindingAmbiguous, Partition: id.partition, Identifiers: []Identifier{id.Identifier}}
	// Native ids come first: two of them are why.
	for _, native := range [...]bool{true, false} {
		for h := id.last; h >= 0 && len(f.Assertions) < MaxEvidence; h = pl.graph.refs[h].prev {
			r := &pl.graph.refs[h]
			if n := &pl.nodes[r.node]; n.native() == native && pl.holds(r, true) {
				f.Assertions = append(f.Assertions, Ref{n.now.Source, n.now.Key})
			}
		}
	}
	return f
}

// chain names the members of a component and the identifiers that two of them
// share.
func (pl *planner) chain(component []int32) Finding {
	f := Finding{Rule: FindingChain, Partition: pl.nodes[component[0]].now.Partition}
	ambiguous := make(map[int32]bool, len(pl.living.ambiguous))
	for _, ident := range pl.living.ambiguous {
		ambiguous[ident] = true
	}
	holders := make(map[int32]int)
	for _, node := range component {
		a := pl.nodes[node].now
		if len(f.Assertions) < MaxEvidence {
			f.Assertions = append(f.Assertions, Ref{a.Source, a.Key})
		}
		for _, r := range pl.graph.of(node) {
			id := &pl.graph.idents[r.ident]
			if !r.now || !hardware(id.Kind) || ambiguous[r.ident] {
				continue
			}
			if holders[r.ident]++; holders[r.ident] == 2 && len(f.Identifiers) < MaxEvidence {
				f.Identifiers = append(f.Identifiers, id.Identifier)
			}
		}
	}
	return f
}
