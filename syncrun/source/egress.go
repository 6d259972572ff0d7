package source

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Egress is the rule about which addresses may be dialled for sources whose
// endpoints strangers choose: those of the public internet, and what an operator
// has allowed. It looks at the address that is dialled, after names were resolved,
// so neither a name, nor a redirect, nor a link leads around it.
type Egress struct {
	allow Blacklist
}

// ParseEgress makes the rule with exceptions, CIDRs or single addresses.
func ParseEgress(allow []string) (*Egress, error) {
	e := &Egress{}
	for _, entry := range allow {
		prefixes, err := ParseBlacklist([]string{entry})
		if err != nil {
			return nil, fmt.Errorf("read allowed network: %q is not a network such as 10.1.0.0/16", clean(entry, maxQuote))
		}
		e.allow = append(e.allow, prefixes...)
	}
	return e, nil
}

// neverPublic are the networks that netip has no predicate for: of special
// purpose by the IANA registries (RFC 6890 and its like), or where clouds keep
// their hosts' secrets.
var neverPublic = mustPrefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"168.63.129.16/32",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

var (
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
	// nat64 addresses hold one of IPv4 at their end (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func mustPrefixes(texts ...string) Blacklist {
	list, err := ParseBlacklist(texts)
	if err != nil {
		panic(err)
	}
	return list
}

// Allows tells whether an address may be dialled.
func (e *Egress) Allows(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if e.allow.holds(addr) {
		return true
	}
	if nat64.Contains(addr) {
		bytes := addr.As16()
		return e.Allows(netip.AddrFrom4([4]byte(bytes[12:])))
	}
	switch {
	case !addr.IsGlobalUnicast(), addr.IsPrivate(), neverPublic.holds(addr), addr.Is6() && !globalUnicast6.Contains(addr):
		return false
	}
	return true
}

// Transport makes connections by the rule. It takes no proxy: whatever a proxy
// dials, nobody here would see.
func (e *Egress) Transport() *http.Transport {
	transport := ownTransport.Clone()
	transport.Proxy = nil
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, ControlContext: e.control}
	transport.DialContext = dialer.DialContext
	return transport
}

// control is asked before each connection, about the very address.
func (e *Egress) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	dialled, err := netip.ParseAddrPort(address)
	if err != nil || !e.Allows(dialled.Addr()) {
		return Errorf(ReasonEgress, "the endpoint is at %s, which this service may not reach", clean(address, maxQuote))
	}
	return nil
}
