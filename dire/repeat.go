package dire

import "time"

// Repeat is something a batch asserts that changes nothing where it is what is
// stored: where the assertion (Source, Key) has that Hash, is not retracted, and
// was last asserted by a run that started, but not after the probe's. All that is
// new then is its Run, its LastSeen, and that of the record of its device, of the
// last two each the later of what is stored and LastSeen.
type Repeat struct {
	// Place is the index of Key in Probe.Keys.
	Place    int
	Key      string
	Hash     [32]byte
	LastSeen time.Time
}

// Run is the one that the probe's batch is of.
func (p *Probe) Run() Run { return p.run }

// Repeats are what of a batch may be so, in the order of Probe.Keys. A store may
// write what is new of as many as it likes without a plan, and plan for the rest.
func (p *Probe) Repeats() []Repeat {
	repeats := make([]Repeat, 0, len(p.items))
	for i := range p.items {
		if it := &p.items[i]; it.asserted && !it.deleted {
			repeats = append(repeats, Repeat{i, p.Keys[i], it.hash, it.lastSeen})
		}
	}
	return repeats
}

// Without is the probe less the repeats at some places, each named once, that
// were stored already and are written: its plan counts them as unchanged.
func (p *Probe) Without(places []int) Probe {
	rest := *p
	rest.repeated += len(places)
	gone := make([]bool, len(p.items))
	for _, place := range places {
		gone[place] = true
	}
	left := len(p.items) - len(places)
	rest.Keys, rest.items, rest.index = make([]string, 0, left), make([]item, 0, left), make(map[string]int, left)
	for i, key := range p.Keys {
		if !gone[i] {
			rest.index[key] = len(rest.items)
			rest.Keys, rest.items = append(rest.Keys, key), append(rest.items, p.items[i])
		}
	}
	return rest
}
