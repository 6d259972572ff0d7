package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients ask for compressed configurations
	"google.golang.org/grpc/keepalive"

	"edgesync/certs"
	"edgesync/proto/monitoring"
	"edgesync/proto/tracing"
)

// Options are what a Server is made of. Platform, Issuers and Certificate are
// required.
type Options struct {
	Platform Platform
	// Issuers are the keys whose leaves are admitted.
	Issuers *certs.Issuers
	// Certificate is the gateway's own, asked at each handshake.
	Certificate func() *tls.Certificate
	// Logger is slog.Default() unless set.
	Logger *slog.Logger
	// Tracer follows each stream; nil follows none.
	Tracer *tracing.Tracer
	// Now is time.Now unless set. It decides which certificates and which times
	// in updates are good; deadlines run on the real clock.
	Now func() time.Time
	// Limits are DefaultLimits() when zero.
	Limits Limits
}

// Server is the agent-gateway. It serves one listener, once.
type Server struct {
	platform Platform
	issuers  *certs.Issuers
	log      *slog.Logger
	now      func() time.Time
	limits   Limits
	// pace holds the rates of the limits, as they were changed last.
	pace    atomic.Pointer[Limits]
	metrics *metrics
	tracer  *tracing.Tracer
	grpc    *grpc.Server

	// connections counts per component, streams per tenant.
	connections, streams *tally
	// live are the connections, to be ended when their identity is revoked.
	live certs.Live
	// handshakes passes refused handshakes on to the platform.
	handshakes chan handshakeRefusal
	// quiet keeps a flood of refusals out of the log; the metrics have them all.
	quiet rate.Sometimes
	// receivers are the goroutines that wait for a message of a stream.
	receivers sync.WaitGroup
	// stopping is closed when streams without an end of their own are to end.
	stopping chan struct{}
}

// handshakeQueue is how many refused handshakes may wait for the platform;
// beyond it they are only counted.
const handshakeQueue = 256

// New makes a Server.
func New(options Options) (*Server, error) {
	if options.Platform == nil || options.Issuers == nil || options.Certificate == nil {
		return nil, errors.New("make gateway: platform, issuers and certificate are required")
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Limits == (Limits{}) {
		options.Limits = DefaultLimits()
	}
	s := &Server{
		platform: options.Platform, issuers: options.Issuers, log: options.Logger,
		now: options.Now, limits: options.Limits, metrics: newMetrics(), tracer: options.Tracer,
		connections: newTally(options.Limits.Connections), streams: newTally(options.Limits.TenantStreams),
		handshakes: make(chan handshakeRefusal, handshakeQueue),
		quiet:      rate.Sometimes{First: 20, Interval: time.Second},
		stopping:   make(chan struct{}),
	}
	s.pace.Store(&options.Limits)
	config := certs.ServerTLS(options.Issuers, options.Certificate, s.handshakeRefused)
	s.grpc = grpc.NewServer(s.serverOptions(config)...)
	monitoring.RegisterAgentGatewayServiceServer(s.grpc, &service{Server: s})
	return s, nil
}

func (s *Server) serverOptions(config *tls.Config) []grpc.ServerOption {
	l := s.limits
	return []grpc.ServerOption{
		grpc.Creds(newTransport(s, config)),
		grpc.InTapHandle(s.tap),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.streaming),
		grpc.MaxRecvMsgSize(l.Message),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.MaxConcurrentStreams(l.ConnectionStreams),
		grpc.ConnectionTimeout(l.Handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: 30 * time.Second, Timeout: 20 * time.Second,
			MaxConnectionAge: l.ConnectionAge, MaxConnectionAgeGrace: l.ConnectionAgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.Ping, PermitWithoutStream: true}),
	}
}

// Limit changes Connections, TenantStreams, CallRate, CallBurst, StreamRate and
// StreamBurst while it serves; the other limits stay. What is held already stays
// held.
func (s *Server) Limit(limits Limits) {
	s.pace.Store(&limits)
	s.connections.limit.Store(int64(limits.Connections))
	s.streams.limit.Store(int64(limits.TenantStreams))
}

// Collector are the gateway's counters.
func (s *Server) Collector() prometheus.Collector { return s.metrics }

// Serve accepts connections until ctx ends, then takes no more, lets calls in
// flight end within Limits.Drain, cuts off the rest and returns nil. It returns
// earlier, with an error, when the listener breaks. The listener is closed.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	// What is in flight outlives ctx by the time it may take to drain.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer s.platform.OnRevocation(s.live.End)()
	var tasks sync.WaitGroup
	tasks.Go(func() { s.reportHandshakes(background) })
	served := make(chan error, 1)
	tasks.Go(func() { served <- s.grpc.Serve(&trackingListener{Listener: listener, server: s}) })

	var err error
	select {
	case <-ctx.Done():
		s.stop()
	case err = <-served:
		err = fmt.Errorf("serve gateway on %s: %w", listener.Addr(), err)
		s.stop()
	}
	cancel()
	tasks.Wait()
	s.receivers.Wait()
	return err
}

// stop drains under the deadline.
func (s *Server) stop() {
	close(s.stopping)
	deadline := time.AfterFunc(s.limits.Drain, s.grpc.Stop)
	defer deadline.Stop()
	s.grpc.GracefulStop()
}
