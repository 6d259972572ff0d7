package diretest

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"edgesync/dire"
)

// Oracle states the rules of identity over all that was ever said.
type Oracle struct {
	said map[dire.Ref][]saying
	// apart holds operators' pairs: linked, or apart.
	apart map[dire.Pair]bool
}

// NewOracle has heard nothing.
func NewOracle() *Oracle {
	return &Oracle{said: map[dire.Ref][]saying{}, apart: map[dire.Pair]bool{}}
}

// saying is one update as an assertion, and how it came. A bare one is a
// retraction that says nothing else.
type saying struct {
	a             dire.Assertion
	deleted, bare bool
	started       time.Time
	batch         int
}

// Hear notes a batch; numbers tell batches apart. Spelling and hashing are left
// to the engine: each update is planned alone, against nothing.
func (o *Oracle) Hear(t T, b dire.Batch, number int) {
	t.Helper()
	rules := defaults
	for _, u := range b.Updates {
		alone, deleted := b, u.Deleted
		u.Deleted = false
		alone.Updates = []dire.Update{u}
		probe, err := rules.ProbeFor(alone)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := rules.Plan(probe, dire.Neighbourhood{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range plan.Put {
			o.said[RefOf(&a)] = append(o.said[RefOf(&a)], saying{a: a, deleted: deleted, started: a.Run.Started, batch: number})
		}
	}
}

// Retract notes retractions; what was never asserted cannot be taken back.
func (o *Oracle) Retract(r dire.Retractions) {
	for _, thing := range r.Things {
		ref := dire.Ref{Source: r.Source, Key: thing.Key}
		said := o.said[ref]
		if slices.ContainsFunc(said, func(s saying) bool { return !s.deleted }) {
			o.said[ref] = append(said, saying{deleted: true, bare: true, started: thing.At, batch: -1})
		}
	}
}

// Relink notes what an operator says of pairs.
func (o *Oracle) Relink(c dire.LinkChange) {
	for _, pair := range c.Drop {
		delete(o.apart, pair)
	}
	for _, pair := range c.Link {
		o.apart[pair] = false
	}
	for _, pair := range c.Apart {
		o.apart[pair] = true
	}
}

// links are the operators' words.
func (o *Oracle) links() []dire.Link {
	var links []dire.Link
	for pair, apart := range o.apart {
		links = append(links, dire.Link{A: pair.A, B: pair.B, Apart: apart})
	}
	return links
}

// current folds what was said of one thing.
func current(said []saying) dire.Assertion {
	greatest := func(deleted, bare bool) *saying {
		var top *saying
		for i := range said {
			s := &said[i]
			if s.deleted == deleted && (bare || !s.bare) && (top == nil || cmp.Or(
				s.started.Compare(top.started), bytes.Compare(s.a.Hash[:], top.a.Hash[:])) > 0) {
				top = s
			}
		}
		return top
	}
	asserted, deletion := greatest(false, false), greatest(true, true)
	var a dire.Assertion
	if asserted != nil {
		a = asserted.a
	} else {
		a = greatest(true, false).a
		a.Run = dire.Run{}
	}
	if deletion != nil && !deletion.started.Before(a.Run.Started) {
		a.RetractedAt = deletion.started
	}
	first := said[0]
	a.FirstSeen, a.HomeID = first.a.FirstSeen, first.a.HomeID
	for _, s := range said {
		if s.batch == first.batch && s.a.FirstSeen.Before(a.FirstSeen) {
			a.FirstSeen = s.a.FirstSeen
		}
	}
	return a
}

// Assertions are the current ones, each with the device the rules give it.
func (o *Oracle) Assertions() map[dire.Ref]dire.Assertion {
	all := make([]*dire.Assertion, 0, len(o.said))
	for _, said := range o.said {
		a := current(said)
		all = append(all, &a)
	}
	w := o.words(all)
	var grouped []*dire.Assertion
	for _, a := range all {
		if !weak(a) || len(w.linked[a]) > 0 {
			grouped = append(grouped, a)
		}
	}
	for _, g := range w.group(grouped) {
		id := head(g)
		for _, a := range g {
			a.DeviceID = id
		}
	}
	w.attach(all, grouped)
	result := make(map[dire.Ref]dire.Assertion, len(all))
	for _, a := range all {
		result[RefOf(a)] = *a
	}
	return result
}

// words are operators' pairs as assertions of one partition.
type words struct {
	linked map[*dire.Assertion][]*dire.Assertion
	apart  map[[2]*dire.Assertion]bool
}

func (o *Oracle) words(all []*dire.Assertion) words {
	w := words{map[*dire.Assertion][]*dire.Assertion{}, map[[2]*dire.Assertion]bool{}}
	homes := map[string]*dire.Assertion{}
	for _, a := range all {
		homes[a.HomeID] = a
	}
	for pair, apart := range o.apart {
		a, b := homes[pair.A], homes[pair.B]
		switch {
		case a == nil || b == nil || a.Partition != b.Partition:
		case apart:
			w.apart[[2]*dire.Assertion{a, b}], w.apart[[2]*dire.Assertion{b, a}] = true, true
		default:
			w.linked[a], w.linked[b] = append(w.linked[a], b), append(w.linked[b], a)
		}
	}
	return w
}

func weak(a *dire.Assertion) bool {
	return !a.Native() && !slices.ContainsFunc(a.Identifiers, Hardware)
}

type group = []*dire.Assertion

// group is the rules in their order: living ones, retracted ones, operators'.
func (w words) group(all []*dire.Assertion) []group {
	var strong, living []*dire.Assertion
	for _, a := range all {
		if !weak(a) {
			strong = append(strong, a)
			if !a.Retracted() {
				living = append(living, a)
			}
		}
	}
	groups := w.groupLiving(living)
	return w.joinLinked(w.joinRetracted(groups, strong), groups, all)
}

// groupLiving is rules (a), (b) and (c).
func (w words) groupLiving(living []*dire.Assertion) []group {
	linking := links(living)
	var result []group
	for _, g := range components(living, func(a *dire.Assertion) group { return w.sharing(a, linking) }) {
		if twoNatives(g) {
			result = append(result, singles(g)...)
		} else {
			result = append(result, g)
		}
	}
	return result
}

// links are the holders of the hardware ids that link: no source has two native
// ids that hold it.
func links(among []*dire.Assertion) map[place]group {
	holders := map[place]group{}
	for _, a := range among {
		for _, id := range a.Identifiers {
			if Hardware(id) {
				holders[place{a.Partition, id}] = append(holders[place{a.Partition, id}], a)
			}
		}
	}
	for p, list := range holders {
		if twoNatives(list) {
			delete(holders, p)
		}
	}
	return holders
}

func twoNatives(list []*dire.Assertion) bool {
	seen := map[string]bool{}
	for _, a := range list {
		if a.Native() {
			if seen[a.Source] {
				return true
			}
			seen[a.Source] = true
		}
	}
	return false
}

// sharing are those that an id links an assertion to.
func (w words) sharing(a *dire.Assertion, linking map[place]group) group {
	var found group
	for _, id := range a.Identifiers {
		for _, b := range linking[place{a.Partition, id}] {
			if b != a && !w.apart[[2]*dire.Assertion{a, b}] {
				found = append(found, b)
			}
		}
	}
	return found
}

// components follow links, of whatever kind, until there are no more.
func components(all []*dire.Assertion, linked func(*dire.Assertion) group) []group {
	var result []group
	seen := map[*dire.Assertion]bool{}
	for _, a := range all {
		if seen[a] {
			continue
		}
		seen[a] = true
		g := group{a}
		for i := 0; i < len(g); i++ {
			for _, b := range linked(g[i]) {
				if !seen[b] {
					seen[b] = true
					g = append(g, b)
				}
			}
		}
		result = append(result, g)
	}
	return result
}

func singles(list []*dire.Assertion) []group {
	var groups []group
	for _, a := range list {
		groups = append(groups, group{a})
	}
	return groups
}

// joinRetracted adds retracted assertions to groups of living ones.
func (w words) joinRetracted(living []group, strong []*dire.Assertion) []group {
	linking := links(strong)
	for p, list := range linking {
		// Only what a retracted assertion holds links here.
		if !slices.ContainsFunc(list, (*dire.Assertion).Retracted) {
			delete(linking, p)
		}
	}
	mates := mates(living)
	var result []group
	for _, g := range components(strong, func(a *dire.Assertion) group { return append(w.sharing(a, linking), mates[a]...) }) {
		var inside []group
		var retracted group
		for _, a := range g {
			switch {
			case a.Retracted():
				retracted = append(retracted, a)
			case mates[a][0] == a:
				inside = append(inside, mates[a])
			}
		}
		if len(inside) <= 1 && !twoNatives(g) {
			result = append(result, g)
			continue
		}
		result = append(append(result, inside...), singles(retracted)...)
	}
	return result
}

// mates maps each assertion to its group.
func mates(groups []group) map[*dire.Assertion]group {
	result := map[*dire.Assertion]group{}
	for _, g := range groups {
		for _, a := range g {
			result[a] = g
		}
	}
	return result
}

// joinLinked adds what operators linked. Where two are together then that an
// operator said are not one, the retracted ones leave the groups of living ones,
// and where two still are, only what operators linked is.
func (w words) joinLinked(groups, living []group, all []*dire.Assertion) []group {
	mates, livingMates := mates(groups), mates(living)
	var result []group
	for _, g := range components(all, func(a *dire.Assertion) group { return slices.Concat(w.linked[a], mates[a]) }) {
		if !w.contradicts(g) {
			result = append(result, g)
			continue
		}
		for _, g := range components(g, func(a *dire.Assertion) group { return slices.Concat(w.linked[a], livingMates[a]) }) {
			if w.contradicts(g) {
				result = append(result, components(g, func(a *dire.Assertion) group { return w.linked[a] })...)
			} else {
				result = append(result, g)
			}
		}
	}
	return result
}

func (w words) contradicts(g group) bool {
	if len(w.apart) == 0 {
		return false
	}
	in := mates([]group{g})
	for pair := range w.apart {
		if in[pair[0]] != nil && in[pair[1]] != nil {
			return true
		}
	}
	return false
}

// head is the home of the oldest living strong member, or of the last retracted.
func head(g group) string {
	rank := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	return slices.MinFunc(g, func(a, b *dire.Assertion) int {
		return cmp.Or(
			cmp.Compare(rank(weak(a)), rank(weak(b))),
			cmp.Compare(rank(a.Retracted()), rank(b.Retracted())),
			b.RetractedAt.Compare(a.RetractedAt),
			a.FirstSeen.Compare(b.FirstSeen),
			cmp.Compare(a.HomeID, b.HomeID),
		)
	}).HomeID
}

// attach gives the others the one device that has one of their addresses, if
// there is one and no operator said otherwise.
func (w words) attach(all, grouped []*dire.Assertion) {
	at := map[place][]string{}
	in := mates([]group{grouped})
	for _, a := range grouped {
		if weak(a) || a.Retracted() {
			continue
		}
		for _, id := range a.Identifiers {
			p := place{a.Partition, id}
			if id.Kind == dire.IdentifierIP && !slices.Contains(at[p], a.DeviceID) {
				at[p] = append(at[p], a.DeviceID)
			}
		}
	}
	for _, a := range all {
		if in[a] != nil {
			continue
		}
		a.DeviceID = a.HomeID
		var ids []string
		for _, id := range a.Identifiers {
			id.Kind = dire.IdentifierIP
			ids = append(ids, at[place{a.Partition, id}]...)
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) == 1 && !w.excluded(a, ids[0], in) {
			a.DeviceID = ids[0]
		}
	}
}

func (w words) excluded(a *dire.Assertion, device string, in map[*dire.Assertion]group) bool {
	for pair := range w.apart {
		if pair[0] == a && in[pair[1]] != nil && pair[1].DeviceID == device {
			return true
		}
	}
	return false
}
