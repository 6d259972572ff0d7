package diretest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"edgesync/dire"
)

// Record is the canonical record of members: sorted by weight, and each field
// the first that is not empty.
func Record(id string, members []dire.Assertion) dire.Device {
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

// Check compares a store with what the rules say, checks that nothing in it
// leads nowhere, and returns what it holds.
func Check(t T, store Store, rules *Oracle) map[dire.Ref]dire.Assertion {
	t.Helper()
	rows, devices := store.State(t)
	Compare(t, rows, rules.Assertions())
	Conserve(t, rows, devices)
	return rows
}

// Simulates fails unless a simulation of the rules of today, over all that is
// stored, finds nothing to change.
func Simulates(t T, rows map[dire.Ref]dire.Assertion, links []dire.Link) {
	t.Helper()
	s := defaults.Simulate()
	for _, a := range rows {
		s.Add(a)
	}
	if r := s.Run(links, defaults); len(r.Merges)+len(r.Splits) > 0 || r.Stored != r.Simulated {
		t.Fatalf("a simulation of the rules as they are finds %+v", r)
	}
}

// Compare fails unless what is stored is what the rules say.
func Compare(t T, rows, want map[dire.Ref]dire.Assertion) {
	t.Helper()
	if len(want) != len(rows) {
		t.Fatalf("stored %d assertions, want %d", len(rows), len(want))
	}
	for ref, w := range want {
		got := rows[ref]
		if got.Hash != w.Hash || !reflect.DeepEqual(got.Facts, w.Facts) || got.Partition != w.Partition {
			t.Fatalf("%v holds %+v, want %+v", ref, got, w)
		}
		if !got.Run.Started.Equal(w.Run.Started) || !got.RetractedAt.Equal(w.RetractedAt) ||
			!got.FirstSeen.Equal(w.FirstSeen) || got.HomeID != w.HomeID {
			t.Fatalf("%v is %+v, want %+v", ref, got, w)
		}
		if got.DeviceID != w.DeviceID {
			t.Fatalf("%v is of device %s, want %s", ref, name(rows, got.DeviceID), name(rows, w.DeviceID))
		}
	}
}

// name tells whose home an id is.
func name(rows map[dire.Ref]dire.Assertion, id string) string {
	for ref, a := range rows {
		if a.HomeID == id {
			return fmt.Sprintf("%s/%s (%s)", ref.Source, ref.Key, id)
		}
	}
	return id
}

// Conserve fails unless every assertion is of one device with the record its
// members give, and every device has members.
func Conserve(t T, rows map[dire.Ref]dire.Assertion, devices map[string]dire.Device) {
	t.Helper()
	members := map[string][]dire.Assertion{}
	for _, a := range rows {
		members[a.DeviceID] = append(members[a.DeviceID], a)
	}
	for id, list := range members {
		if want := Record(id, list); !reflect.DeepEqual(devices[id], want) {
			t.Fatalf("device %s is\n%+v, want\n%+v", id, devices[id], want)
		}
	}
	for id := range devices {
		if len(members[id]) == 0 {
			t.Fatalf("device %s has no members", id)
		}
	}
}

// Homes are the home ids of what is stored, in order.
func Homes(rows map[dire.Ref]dire.Assertion) []string {
	var homes []string
	for ref := range rows {
		homes = append(homes, rows[ref].HomeID)
	}
	slices.Sort(homes)
	return homes
}
