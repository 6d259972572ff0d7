package dire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// EncodeFacts returns the facts as a JSON object that DecodeFacts reads, in this
// and every later version.
func EncodeFacts(f *Facts) ([]byte, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode facts of %q: %w", f.NativeID, err)
	}
	return data, nil
}

// DecodeFacts reads what EncodeFacts wrote.
func DecodeFacts(data []byte) (Facts, error) {
	var f Facts
	if err := json.Unmarshal(data, &f); err != nil {
		return Facts{}, fmt.Errorf("decode facts: %w", err)
	}
	return f, nil
}

// factsOf spells an update canonically. The metadata map is shared with it.
func factsOf(b *Batch, u *Update) Facts {
	f := Facts{
		NativeID:     strings.TrimSpace(u.NativeID),
		MACs:         canonicalMACs(u.MACs),
		IPs:          canonicalIPs(u.IPs),
		Hostname:     canonicalHostname(u.Hostname),
		SerialNumber: strings.TrimSpace(u.SerialNumber),
		Manufacturer: strings.TrimSpace(u.Manufacturer),
		Model:        strings.TrimSpace(u.Model),
		OS:           strings.TrimSpace(u.OS),
		DeviceType:   strings.TrimSpace(u.DeviceType),
		Site:         strings.TrimSpace(u.Site),
		Available:    u.Available,
		SourceType:   b.SourceType,
		Confidence:   b.Confidence,
		Metadata:     u.Metadata,
	}
	if len(u.Tags) > 0 {
		f.Tags = canonicalTags(u.Tags)
	}
	return f
}

// nativeKey begins the key of a thing that its source knows by an id of its own.
const nativeKey = "id:"

// IsNative tells whether an Assertion.Key is of that kind.
func IsNative(key string) bool { return strings.HasPrefix(key, nativeKey) }

// keyOf returns what a thing with these facts and identifiers is known by within
// its source, or "" when it has nothing to be known by.
func keyOf(f *Facts, ids []Identifier) string {
	if f.NativeID != "" {
		return nativeKey + f.NativeID
	}
	mac, serial := "", ""
	for _, id := range ids {
		switch {
		case id.Kind == IdentifierMAC && (mac == "" || id.Value < mac):
			mac = id.Value
		case id.Kind == IdentifierSerial:
			serial = id.Value
		}
	}
	switch {
	case mac != "":
		return "mac:" + mac
	case len(f.IPs) > 0:
		return "ip:" + f.IPs[0]
	case serial != "":
		return "serial:" + serial
	case len(f.MACs) > 0:
		return "weak:" + slices.Min(f.MACs)
	}
	return ""
}

// digest hashes facts. It keeps its buffers from one call to the next.
type digest struct {
	buf  []byte
	keys []string
}

// sum covers the facts and the partition they hold in.
func (d *digest) sum(partition string, f *Facts) [32]byte {
	d.buf = d.buf[:0]
	d.strings(partition, f.SourceType, f.NativeID, f.Hostname, f.SerialNumber, f.Manufacturer,
		f.Model, f.OS, f.DeviceType, f.Site)
	d.list(f.MACs)
	d.list(f.IPs)
	d.list(f.Tags)
	d.number(uint64(int64(f.Confidence)))
	if f.Available {
		d.number(1)
	} else {
		d.number(0)
	}
	d.keys = d.keys[:0]
	for key := range f.Metadata {
		d.keys = append(d.keys, key)
	}
	slices.Sort(d.keys)
	d.number(uint64(len(d.keys)))
	for _, key := range d.keys {
		d.strings(key, f.Metadata[key])
	}
	return sha256.Sum256(d.buf)
}

func (d *digest) number(n uint64) { d.buf = binary.AppendUvarint(d.buf, n) }

func (d *digest) strings(values ...string) {
	for _, v := range values {
		d.number(uint64(len(v)))
		d.buf = append(d.buf, v...)
	}
}

func (d *digest) list(values []string) {
	d.number(uint64(len(values)))
	d.strings(values...)
}
