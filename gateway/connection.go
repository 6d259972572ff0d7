package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"edgesync/certs"
	"edgesync/proto/monitoring"
)

// connection is an accepted connection with what is counted of it.
type connection struct {
	net.Conn
	server *Server
	// calls and streams are how fast it may go on.
	calls, streams *rate.Limiter
	// paced are the limits that calls and streams are of.
	paced atomic.Pointer[Limits]

	// live ends, with what to answer calls under way, when the identity behind
	// the connection is revoked.
	live context.Context
	end  context.CancelCauseFunc
	// controlled is whether a ControlStream is open over it.
	controlled atomic.Bool

	mu     sync.Mutex
	closed bool
	// component is counted in server.connections once the handshake is done.
	component string
	// forget takes the connection out of server.live.
	forget func()
}

// trackingListener makes every accepted connection a *connection.
type trackingListener struct {
	net.Listener
	server *Server
}

func (l *trackingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	limits := l.server.pace.Load()
	live, end := context.WithCancelCause(context.Background())
	c := &connection{
		Conn: conn, server: l.server, live: live, end: end,
		calls:   rate.NewLimiter(rate.Limit(limits.CallRate), limits.CallBurst),
		streams: rate.NewLimiter(rate.Limit(limits.StreamRate), limits.StreamBurst),
	}
	c.paced.Store(limits)
	return c, nil
}

// follow takes over limits that were changed since the connection was made.
func (c *connection) follow() {
	limits := c.server.pace.Load()
	if c.paced.Swap(limits) == limits {
		return
	}
	c.calls.SetLimit(rate.Limit(limits.CallRate))
	c.calls.SetBurst(limits.CallBurst)
	c.streams.SetLimit(rate.Limit(limits.StreamRate))
	c.streams.SetBurst(limits.StreamBurst)
}

// belongTo counts the connection for its component and tells whether it may be
// one more.
func (c *connection) belongTo(identity certs.Identity) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	component := identity.TenantID.String() + "/" + identity.Component
	if c.closed || !c.server.connections.take(component) {
		return false
	}
	c.component = component
	c.forget = c.server.live.Add(identity, c.revoke)
	c.server.metrics.connections.Inc()
	return true
}

func (c *connection) Close() error {
	c.mu.Lock()
	if !c.closed && c.component != "" {
		c.server.connections.give(c.component)
		c.server.metrics.connections.Dec()
		c.forget()
	}
	c.closed = true
	c.mu.Unlock()
	c.end(net.ErrClosed)
	return c.Conn.Close()
}

// errRevoked is what calls under way are answered when their identity is revoked.
var errRevoked = status.Error(codes.PermissionDenied, "the certificate is no longer accepted here; ask the platform's operator, or install the service's latest identity")

// revoke ends every call under way and then the connection.
func (c *connection) revoke() {
	c.end(errRevoked)
	c.expel()
}

// expel closes the connection once an answer under way had time to leave. What
// the certificate proved at the handshake does not hold any more; a client that
// has a better one presents it when it connects again.
func (c *connection) expel() {
	time.AfterFunc(expelAfter, func() { _ = c.Close() })
}

const expelAfter = 500 * time.Millisecond

// bound is a call's context that also ends when the identity behind its
// connection is revoked.
func bound(ctx context.Context) (context.Context, func()) {
	info, ok := connectionOf(ctx)
	if !ok {
		return ctx, func() {}
	}
	live := info.connection.live
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(live, func() { cancel(context.Cause(live)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// boundStream is a stream with a bound context.
type boundStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (b boundStream) Context() context.Context { return b.ctx }

// authInfo lets a call find the connection it came over.
type authInfo struct {
	credentials.TLSInfo
	connection *connection
}

// transport is gRPC's TLS with the connection kept and counted.
type transport struct {
	credentials.TransportCredentials
	server *Server
}

func newTransport(s *Server, config *tls.Config) credentials.TransportCredentials {
	return &transport{TransportCredentials: credentials.NewTLS(config), server: s}
}

func (t *transport) Clone() credentials.TransportCredentials {
	return &transport{TransportCredentials: t.TransportCredentials.Clone(), server: t.server}
}

func (t *transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.handshake(raw)
	result := "accepted"
	if err != nil {
		result = "refused"
	}
	t.server.metrics.handshakes.WithLabelValues(result).Inc()
	return conn, info, err
}

func (t *transport) handshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, ok := raw.(*connection)
	if !ok {
		return nil, nil, errors.New("shake hands: the connection did not come from Serve")
	}
	conn, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("shake hands: unexpected %T", info), conn.Close())
	}
	identity, err := t.server.issuers.Identify(tlsInfo.State.PeerCertificates, t.server.now())
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	if !c.belongTo(identity) {
		t.server.count(ReasonTooManyConns)
		return nil, nil, errors.Join(
			fmt.Errorf("shake hands: %s has too many connections", identity.SPIFFE()), conn.Close())
	}
	return conn, authInfo{TLSInfo: tlsInfo, connection: c}, nil
}

// connectionOf is the connection a call came over.
func connectionOf(ctx context.Context) (authInfo, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return authInfo{}, false
	}
	info, ok := p.AuthInfo.(authInfo)
	return info, ok
}

// arrival ends a unary call whose request does not come.
type arrival struct{ timer *time.Timer }

type arrivalKey struct{}

// tap sees every HTTP/2 stream before anything is done for it, also those that
// are reset at once. It runs on the connection's reader and must not block.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	auth, ok := connectionOf(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the connection has no identity")
	}
	auth.connection.follow()
	if !auth.connection.streams.Allow() {
		s.count(ReasonStreamRate)
		_ = auth.connection.Close()
		return nil, status.Error(codes.ResourceExhausted, "too many streams in too short a time")
	}
	switch info.FullMethodName {
	case monitoring.AgentGatewayService_Hello_FullMethodName,
		monitoring.AgentGatewayService_GetConfig_FullMethodName,
		monitoring.AgentGatewayService_PushStatus_FullMethodName:
		return s.limitCall(ctx), nil
	}
	return ctx, nil
}

// limitCall bounds how long a unary call may take to arrive and to end.
func (s *Server) limitCall(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Call)
	timer := time.AfterFunc(s.limits.Arrival, cancel)
	context.AfterFunc(ctx, func() {
		timer.Stop()
		cancel()
	})
	return context.WithValue(ctx, arrivalKey{}, arrival{timer})
}

// arrived tells that the request of a unary call is here.
func arrived(ctx context.Context) {
	if a, ok := ctx.Value(arrivalKey{}).(arrival); ok {
		a.timer.Stop()
	}
}
