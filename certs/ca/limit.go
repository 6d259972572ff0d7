package ca

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds what is remembered of addresses.
const maxAddresses = 16 << 10

// limits count the refused requests of each address. What succeeds costs
// nothing: a site behind one address may enrol as many hosts as it has tokens.
type limits struct {
	burst int
	every time.Duration
	now   func() time.Time

	mu        sync.Mutex
	addresses map[netip.Prefix]*rate.Limiter
}

func newLimits(burst int, every time.Duration, now func() time.Time) *limits {
	return &limits{burst: burst, every: every, now: now, addresses: map[netip.Prefix]*rate.Limiter{}}
}

// allow says whether the address may try.
func (l *limits) allow(addr string) bool {
	prefix := network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.addresses[prefix]
	return limiter == nil || limiter.TokensAt(l.now()) >= 1
}

// failed counts a refusal.
func (l *limits) failed(addr string) {
	prefix, now := network(addr), l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.addresses[prefix]
	if limiter == nil {
		l.forget(now)
		limiter = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.addresses[prefix] = limiter
	}
	limiter.AllowN(now, 1)
}

// forget makes room: addresses that may do everything again go first.
func (l *limits) forget(now time.Time) {
	if len(l.addresses) < maxAddresses {
		return
	}
	for prefix, limiter := range l.addresses {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.addresses, prefix)
		}
	}
	for prefix := range l.addresses {
		if len(l.addresses) < maxAddresses {
			break
		}
		delete(l.addresses, prefix)
	}
}

// network is who an address counts as: an IPv6 host has a whole /64 to itself.
func network(addr string) netip.Prefix {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if ip = ip.Unmap(); ip.Is6() {
		bits = 64
	}
	prefix, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
