package storetest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"edgesync/dire"
)

// thing is an assertion under construction, and the device it makes alone.
type thing struct {
	a dire.Assertion
}

// newThing is an assertion of a source with a native id if the key is one
// ("id:…"). Its home and its device are a function of source, key and partition.
func newThing(source, key, partition string) *thing {
	sum := sha256.Sum256([]byte(source + "\x00" + key + "\x00" + partition))
	home := uuid.Must(uuid.FromBytes(sum[:16]))
	a := dire.Assertion{
		Source: source, Key: key, Partition: partition, Hash: sum,
		Run: dire.Run{ID: "run-1", Started: at(1), Chunk: 1}, HomeID: "sr:" + home.String(),
		FirstSeen: at(1), LastSeen: at(1), Changed: at(1),
	}
	if len(key) > 3 && key[:3] == "id:" {
		a.Facts.NativeID = key[3:]
	}
	a.DeviceID = a.HomeID
	return &thing{a}
}

func (t *thing) identifier(kind dire.IdentifierKind, value string) *thing {
	t.a.Identifiers = append(t.a.Identifiers, dire.Identifier{Kind: kind, Value: value})
	return t
}

func (t *thing) mac(mac string) *thing {
	t.a.Facts.MACs = append(t.a.Facts.MACs, mac)
	return t.identifier(dire.IdentifierMAC, mac)
}

func (t *thing) serial(serial string) *thing {
	t.a.Facts.SerialNumber = serial
	return t.identifier(dire.IdentifierSerial, "maker\x1f"+serial)
}

func (t *thing) ip(ip string) *thing {
	t.a.Facts.IPs = append(t.a.Facts.IPs, ip)
	return t.identifier(dire.IdentifierIP, ip)
}

func (t *thing) host(name string) *thing {
	t.a.Facts.Hostname = name
	return t
}

func (t *thing) retracted() *thing {
	t.a.RetractedAt = at(50)
	return t
}

// partOf makes it part of another thing's device.
func (t *thing) partOf(other *thing) *thing {
	t.a.DeviceID = other.a.DeviceID
	return t
}

// device is what the thing says, as a record.
func (t *thing) device() dire.Device {
	f := &t.a.Facts
	d := dire.Device{
		ID: t.a.HomeID, Partition: t.a.Partition, Hostname: f.Hostname, IPs: f.IPs, MACs: f.MACs,
		SerialNumber: f.SerialNumber, Manufacturer: f.Manufacturer, Model: f.Model, OS: f.OS,
		DeviceType: f.DeviceType, Site: f.Site, Tags: f.Tags, Available: f.Available,
		Retracted: t.a.Retracted(), Sources: []string{t.a.Source},
		FirstSeen: t.a.FirstSeen, LastSeen: t.a.LastSeen,
	}
	if len(f.IPs) > 0 {
		d.IP = f.IPs[0]
	}
	if len(f.MACs) > 0 {
		d.MAC = f.MACs[0]
	}
	return d
}

// plan puts the thing and, if it heads a device, the device.
func (t *thing) plan() dire.Plan { return planOf(t) }

func planOf(things ...*thing) dire.Plan {
	var plan dire.Plan
	for _, t := range things {
		plan.Put = append(plan.Put, t.a)
		if t.a.DeviceID == t.a.HomeID {
			plan.Devices = append(plan.Devices, t.device())
		}
	}
	return plan
}

// full is a thing in which no field is empty.
func full(source, key string) *thing {
	t := newThing(source, key, "site \"a\"").
		mac("aa:00:00:00:00:0a").mac("aa:00:00:00:00:0b").ip("10.0.0.10").ip("2001:db8::1").
		serial("S1").host("host.example.org")
	t.a.Facts.Manufacturer, t.a.Facts.Model, t.a.Facts.OS = "maker", "M 'x'", "linux"
	t.a.Facts.DeviceType, t.a.Facts.Site = "server", "hq"
	t.a.Facts.Tags = []string{"a,b", "ü\"\\"}
	t.a.Facts.Available, t.a.Facts.SourceType, t.a.Facts.Confidence = true, "armis", 5
	t.a.Facts.Metadata = map[string]string{"k": "v", "": "<&>\u2028", "nested": `{"a":1}`}
	return t
}

// many are n unlike things of one source.
func many(source string, n int) []*thing {
	things := make([]*thing, n)
	for i := range things {
		things[i] = newThing(source, fmt.Sprintf("id:%06d", i), "default").
			mac(fmt.Sprintf("aa:%02x:00:%02x:%02x:%02x", source[0], i>>16&255, i>>8&255, i&255)).
			ip(fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)).host(fmt.Sprintf("host-%d", i))
	}
	return things
}

func sortIdentifiers(a dire.Assertion) dire.Assertion {
	a.Identifiers = slices.Clone(a.Identifiers)
	slices.SortFunc(a.Identifiers, func(x, y dire.Identifier) int {
		return slices.Compare([]string{string(x.Kind), x.Value}, []string{string(y.Kind), y.Value})
	})
	return a
}
