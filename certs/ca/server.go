package ca

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"edgesync/certs"
)

// Options are what a Server is made of. Platform, Addr and Certificate are
// required.
type Options struct {
	Platform Platform
	// Addr is host:port as edge hosts reach the CA. A tenant's own name for it is
	// <slug>.<host>.
	Addr string
	// Certificate is the listener's own, asked at each handshake.
	Certificate func() *tls.Certificate
	Logger      *slog.Logger
	Now         func() time.Time
	// Failures is how many refused requests one address may have at once, and
	// FailureEvery how long it takes to be allowed one more.
	Failures     int
	FailureEvery time.Duration
	// HeadWithin is how long a client may take to shake hands, and to send the
	// head of a request.
	HeadWithin time.Duration
}

// The defaults of Options.
const (
	DefaultFailures     = 20
	DefaultFailureEvery = 6 * time.Second
	DefaultHeadWithin   = 10 * time.Second
)

const (
	// requestTimeout bounds reading a request and answering it.
	requestTimeout = 30 * time.Second
	idleTimeout    = time.Minute
	stopTimeout    = 5 * time.Second
	maxHeader      = 16 << 10
)

// Server is the enrolment CA.
type Server struct {
	platform Platform
	host     string
	log      *slog.Logger
	now      func() time.Time
	tls      *tls.Config
	entries  entries
	limits   *limits
	// headWithin is as in Options.
	headWithin time.Duration
}

// New makes a server. It makes no authority before one is asked for.
func New(o Options) (*Server, error) {
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("prepare enrolment CA: %q is not HOST:PORT", o.Addr)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Failures <= 0 {
		o.Failures = DefaultFailures
	}
	if o.FailureEvery <= 0 {
		o.FailureEvery = DefaultFailureEvery
	}
	if o.HeadWithin <= 0 {
		o.HeadWithin = DefaultHeadWithin
	}
	s := &Server{
		headWithin: o.HeadWithin,
		platform:   o.Platform, host: strings.ToLower(host), log: o.Logger, now: o.Now,
		limits: newLimits(o.Failures, o.FailureEvery, o.Now),
	}
	s.tls = s.tlsConfig(o.Certificate)
	return s, nil
}

// Serve answers on a listener until ctx ends, then lets requests under way
// finish within a few seconds. It closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: s.headWithin, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:    func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	served := make(chan struct{})
	var stopping sync.WaitGroup
	stopping.Go(func() {
		select {
		case <-ctx.Done():
		case <-served:
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	server.TLSConfig = s.tls
	err := server.ServeTLS(listener, "", "")
	close(served)
	stopping.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve enrolment CA on %s: %w", listener.Addr(), err)
}

// tlsConfig asks every client for a certificate and wants none. One that is sent
// must be somebody's, now; only one that was revoked goes on, to be told so.
func (s *Server) tlsConfig(certificate func() *tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"h2", "http/1.1"},
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := certificate(); c != nil {
				return c, nil
			}
			return nil, errors.New("present certificate of the enrolment CA: there is none")
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			_, err := s.platform.Issuers().Identify(state.PeerCertificates, s.now())
			switch refusalReason(err) {
			case certs.ReasonRevoked, certs.ReasonSuspended:
				return nil // The request is refused, and told so.
			}
			return err
		},
	}
}
