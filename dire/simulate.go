package dire

import (
	"cmp"
	"slices"
)

// Simulation groups all that is stored of a tenant anew, under rules that may
// be others than those it was stored under.
type Simulation struct {
	pl         planner
	assertions []Assertion
}

// Simulate begins a simulation.
func (r Rules) Simulate() *Simulation {
	return &Simulation{pl: planner{rules: r, probe: &Probe{}}}
}

// Add adds a stored assertion. What does not decide identity is let go of.
func (s *Simulation) Add(a Assertion) {
	f := &a.Facts
	a.Facts = Facts{
		NativeID: f.NativeID, MACs: f.MACs, IPs: f.IPs, SerialNumber: f.SerialNumber, Manufacturer: f.Manufacturer,
	}
	s.assertions = append(s.assertions, a)
}

// Regrouping is how devices under a simulation's rules differ from those stored.
type Regrouping struct {
	// Stored and Simulated count the devices.
	Stored, Simulated int
	// Merges are ordered by the device they make, Splits by the one they part.
	Merges, Splits []Regroup
}

// Regroup is one device that would be made of several, or that would come apart.
type Regroup struct {
	// Device is the one, Devices are the several.
	Device  string
	Devices []string
	// Identifiers are what members share, under the rules simulated of a merge and
	// the rules of today of a split. Assertions are the members. Each list holds at
	// most MaxEvidence.
	Identifiers []Identifier
	Assertions  []Ref
}

// Run groups what was added, with operators' links. A simulation runs once;
// today's rules tell what a split parts.
func (s *Simulation) Run(links []Link, today Rules) Regrouping {
	pl := &s.pl
	pl.loadStored(s.assertions)
	// Without a change of links there is nothing to go wrong.
	_ = pl.loadPairs(links)
	for i := range pl.nodes {
		pl.nodes[i].affected = true
	}
	pl.graph.index(pl.nodes)
	pl.group()
	pl.attach()
	before, after := map[string][]int32{}, map[string][]int32{}
	for i := range pl.nodes {
		n := &pl.nodes[i]
		before[n.old.DeviceID] = append(before[n.old.DeviceID], int32(i))
		after[n.device] = append(after[n.device], int32(i))
	}
	return Regrouping{
		Stored: len(before), Simulated: len(after),
		Merges: s.compare(after, pl.rules, func(n *node) string { return n.old.DeviceID }),
		Splits: s.compare(before, today, func(n *node) string { return n.device }),
	}
}

// compare lists the groups whose members are of several others.
func (s *Simulation) compare(groups map[string][]int32, rules Rules, other func(*node) string) []Regroup {
	var found []Regroup
	for id, members := range groups {
		others := devices{index: map[string]int32{}}
		for _, i := range members {
			others.add(other(&s.pl.nodes[i]))
		}
		if len(others.ids) < 2 {
			continue
		}
		slices.Sort(others.ids)
		g := Regroup{Device: id, Devices: others.ids}
		holders := map[Identifier]int{}
		for _, i := range members {
			a := s.pl.nodes[i].now
			if len(g.Assertions) < MaxEvidence {
				g.Assertions = append(g.Assertions, Ref{a.Source, a.Key})
			}
			ids, _ := rules.Identifiers(&a.Facts)
			for _, identifier := range ids {
				if !hardware(identifier.Kind) {
					continue
				}
				if holders[identifier]++; holders[identifier] == 2 && len(g.Identifiers) < MaxEvidence {
					g.Identifiers = append(g.Identifiers, identifier)
				}
			}
		}
		found = append(found, g)
	}
	slices.SortFunc(found, func(a, b Regroup) int { return cmp.Compare(a.Device, b.Device) })
	return found
}
