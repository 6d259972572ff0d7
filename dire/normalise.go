package dire

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// macClass is what a MAC says about the thing that has it.
type macClass int

const (
	// macJunk is no station's address: all zero, all one, multicast.
	macJunk macClass = iota
	// macShared is a locally administered address, or one that a redundancy
	// protocol moves between stations.
	macShared
	// macGlobal was given to one network interface by its maker.
	macGlobal
)

// sharedMACs are ranges of globally unique form that several stations answer to
// in turn: VRRP (RFC 9568), HSRP versions 1 and 2 and for IPv6, and GLBP.
var sharedMACs = []struct {
	prefix uint64
	bits   uint
}{
	{0x00005e000100, 40},
	{0x00005e000200, 40},
	{0x00000c07ac00, 40},
	{0x00000c9ff000, 36},
	{0x000573a00000, 36},
	{0x0007b4000000, 32},
}

func classify(mac uint64) macClass {
	first := mac >> 40
	switch {
	case mac == 0, first&1 != 0:
		return macJunk
	case first&2 != 0:
		return macShared
	}
	for _, s := range sharedMACs {
		if (mac^s.prefix)>>(48-s.bits) == 0 {
			return macShared
		}
	}
	return macGlobal
}

// classOf classifies a MAC in canonical spelling.
func classOf(mac string) macClass {
	bits, ok := parseMAC(mac)
	if !ok {
		return macJunk
	}
	return classify(bits)
}

// parseMAC reads a 48-bit MAC in any usual spelling: digits alone, or in groups
// of two, four or six, separated by colons, hyphens or dots. The leading zero of
// an octet may be left out ("0:1b:21:…").
func parseMAC(s string) (mac uint64, ok bool) {
	separators := 0
	for i := range len(s) {
		if separator(s[i]) {
			separators++
		}
	}
	if separators > 5 || separators == 3 || separators == 4 {
		return 0, false
	}
	size, group := 12/(separators+1), 0
	for i := range len(s) + 1 {
		if i == len(s) || separator(s[i]) {
			switch {
			case group == size:
			case group == 1 && size == 2:
				mac = mac>>4<<8 | mac&0xf
			default:
				return 0, false
			}
			group = 0
			continue
		}
		v, isHex := hexValue(s[i])
		if !isHex {
			return 0, false
		}
		mac, group = mac<<4|uint64(v), group+1
	}
	return mac, true
}

func separator(c byte) bool { return c == ':' || c == '-' || c == '.' }

func hexValue(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// formatMAC spells a MAC canonically; spelled is given back when it is so.
func formatMAC(mac uint64, spelled string) string {
	const hex = "0123456789abcdef"
	var b [17]byte
	for i := range 6 {
		octet := byte(mac >> (40 - 8*i))
		b[3*i], b[3*i+1] = hex[octet>>4], hex[octet&0xf]
		if i < 5 {
			b[3*i+2] = ':'
		}
	}
	if string(b[:]) == spelled {
		return spelled
	}
	return string(b[:])
}

// canonicalMACs returns every MAC of the list once. The first stays first, the
// others are sorted: sources list them in any order, and the order of the others
// says nothing.
func canonicalMACs(list []string) []string {
	return canonicalList(list, func(s string) string {
		mac, ok := parseMAC(s)
		if !ok || classify(mac) == macJunk {
			return ""
		}
		return formatMAC(mac, s)
	})
}

// canonicalIPs does the same for addresses. A prefix length and a zone are cut
// off; addresses that can be nobody's, or everybody's own, are left out.
func canonicalIPs(list []string) []string {
	return canonicalList(list, func(s string) string {
		bare, _, _ := strings.Cut(s, "/")
		addr, err := netip.ParseAddr(bare)
		if err != nil {
			return ""
		}
		addr = addr.Unmap().WithZone("")
		if addr.IsUnspecified() || addr.IsLoopback() || addr.IsMulticast() || addr == broadcast {
			return ""
		}
		var b [64]byte
		if text := addr.AppendTo(b[:0]); string(text) != bare {
			return string(text)
		}
		return bare
	})
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// identifies tells whether an address in canonical spelling tells stations of a
// partition apart: link-local ones mean another link each time.
func identifies(ip string) bool {
	return !strings.HasPrefix(ip, "169.254.") && !linkLocal6(ip)
}

// linkLocal6 recognises fe80::/10.
func linkLocal6(ip string) bool {
	return len(ip) > 4 && ip[4] == ':' && ip[0] == 'f' && ip[1] == 'e' &&
		(ip[2] == '8' || ip[2] == '9' || ip[2] == 'a' || ip[2] == 'b')
}

// canonicalList canonicalises every element of a list and of the lists in it;
// the empty string drops an element.
func canonicalList(list []string, canonical func(string) string) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, element := range list {
		for element != "" {
			var s string
			s, element = nextWord(element)
			if s = canonical(s); s != "" {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	if len(out) > 1 {
		rest := out[1:]
		slices.Sort(rest)
		rest = slices.Compact(rest)
		rest = slices.DeleteFunc(rest, func(s string) bool { return s == out[0] })
		out = out[:1+len(rest)]
	}
	return out
}

// nextWord cuts the first word off a list in a string.
func nextWord(s string) (word, rest string) {
	i := strings.IndexAny(s, ",; \t\r\n")
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func canonicalHostname(s string) string {
	return strings.ToLower(strings.TrimRight(strings.TrimSpace(s), "."))
}

func canonicalTags(tags []string) []string {
	out := make([]string, 0, len(tags))
	for _, tag := range tags {
		if tag = strings.TrimSpace(tag); tag != "" {
			out = append(out, tag)
		}
	}
	if len(out) == 0 {
		return nil
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// serial returns the value of a serial identifier, or "" where the pair names
// nothing: one of the two is missing, a placeholder, too short or one digit over
// and over.
func (r Rules) serial(manufacturer, number string) string {
	if manufacturer == "" || number == "" {
		return ""
	}
	var makerSpace, bareSpace [64]byte
	maker, bare := letters(makerSpace[:0], manufacturer), letters(bareSpace[:0], number)
	if len(maker) == 0 || r.JunkManufacturers[string(maker)] || len(bare) < 4 || r.JunkSerials[string(bare)] ||
		bytes.Count(bare, bare[:1]) == len(bare) {
		return ""
	}
	// The maker's letters hold no slash, so that a pair has one spelling only.
	value := append(maker, '/')
	for i := range len(number) {
		switch c := number[i]; {
		case space(c) && (i == 0 || i+1 == len(number) || space(number[i+1])):
		case space(c):
			value = append(value, ' ')
		default:
			value = append(value, lower(c))
		}
	}
	return string(value)
}

// letters appends the letters and digits of a value in lower case, so that
// "Default string" and "DEFAULT_STRING" are one. Of what is not ASCII every byte
// counts as a letter.
func letters(to []byte, s string) []byte {
	for i := range len(s) {
		c := lower(s[i])
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c > 0x7f {
			to = append(to, c)
		}
	}
	return to
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c - 'A' + 'a'
	}
	return c
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
