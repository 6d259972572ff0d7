package serve

import (
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Allow are the networks whose addresses may connect to each listener; none
// means any.
type Allow struct{ Gateway, CA, Admin, Metrics []netip.Prefix }

// guards are the listeners that look at who connects.
type guards struct {
	gateway, ca, admin, metrics guard
	refused                     *prometheus.CounterVec
}

func newGuards(log *slog.Logger) *guards {
	g := &guards{refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "edgesync_serve_connections_refused_total",
		Help: "Connections from addresses outside the networks that are allowed, by listener.",
	}, []string{"listener"})}
	for name, one := range map[string]*guard{"gateway": &g.gateway, "ca": &g.ca, "admin": &g.admin, "metrics": &g.metrics} {
		one.name, one.log, one.refused = name, log, g.refused.WithLabelValues(name)
		one.quiet = rate.Sometimes{First: 5, Interval: time.Minute}
	}
	return g
}

// allow changes who may connect from now on.
func (g *guards) allow(a Allow) {
	g.gateway.allowed.Store(&a.Gateway)
	g.ca.allowed.Store(&a.CA)
	g.admin.allowed.Store(&a.Admin)
	g.metrics.allowed.Store(&a.Metrics)
}

// guard closes connections from where none are allowed, before anything is read.
type guard struct {
	name    string
	allowed atomic.Pointer[[]netip.Prefix]
	refused prometheus.Counter
	log     *slog.Logger
	quiet   rate.Sometimes
}

// listener is l behind the guard.
func (g *guard) listener(l net.Listener) net.Listener { return &guarded{Listener: l, guard: g} }

func (g *guard) admits(addr net.Addr) bool {
	list := g.allowed.Load()
	if list == nil || len(*list) == 0 {
		return true
	}
	from, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return false
	}
	ip := from.Addr().Unmap().WithZone("")
	for _, network := range *list {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

type guarded struct {
	net.Listener
	guard *guard
}

// Accept implements net.Listener.
func (l *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.guard.admits(conn.RemoteAddr()) {
			return conn, err
		}
		l.guard.refused.Inc()
		l.guard.quiet.Do(func() {
			l.guard.log.Warn("connection refused: its address is in no network that is allowed", "listener", l.guard.name, "remote_addr", conn.RemoteAddr().String())
		})
		_ = conn.Close()
	}
}
