package source

import (
	"errors"
	"fmt"
	"net/netip"

	"edgesync/proto/payload"
)

// ErrEnough ends a run with a Lookup that has found what it looks for.
var ErrEnough = errors.New("enough of what was looked for is found")

// Lookup has a run tell where some things are in what it reads, and what it would
// make of each, instead of handing everything on: emit is not called. All its
// functions are required.
type Lookup struct {
	// Wanted tells whether a thing is looked for. Its MACs are read only if MACs is
	// set, where that costs requests of its own.
	Wanted func(Device) bool
	MACs   bool
	// Found is told of each thing that is; false ends the run with ErrEnough.
	Found func(Sighting) bool
	// Looked is told of each page and how many things it held.
	Looked func(list string, page, things int)
	// Unfiltered reads all that the source holds, whatever its queries select.
	Unfiltered bool
}

// Sighting is a thing that was looked for, where it is.
type Sighting struct {
	// List is what the source was asked for, Page the page of it and Place the
	// place on that, both from 1.
	List        string
	Page, Place int
	Device      Device
	Fate        Fate
	// Why is why it is not reported.
	Why string
	// Update is what a run reports of it.
	Update payload.Update
}

// Fate is what a run makes of a thing.
type Fate string

// The fates.
const (
	// FateReported: it goes on as an update.
	FateReported Fate = "reported"
	// FateBlacklisted: all its addresses are on the network blacklist.
	FateBlacklisted Fate = "blacklisted"
	// FateUnnamed: it has no id of the source's own.
	FateUnnamed Fate = "unnamed"
)

// Page looks at the things of a page; named tells of each whether it has an id.
func (l *Lookup) Page(shaper *Shaper, list string, page int, things int, at func(i int) (device Device, named bool)) error {
	l.Looked(list, page, things)
	for i := range things {
		device, named := at(i)
		if !l.Wanted(device) {
			continue
		}
		s := Sighting{List: list, Page: page, Place: i + 1, Device: device, Fate: FateReported}
		update, ok := shaper.Update(device)
		switch {
		case !named:
			s.Fate, s.Why = FateUnnamed, "it has no id in the source"
		case !ok:
			s.Fate, s.Why = FateBlacklisted, shaper.blacklist.Why(device.IPs)
		default:
			s.Update = update
		}
		if !l.Found(s) {
			return ErrEnough
		}
	}
	return nil
}

// Why says which entry of the list the first of a device's addresses is on.
func (b Blacklist) Why(addrs []netip.Addr) string {
	for _, addr := range addrs {
		for _, prefix := range b {
			if prefix.Contains(addr) {
				return fmt.Sprintf("its address %s is in %s of the network blacklist, and it has none outside", addr, prefix)
			}
		}
	}
	return "all its addresses are on the network blacklist"
}
