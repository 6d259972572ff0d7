package dire

import (
	"slices"
	"time"
)

// Explanation is why a device is what it is, now.
type Explanation struct {
	// Joins are what makes its assertions one.
	Joins []Join
	// Apart are pairs of which it has one side and an operator said that they are
	// not one.
	Apart []Link
	// Refused are what its assertions hold that links nobody: decisions in force,
	// without a time.
	Refused []Decision
}

// Join is a reason for assertions to be one device.
type Join struct {
	// Rule is RuleMAC, RuleSerial, RuleAddress or RuleOperator.
	Rule DecisionRule
	// Identifier is what they share; zero for an operator's word.
	Identifier Identifier
	// Assertions are those that share it, of a RuleAddress the weak one first.
	Assertions []Ref
	// At, By and Reason are the operator's.
	At         time.Time
	By, Reason string
}

// ProbeAround asks for what lies around assertions, by their home ids, and
// changes nothing.
func (r Rules) ProbeAround(homes ...string) Probe { return Probe{around: homes} }

// Explain answers a ProbeAround the members of one device.
func (r Rules) Explain(p Probe, n Neighbourhood) Explanation {
	pl := planner{rules: r, probe: &p}
	pl.loadStored(n.Assertions)
	// Without a change of links there is nothing to go wrong.
	_ = pl.loadPairs(n.Links)
	for i := range pl.nodes {
		pl.nodes[i].relinked = slices.Contains(p.around, pl.nodes[i].now.HomeID)
	}
	pl.graph.index(pl.nodes)
	pl.walk()
	pl.group()
	x := explainer{planner: &pl, links: n.Links, chained: map[int32]bool{}}
	for i := range pl.nodes {
		if pl.nodes[i].relinked {
			x.members = append(x.members, int32(i))
		}
	}
	x.refusals()
	x.identifiers()
	x.operators()
	return x.Explanation
}

// explainer gathers an Explanation.
type explainer struct {
	*planner
	Explanation
	links   []Link
	members []int32
	chained map[int32]bool
}

func (x *explainer) refusals() {
	for _, ident := range x.now.ambiguous {
		if slices.ContainsFunc(x.members, func(i int32) bool {
			return slices.ContainsFunc(x.graph.of(i), func(r ref) bool { return r.ident == ident })
		}) {
			x.Refused = append(x.Refused, x.ambiguity(ident))
		}
	}
	for _, chain := range x.now.chains {
		if slices.ContainsFunc(chain, func(i int32) bool { return x.nodes[i].relinked }) {
			x.Refused = append(x.Refused, x.chain(chain))
		}
		for _, i := range chain {
			x.chained[i] = true
		}
	}
}

// identifiers finds what members share, identifier by identifier.
func (x *explainer) identifiers() {
	done := map[int32]bool{}
	for _, i := range x.members {
		for _, r := range x.graph.of(i) {
			if id := &x.graph.idents[r.ident]; !done[r.ident] && !id.ambiguous {
				done[r.ident] = true
				x.join(r.ident)
			}
		}
	}
}

// join tells what shares an identifier. Members of chains, which are living ones,
// are not one because of it, but a retracted member may be one with them.
func (x *explainer) join(ident int32) {
	id := &x.graph.idents[ident]
	var weak, strong []Ref
	free := false
	for h := id.last; h >= 0; h = x.graph.refs[h].prev {
		r := &x.graph.refs[h]
		n := &x.nodes[r.node]
		ref := Ref{n.now.Source, n.now.Key}
		switch {
		case !n.relinked:
		case hardware(id.Kind) || n.strong && !n.now.Retracted():
			strong, free = append(strong, ref), free || !x.chained[r.node]
		case !n.strong && !n.linked:
			weak = append(weak, ref)
		}
	}
	if hardware(id.Kind) {
		if len(strong) > 1 && free {
			rule := RuleMAC
			if id.Kind == IdentifierSerial {
				rule = RuleSerial
			}
			x.Joins = append(x.Joins, Join{Rule: rule, Identifier: id.Identifier, Assertions: strong})
		}
		return
	}
	for _, ref := range weak {
		if len(strong) > 0 {
			x.Joins = append(x.Joins, Join{
				Rule: RuleAddress, Identifier: Identifier{IdentifierIP, id.Value}, Assertions: append([]Ref{ref}, strong...),
			})
		}
	}
}

func (x *explainer) operators() {
	homes := make(map[string]*node, len(x.nodes))
	for i := range x.nodes {
		homes[x.nodes[i].now.HomeID] = &x.nodes[i]
	}
	for _, l := range x.links {
		a, b := homes[l.A], homes[l.B]
		switch member := a != nil && a.relinked; {
		case !member && (b == nil || !b.relinked):
		case l.Apart:
			x.Apart = append(x.Apart, l)
		case a != nil && b != nil && a.relinked && b.relinked:
			x.Joins = append(x.Joins, Join{
				Rule: RuleOperator, At: l.At, By: l.By, Reason: l.Reason,
				Assertions: []Ref{{a.now.Source, a.now.Key}, {b.now.Source, b.now.Key}},
			})
		}
	}
}

// FieldValue is a value of a device's record and the assertion it comes from.
type FieldValue struct {
	// Field is spelled as in Facts' JSON.
	Field, Value string
	From         Ref
}

// Fields tells where each value of a device's record comes from, given all that
// is asserted of it.
func Fields(assertions []Assertion) []FieldValue {
	members := make([]member, len(assertions))
	for i := range assertions {
		members[i] = member{Assertion: &assertions[i]}
	}
	slices.SortFunc(members, compareMembers)
	var fields []FieldValue
	single, listed := map[string]bool{}, map[[2]string]bool{}
	for _, m := range members {
		if m.Retracted() != members[0].Retracted() {
			break
		}
		from := Ref{m.Source, m.Key}
		f := &m.Facts
		for _, v := range [...][2]string{
			{"hostname", f.Hostname}, {"serial_number", f.SerialNumber}, {"manufacturer", f.Manufacturer},
			{"model", f.Model}, {"os", f.OS}, {"device_type", f.DeviceType}, {"site", f.Site},
		} {
			if v[1] != "" && !single[v[0]] {
				single[v[0]] = true
				fields = append(fields, FieldValue{v[0], v[1], from})
			}
		}
		for _, list := range [...]struct {
			field  string
			values []string
		}{{"ips", f.IPs}, {"macs", f.MACs}, {"tags", f.Tags}} {
			for _, value := range list.values {
				if key := [2]string{list.field, value}; !listed[key] {
					listed[key] = true
					fields = append(fields, FieldValue{list.field, value, from})
				}
			}
		}
	}
	slices.SortStableFunc(fields, func(a, b FieldValue) int {
		return slices.Index(fieldOrder, a.Field) - slices.Index(fieldOrder, b.Field)
	})
	return fields
}

var fieldOrder = []string{
	"ips", "macs", "hostname", "serial_number", "manufacturer", "model", "os", "device_type", "site", "tags",
}
