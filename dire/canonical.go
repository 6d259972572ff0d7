package dire

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// member is an assertion as part of a device.
type member struct {
	*Assertion
	strong bool
}

// compareMembers orders by whose values weigh more: living before retracted,
// then the confidence of the source, then the latest news. What merely repeats
// itself is no news, else two sources that disagree would take turns.
func compareMembers(a, b member) int {
	if a.Retracted() != b.Retracted() {
		if b.Retracted() {
			return -1
		}
		return 1
	}
	if c := cmp.Compare(b.Facts.Confidence, a.Facts.Confidence); c != 0 {
		return c
	}
	if c := b.Changed.Compare(a.Changed); c != 0 {
		return c
	}
	if c := strings.Compare(a.Source, b.Source); c != 0 {
		return c
	}
	return strings.Compare(a.Key, b.Key)
}

// canonical makes the record of a device from its members, of which there is at
// least one. Retracted members count only when there are no others, save for
// when it was first seen.
func canonical(id string, members []member) Device {
	if len(members) > 1 {
		slices.SortFunc(members, compareMembers)
	}
	first := members[0]
	d := Device{ID: id, Partition: first.Partition, Retracted: first.Retracted(), FirstSeen: firstSeen(members)}
	for i, m := range members {
		if m.Retracted() != d.Retracted {
			members = members[:i]
			break
		}
	}
	d.Available = first.Facts.Available && !d.Retracted
	for _, m := range members {
		d.LastSeen = later(d.LastSeen, m.LastSeen)
		d.fill(&m.Facts)
	}
	d.IPs = lists(members, func(f *Facts) []string { return f.IPs })
	d.MACs = lists(members, func(f *Facts) []string { return f.MACs })
	d.Tags = lists(members, func(f *Facts) []string { return f.Tags })
	if len(d.IPs) > 0 {
		d.IP = d.IPs[0]
	}
	if len(d.MACs) > 0 {
		d.MAC = d.MACs[0]
	}
	d.Sources = make([]string, 0, len(members))
	for _, m := range members {
		d.Sources = append(d.Sources, m.Source)
	}
	slices.Sort(d.Sources)
	d.Sources = slices.Compact(d.Sources)
	return d
}

// firstSeen is that of the oldest strong member: the history of a weak one is
// that of an address.
func firstSeen(members []member) time.Time {
	oldest := members[0]
	for _, m := range members[1:] {
		if m.strong != oldest.strong {
			if m.strong {
				oldest = m
			}
		} else if m.FirstSeen.Before(oldest.FirstSeen) {
			oldest = m
		}
	}
	return oldest.FirstSeen
}

// fill gives the fields that are still empty their values.
func (d *Device) fill(f *Facts) {
	for _, field := range [...]struct {
		to   *string
		from string
	}{
		{&d.Hostname, f.Hostname},
		{&d.SerialNumber, f.SerialNumber},
		{&d.Manufacturer, f.Manufacturer},
		{&d.Model, f.Model},
		{&d.OS, f.OS},
		{&d.DeviceType, f.DeviceType},
		{&d.Site, f.Site},
	} {
		if *field.to == "" {
			*field.to = field.from
		}
	}
}

// lists joins what the members list, each value once, in the members' order.
func lists(members []member, of func(*Facts) []string) []string {
	if len(members) == 1 {
		return of(&members[0].Facts)
	}
	var all []string
	var seen map[string]bool
	for _, m := range members {
		list := of(&m.Facts)
		switch {
		case len(list) == 0:
		case all == nil:
			all = slices.Clip(list)
		default:
			if seen == nil {
				seen = make(map[string]bool, len(all)+len(list))
				for _, v := range all {
					seen[v] = true
				}
			}
			for _, v := range list {
				if !seen[v] {
					seen[v] = true
					all = append(all, v)
				}
			}
		}
	}
	return all
}
