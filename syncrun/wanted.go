package syncrun

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

// wanted are devices that are looked for, by what they are known by in the
// spelling of adapters.
type wanted struct {
	nativeIDs, macs, ips, hostnames []string
	// needles are all of it as the JSON of an update may have it, in lower case;
	// odd says that some of it may be spelled in another way there.
	needles [][]byte
	odd     bool
}

func newWanted(w payload.Wanted) *wanted {
	all := &wanted{macs: source.MACs(w.MACs...), ips: addresses(w.IPs...)}
	for _, list := range []struct {
		from []string
		to   *[]string
	}{{w.NativeIDs, &all.nativeIDs}, {w.Hostnames, &all.hostnames}} {
		for _, text := range list.from {
			if text = strings.ToLower(strings.TrimSpace(text)); text != "" {
				*list.to = append(*list.to, text)
			}
		}
	}
	for _, text := range slices.Concat(all.nativeIDs, all.macs, all.ips, all.hostnames) {
		all.odd = all.odd || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
		all.needles = append(all.needles, []byte(text))
	}
	return all
}

// device tells whether an adapter's device is one of them.
func (w *wanted) device(d source.Device) bool {
	var ips []string
	for _, addr := range d.IPs {
		ips = append(ips, addr.String())
	}
	return w.fits(d.NativeID, d.Name, d.MACs, ips)
}

func (w *wanted) fits(nativeID, hostname string, macs, ips []string) bool {
	if w.native(nativeID) || w.host(hostname) {
		return true
	}
	common := func(a, b []string) bool {
		return slices.ContainsFunc(a, func(one string) bool { return slices.Contains(b, one) })
	}
	return common(macs, w.macs) || common(ips, w.ips)
}

// host compares with and without the domain.
func (w *wanted) host(name string) bool {
	if name == "" {
		return false
	}
	name = strings.ToLower(name)
	first, _, _ := strings.Cut(name, ".")
	return slices.Contains(w.hostnames, name) || slices.Contains(w.hostnames, first)
}

// native compares with and without what kind of thing an id is of.
func (w *wanted) native(id string) bool {
	if id == "" {
		return false
	}
	id = strings.ToLower(id)
	_, bare, _ := strings.Cut(id, ":")
	return slices.Contains(w.nativeIDs, id) || bare != "" && slices.Contains(w.nativeIDs, bare)
}

// update tells whether an update is of one of them.
func (w *wanted) update(u *payload.Update) bool {
	m := u.Metadata
	return w.fits(m[payload.MetaIntegrationID], u.Hostname,
		source.MACs(u.MAC, m[payload.MetaAllMACs]), addresses(u.IP, m[payload.MetaAllIPs]))
}

func addresses(lists ...string) []string {
	var texts []string
	for _, addr := range source.Addresses(lists...) {
		texts = append(texts, addr.String())
	}
	return texts
}

// chunk tells whether a chunk has one of them. Most have not, and are not decoded
// to find out.
func (w *wanted) chunk(data []byte) bool {
	if !w.odd {
		lower := bytes.ToLower(data)
		if !slices.ContainsFunc(w.needles, func(needle []byte) bool { return bytes.Contains(lower, needle) }) {
			return false
		}
	}
	var updates []payload.Update
	if json.Unmarshal(data, &updates) != nil {
		return false
	}
	return slices.ContainsFunc(updates, func(u payload.Update) bool { return w.update(&u) })
}
