package dire

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// item is what a batch says of one key: of its updates that assert the one with
// the greatest hash, and whether any says that the thing is gone.
type item struct {
	facts  Facts
	hash   [32]byte
	ids    []Identifier
	strong bool
	// home is filled in by Reach for a key that is not stored.
	home string
	// bare is true for a retraction of at, which has no facts.
	bare bool
	at   time.Time
	// asserted and deleted tell which kinds of update there were; one is true.
	asserted, deleted bool
	// firstSeen is over all its updates, lastSeen over those with the hash.
	firstSeen, lastSeen time.Time
}

// ProbeFor normalises a batch. It takes the batch over: its slices and maps must
// not change afterwards. A probe may be planned more than once, as by a
// transaction that is tried again.
func (r Rules) ProbeFor(b Batch) (Probe, error) {
	if b.Source == "" || b.Received.IsZero() {
		return Probe{}, errors.New("probe a batch: it has no source or no time of receipt")
	}
	b.Received = b.Received.UTC().Truncate(time.Microsecond)
	b.Run.Started = clamp(b.Run.Started, b.Received)
	p := Probe{
		Source:    b.Source,
		Keys:      make([]string, len(b.Updates)),
		partition: b.Partition,
		run:       b.Run,
		received:  b.Received,
		index:     make(map[string]int, len(b.Updates)),
		items:     make([]item, len(b.Updates)),
	}
	m := maker{rules: r, batch: &b, ids: make([]Identifier, 0, 3*len(b.Updates))}
	for i := range b.Updates {
		p.Keys[i], p.items[i] = m.item(&b.Updates[i])
	}
	p.unite()
	return p, nil
}

// clamp brings a time to what a store keeps; one that is missing or from the
// future becomes the time of receipt.
func clamp(t, received time.Time) time.Time {
	if t.IsZero() || t.After(received) {
		return received
	}
	return t.UTC().Truncate(time.Microsecond)
}

// maker makes items of updates.
type maker struct {
	rules  Rules
	batch  *Batch
	ids    []Identifier
	digest digest
}

// item is what an update says, with an empty key for what cannot be told from anything else.
func (m *maker) item(u *Update) (string, item) {
	facts := factsOf(m.batch, u)
	first := len(m.ids)
	m.ids = m.rules.appendIdentifiers(m.ids, &facts)
	ids := m.ids[first:len(m.ids):len(m.ids)]
	seen := clamp(u.SeenAt, m.batch.Received)
	return keyOf(&facts, ids), item{
		facts: facts, ids: ids, strong: isStrong(&facts, ids),
		hash:     m.digest.sum(m.batch.Partition, &facts),
		asserted: !u.Deleted, deleted: u.Deleted,
		firstSeen: seen, lastSeen: seen,
	}
}

// unite leaves one item of each key.
func (p *Probe) unite() {
	n := 0
	for i := range p.items {
		key, next := p.Keys[i], &p.items[i]
		if key == "" {
			p.refused++
			continue
		}
		p.identifiers += len(next.ids)
		if first, ok := p.index[key]; ok {
			p.merge(&p.items[first], *next)
			continue
		}
		p.index[key] = n
		if n < i {
			p.Keys[n], p.items[n] = key, *next
		}
		n++
	}
	p.Keys, p.items = p.Keys[:n], p.items[:n]
}

// merge adds a further update with one key. The result is the same in whatever
// order they come: what asserts has the facts, and of like ones the greater hash.
func (p *Probe) merge(held *item, next item) {
	firstSeen := next.firstSeen
	if held.firstSeen.Before(firstSeen) {
		firstSeen = held.firstSeen
	}
	asserted, deleted := held.asserted || next.asserted, held.deleted || next.deleted
	order := bytes.Compare(next.hash[:], held.hash[:])
	switch {
	case held.asserted != next.asserted:
		if held.deleted && next.deleted {
			p.repeated++
		}
		if next.asserted {
			*held = next
		}
	case order == 0:
		if held.lastSeen.Before(next.lastSeen) {
			held.lastSeen = next.lastSeen
		}
		p.repeated++
	case order > 0:
		*held = next
		p.superseded++
	default:
		p.superseded++
	}
	held.firstSeen, held.asserted, held.deleted = firstSeen, asserted, deleted
}

// Reach tells a store where to start from, given what it holds of probe.Keys.
func (p *Probe) Reach(known []Known) Reach {
	reach := Reach{Source: p.Source, Partition: p.partition, Members: p.members()}
	for i, k := range p.stored(known) {
		it, key := &p.items[i], p.Keys[i]
		if k == nil {
			if it.bare {
				continue
			}
			it.home = homeID(p.partition, p.Source, key, 0)
			reach.Homes = append(reach.Homes, it.home)
		} else {
			c := changeOf(it, p.run, k)
			if !c.any() {
				continue
			}
			reach.Keys = append(reach.Keys, key)
			if !c.facts {
				continue
			}
		}
		if reach.Identifiers == nil {
			reach.Identifiers = make([]Identifier, 0, p.identifiers)
		}
		reach.Identifiers = append(reach.Identifiers, it.ids...)
	}
	return reach
}

// members are the home ids whose links change, or that it asks about, each once.
func (p *Probe) members() []string {
	if p.links == nil {
		return p.around
	}
	var homes []string
	for _, pairs := range [...][]Pair{p.links.Link, p.links.Apart, p.links.Drop} {
		for _, pair := range pairs {
			homes = append(homes, pair.A, pair.B)
		}
	}
	slices.Sort(homes)
	return slices.Compact(homes)
}

// stored lines what a store holds up with p.Keys; nil where it holds nothing.
func (p *Probe) stored(known []Known) []*Known {
	stored := make([]*Known, len(p.Keys))
	for i := range known {
		if at, ok := p.index[known[i].Key]; ok {
			stored[at] = &known[i]
		}
	}
	return stored
}
