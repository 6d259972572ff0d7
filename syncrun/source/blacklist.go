package source

import (
	"fmt"
	"net/netip"
)

// Blacklist is the networks whose addresses are not to be reported.
type Blacklist []netip.Prefix

// ParseBlacklist reads CIDRs; a single address is a network of one. An entry
// that is neither is an error, never ignored.
func ParseBlacklist(entries []string) (Blacklist, error) {
	var list Blacklist
	for _, entry := range entries {
		prefix, err := netip.ParsePrefix(entry)
		if addr, errAddr := netip.ParseAddr(entry); err != nil && errAddr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read network blacklist: %q is not a network such as 10.1.0.0/16", clean(entry, maxQuote))
		}
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}

// Keep takes away the addresses on the list. None is left of a device all of
// whose addresses are on it: such a device is not to be reported at all.
func (b Blacklist) Keep(addrs []netip.Addr) (kept []netip.Addr, none bool) {
	for _, addr := range addrs {
		if !b.holds(addr) {
			kept = append(kept, addr)
		}
	}
	return kept, len(addrs) > 0 && len(kept) == 0
}

func (b Blacklist) holds(addr netip.Addr) bool {
	for _, prefix := range b {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
