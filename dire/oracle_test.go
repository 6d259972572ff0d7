package dire_test

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"edgesync/dire"
)

// oracle states the rules of identity as plainly as it can, over all that was
// ever said, and with no regard to what it costs.
type oracle struct {
	said map[dire.Ref][]saying
}

// saying is one update as an assertion, and how it came.
type saying struct {
	a       dire.Assertion
	deleted bool
	started time.Time
	batch   int
}

// hear notes a batch. Spelling and hashing are left to the engine: each update is
// planned alone, against nothing.
func (o *oracle) hear(t tester, b dire.Batch, number int) {
	t.Helper()
	rules := dire.DefaultRules()
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
			o.said[refOf(&a)] = append(o.said[refOf(&a)], saying{a, deleted, a.Run.Started, number})
		}
	}
}

// current folds what was said of one thing.
func current(said []saying) dire.Assertion {
	greatest := func(deleted bool) *saying {
		var top *saying
		for i := range said {
			s := &said[i]
			if s.deleted == deleted && (top == nil || cmp.Or(
				s.started.Compare(top.started), bytes.Compare(s.a.Hash[:], top.a.Hash[:])) > 0) {
				top = s
			}
		}
		return top
	}
	asserted, deletion := greatest(false), greatest(true)
	var a dire.Assertion
	if asserted != nil {
		a = asserted.a
	} else {
		a = deletion.a
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

// assertions are the current ones, each with the device the rules give it.
func (o *oracle) assertions() map[dire.Ref]dire.Assertion {
	var all []*dire.Assertion
	for _, said := range o.said {
		a := current(said)
		all = append(all, &a)
	}
	var strong, living, retracted []*dire.Assertion
	for _, a := range all {
		switch {
		case weak(a):
		case a.Retracted():
			retracted = append(retracted, a)
			strong = append(strong, a)
		default:
			living = append(living, a)
			strong = append(strong, a)
		}
	}
	groups := groupLiving(living)
	groups = groupRetracted(groups, retracted, strong)
	for _, g := range groups {
		id := head(g)
		for _, a := range g {
			a.DeviceID = id
		}
	}
	for _, a := range all {
		if weak(a) {
			a.DeviceID = a.HomeID
			if ids := devicesAt(a, living); len(ids) == 1 {
				a.DeviceID = ids[0]
			}
		}
	}
	result := map[dire.Ref]dire.Assertion{}
	for _, a := range all {
		result[refOf(a)] = *a
	}
	return result
}

func weak(a *dire.Assertion) bool {
	return !a.Native() && !slices.ContainsFunc(a.Identifiers, hardware)
}

type group = []*dire.Assertion

// linksWithout are the hardware ids that link, among some assertions: no source
// has two native ids that hold it.
func links(among []*dire.Assertion) map[place]bool {
	holders := map[place][]*dire.Assertion{}
	for _, a := range among {
		for _, id := range a.Identifiers {
			if hardware(id) {
				holders[place{a.Partition, id}] = append(holders[place{a.Partition, id}], a)
			}
		}
	}
	result := map[place]bool{}
	for p, list := range holders {
		if !twoNatives(list) {
			result[p] = true
		}
	}
	return result
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

// connect joins groups that share a linking id, until none do.
func connect(groups []group, linking map[place]bool) []group {
	for {
		joined := false
		for i := 0; i < len(groups) && !joined; i++ {
			for j := i + 1; j < len(groups); j++ {
				if share(groups[i], groups[j], linking) {
					groups[i] = append(slices.Clone(groups[i]), groups[j]...)
					groups = slices.Delete(groups, j, j+1)
					joined = true
					break
				}
			}
		}
		if !joined {
			return groups
		}
	}
}

func share(g, h group, linking map[place]bool) bool {
	for _, a := range g {
		for _, b := range h {
			for _, id := range a.Identifiers {
				if linking[place{a.Partition, id}] && a.Partition == b.Partition && slices.Contains(b.Identifiers, id) {
					return true
				}
			}
		}
	}
	return false
}

func singles(list []*dire.Assertion) []group {
	var groups []group
	for _, a := range list {
		groups = append(groups, group{a})
	}
	return groups
}

// groupLiving is rules (a) and (b).
func groupLiving(living []*dire.Assertion) []group {
	var result []group
	for _, g := range connect(singles(living), links(living)) {
		if twoNatives(g) {
			result = append(result, singles(g)...)
		} else {
			result = append(result, g)
		}
	}
	return result
}

// groupRetracted adds retracted assertions to groups of living ones.
func groupRetracted(living []group, retracted, all []*dire.Assertion) []group {
	linking := links(all)
	// Only what a retracted assertion holds links here.
	held := map[place]bool{}
	for _, a := range retracted {
		for _, id := range a.Identifiers {
			if p := (place{a.Partition, id}); linking[p] {
				held[p] = true
			}
		}
	}
	var result []group
	for _, g := range connect(append(slices.Clone(living), singles(retracted)...), held) {
		inside := 0
		for _, l := range living {
			if slices.Contains(g, l[0]) {
				inside++
			}
		}
		if inside <= 1 && !twoNatives(g) {
			result = append(result, g)
			continue
		}
		for _, l := range living {
			if slices.Contains(g, l[0]) {
				result = append(result, l)
			}
		}
		for _, a := range g {
			if a.Retracted() {
				result = append(result, group{a})
			}
		}
	}
	return result
}

// head is the home of the oldest living member, or of the last retracted.
func head(g group) string {
	return slices.MinFunc(g, func(a, b *dire.Assertion) int {
		alive := func(a *dire.Assertion) int {
			if a.Retracted() {
				return 1
			}
			return 0
		}
		return cmp.Or(
			cmp.Compare(alive(a), alive(b)),
			b.RetractedAt.Compare(a.RetractedAt),
			a.FirstSeen.Compare(b.FirstSeen),
			cmp.Compare(a.HomeID, b.HomeID),
		)
	}).HomeID
}

// devicesAt are the devices that have an address of a weak assertion.
func devicesAt(w *dire.Assertion, living []*dire.Assertion) []string {
	var ids []string
	for _, a := range living {
		if a.Partition != w.Partition {
			continue
		}
		for _, id := range w.Identifiers {
			id.Kind = dire.IdentifierIP
			if slices.Contains(a.Identifiers, id) {
				ids = append(ids, a.DeviceID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// record is the canonical record of members: sorted by weight, and each field
// the first that is not empty.
func record(id string, members []dire.Assertion) dire.Device {
	weight := func(a, b dire.Assertion) int {
		return cmp.Or(
			cmp.Compare(b.Facts.Confidence, a.Facts.Confidence),
			b.Changed.Compare(a.Changed),
			cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.Key, b.Key),
		)
	}
	all := slices.SortedFunc(slices.Values(members), weight)
	living := slices.DeleteFunc(slices.Clone(all), func(a dire.Assertion) bool { return a.Retracted() })
	d := dire.Device{ID: id, Partition: all[0].Partition, Retracted: len(living) == 0}
	strong := slices.DeleteFunc(slices.Clone(all), func(a dire.Assertion) bool { return weak(&a) })
	if len(strong) == 0 {
		strong = all
	}
	d.FirstSeen = slices.MinFunc(strong, func(a, b dire.Assertion) int { return a.FirstSeen.Compare(b.FirstSeen) }).FirstSeen
	if d.Retracted {
		living = all
	} else {
		d.Available = living[0].Facts.Available
	}
	for _, a := range living {
		d.Hostname = cmp.Or(d.Hostname, a.Facts.Hostname)
		d.SerialNumber = cmp.Or(d.SerialNumber, a.Facts.SerialNumber)
		d.Manufacturer = cmp.Or(d.Manufacturer, a.Facts.Manufacturer)
		d.Model = cmp.Or(d.Model, a.Facts.Model)
		d.OS = cmp.Or(d.OS, a.Facts.OS)
		d.DeviceType = cmp.Or(d.DeviceType, a.Facts.DeviceType)
		d.Site = cmp.Or(d.Site, a.Facts.Site)
		d.IPs = appendNew(d.IPs, a.Facts.IPs)
		d.MACs = appendNew(d.MACs, a.Facts.MACs)
		d.Tags = appendNew(d.Tags, a.Facts.Tags)
		d.Sources = appendNew(d.Sources, []string{a.Source})
		if a.LastSeen.After(d.LastSeen) {
			d.LastSeen = a.LastSeen
		}
	}
	slices.Sort(d.Sources)
	if len(d.IPs) > 0 {
		d.IP = d.IPs[0]
	}
	if len(d.MACs) > 0 {
		d.MAC = d.MACs[0]
	}
	return d
}

func appendNew(to, values []string) []string {
	for _, v := range values {
		if !slices.Contains(to, v) {
			to = append(to, v)
		}
	}
	return to
}
