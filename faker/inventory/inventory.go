// Package inventory is the seeded world behind the fakers: what every device of
// an invented Armis, NetBox or plain source looks like at any moment. A device
// is a pure function of (seed, kind, index, epoch), so an inventory of a million
// devices costs no memory. The package knows nothing of HTTP, of updates or of
// the formats its devices are shown in.
package inventory

import (
	"fmt"
	"net/netip"
	"time"
)

// Kind is the inventory a device belongs to. Kinds of one seed share nothing:
// no MAC, no serial number, no name and, within an epoch, no address.
type Kind uint8

// The kinds of inventory. There is room for exactly four: see slot.
const (
	Armis Kind = iota
	NetBoxDevice
	NetBoxVM
	Plain
)

// MaxDevices is the most devices a kind may be asked for.
const MaxDevices = 1_000_000

// Device is one device as it is in one epoch.
type Device struct {
	Kind Kind
	// Index counts from 0; a native id is Index+1 in every kind, on purpose.
	Index        int
	Name         string
	Category     string
	Type         string
	Manufacturer string
	Model        string
	OS           string
	// Serial is empty for a virtual machine.
	Serial   string
	Site     string
	Boundary string
	Tags     []string
	// Risk is 1 to 10.
	Risk int
	// Offline devices are known but not running.
	Offline bool
	// MACs holds one or two globally unique unicast addresses ("aa:bb:cc:dd:ee:ff").
	MACs []string
	// Addresses holds one or two; the first is IPv4.
	Addresses []netip.Addr
	FirstSeen time.Time
}

// Inventory is all devices of one seed.
type Inventory struct {
	seed uint64
}

// New is the inventory of a seed. Every seed is as good as any other.
func New(seed uint64) Inventory {
	return Inventory{seed: mix(seed)}
}

// SplitNetBox divides a number of NetBox things into devices and virtual
// machines: one in five is a virtual machine.
func SplitNetBox(total int) (devices, vms int) {
	vms = total / 5
	return total - vms, vms
}

// Device is the index-th device of a kind in an epoch. The epoch decides its
// addresses and nothing else. An index outside 0..MaxDevices-1 panics: it would
// break the promise that identifiers are unique.
func (inv Inventory) Device(kind Kind, index int, epoch uint64) Device {
	if kind > Plain || index < 0 || index >= MaxDevices {
		panic(fmt.Sprintf("inventory: no device %d of kind %d", index, kind))
	}
	traits := inv.traits(kind, index)
	line := pick(catalogue[kind], traits.take())
	device := Device{
		Kind:         kind,
		Index:        index,
		Category:     line.category,
		Type:         line.kind,
		Manufacturer: line.manufacturer,
		Model:        pick(line.models, traits.take()),
		OS:           pick(line.systems, traits.take()),
		Site:         pick(sites, traits.take()),
		Boundary:     pick(boundaries, traits.take()),
		Tags:         subset(tags, traits.take()),
		Risk:         1 + int(traits.take()%10),
		Offline:      traits.take()%40 == 0,
		FirstSeen:    firstDay.Add(time.Duration(traits.take()%daysKnown) * 24 * time.Hour),
	}
	device.Name = fmt.Sprintf("%s-%s-%c%06d", line.prefix, siteCode(device.Site), "advp"[kind], index+1)
	if line.serial != "" {
		device.Serial = line.serial + inv.serial(kind, index)
	}
	device.MACs = inv.macs(kind, index, pick(line.ouis, traits.take()), traits.take()%5 < 2)
	device.Addresses = inv.addresses(kind, index, epoch, traits.take()%10 < 3)
	return device
}

// firstDay and daysKnown bound when devices were first seen.
var firstDay = time.Date(2023, time.January, 2, 8, 0, 0, 0, time.UTC)

const daysKnown = 700
