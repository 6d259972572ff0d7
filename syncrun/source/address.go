package source

import (
	"bytes"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// maxAddresses is how many addresses of a kind are read of one device: more than
// an update may carry, and few enough to compare each with each.
const maxAddresses = 512

// Addresses reads IP addresses out of lists separated by commas or blanks, each
// with or without a prefix length or a zone. What is no address is left out, and
// so is what no device can be reached at: unspecified, loopback and multicast
// addresses, and repetitions.
func Addresses(lists ...string) []netip.Addr {
	var addrs []netip.Addr
	for text := range elements(lists) {
		if len(addrs) == maxAddresses {
			break
		}
		text, _, _ = strings.Cut(text, "/")
		addr, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		addr = addr.Unmap().WithZone("")
		if addr.IsUnspecified() || addr.IsLoopback() || addr.IsMulticast() || slices.Contains(addrs, addr) {
			continue
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

// MACs reads Ethernet addresses out of lists, in any common spelling, and writes
// them as "aa:bb:cc:dd:ee:ff". What is none is left out, as are all zeros, all
// ones and repetitions.
func MACs(lists ...string) []string {
	var macs []string
	for text := range elements(lists) {
		if len(macs) == maxAddresses {
			break
		}
		mac, ok := parseMAC(text)
		if ok && !slices.Contains(macs, mac) {
			macs = append(macs, mac)
		}
	}
	return macs
}

func parseMAC(text string) (string, bool) {
	if len(text) == 12 {
		text = text[:4] + "." + text[4:8] + "." + text[8:]
	}
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return "", false
	}
	if bytes.Equal(mac, make([]byte, 6)) || bytes.Equal(mac, bytes.Repeat([]byte{0xff}, 6)) {
		return "", false
	}
	return mac.String(), true
}

// elements walks over the elements of lists.
func elements(lists []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, list := range lists {
			for element := range strings.FieldsFuncSeq(list, isSeparator) {
				if !yield(element) {
					return
				}
			}
		}
	}
}

func isSeparator(char rune) bool {
	return strings.ContainsRune(",; \t\n", char)
}
