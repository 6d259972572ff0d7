// Package serve is the command that runs the platform, and the platform as a
// part of another process.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"edgesync/admin"
	"edgesync/certs/ca"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/cmd/state"
	"edgesync/gateway"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/tracing"
)

// The addresses serve listens on unless told otherwise.
const (
	DefaultListen        = ":50052"
	DefaultCAListen      = ":9443"
	DefaultMetricsListen = "127.0.0.1:9464"
)

// Config says which platform is served and where.
type Config struct {
	StateDir string
	// Database is the URL of the platform's database; empty means what the state
	// directory says.
	Database string
	// DatabasePassword, if set, is asked for its password at each connection.
	DatabasePassword func() (string, error)
	// KeysetFile opens a platform in a database from a directory that is empty;
	// empty means that the directory has the keyset.
	KeysetFile string
	// Listen is the gateway's address; port 0 picks a free one.
	Listen string
	// CAListen is that of the enrolment CA, AdminListen that of the admin API over
	// mTLS; empty means none.
	CAListen, AdminListen string
	// MetricsListen is that of metrics and health; empty means none.
	MetricsListen string
	// CertLife is how long the certificates live that are signed here; zero takes
	// the default.
	CertLife time.Duration
	Live
	Logger *slog.Logger
	// EventRetention is how long events are kept; 0 means for good.
	EventRetention time.Duration
	// Tracer follows each stream; nil follows none.
	Tracer *tracing.Tracer
	Now    func() time.Time
}

// Platform is a platform that is being served.
type Platform struct {
	// GatewayAddr and the others are what is listened on; all but the gateway's
	// are nil when nothing is.
	GatewayAddr, CAAddr, AdminAddr, MetricsAddr net.Addr
	// Socket is the path of the admin API.
	Socket string
	// Admin is the admin API in this process.
	Admin adminv1.AdminClient

	config  Config
	state   *state.State
	client  *admin.Client
	gateway *gateway.Server
	guards  *guards
	// renewing holds off a second renewal while one is under way.
	renewing    sync.Mutex
	certificate atomic.Pointer[tls.Certificate]
	// caCertificate is nil when there is no enrolment CA.
	caCertificate atomic.Pointer[tls.Certificate]
	group         *errgroup.Group
	stop          context.CancelFunc
}

// Start opens the platform of a state directory and serves it until ctx ends.
// When it returns everything is listened on. Wait must be called.
func Start(ctx context.Context, config Config) (*Platform, error) {
	opened, err := state.Open(ctx, state.Options{
		Dir: config.StateDir, Database: config.Database, Password: config.DatabasePassword, KeysetFile: config.KeysetFile, CertLife: config.CertLife,
		Logger: config.Logger, Now: config.Now,
	})
	if err != nil {
		return nil, err
	}
	p := &Platform{config: config, state: opened, Socket: state.Socket(config.StateDir), guards: newGuards(config.Logger)}
	p.guards.allow(config.Allow)
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *Platform) start(ctx context.Context) error {
	var err error
	if p.client, err = admin.InProcess(p.state.Core, admin.WithLogger(p.config.Logger)); err != nil {
		return err
	}
	p.Admin = p.client
	listeners, err := p.listen(ctx)
	if err != nil {
		return err
	}
	server, enrolment, err := p.servers(ctx)
	if err != nil {
		return errors.Join(err, listeners.close())
	}
	ctx, p.stop = context.WithCancel(ctx)
	p.group, ctx = errgroup.WithContext(ctx)
	// When an authority above them is replaced, the servers' certificates follow.
	forget := p.state.Core.OnAuthorities(func() {
		if err := p.renew(ctx); err != nil && ctx.Err() == nil {
			p.config.Logger.Error("renew server certificates", "error", err)
		}
	})
	p.group.Go(func() error { defer forget(); p.keepRenewed(ctx); return nil })
	p.group.Go(func() error { return server.Serve(ctx, listeners.gateway) })
	if enrolment != nil {
		p.group.Go(func() error { return enrolment.Serve(ctx, listeners.ca) })
	}
	p.group.Go(func() error { return admin.NewServer(p.state.Core, p.config.Logger).Serve(ctx, listeners.admin) })
	p.group.Go(func() error { return p.state.Core.Follow(ctx) })
	if age := p.config.EventRetention; age > 0 {
		p.group.Go(func() error { p.state.Core.KeepEvents(ctx, age); return nil })
	}
	if listeners.operators != nil {
		p.group.Go(func() error {
			return admin.NewServer(p.state.Core, p.config.Logger).ServeTLS(ctx, listeners.operators, p.certificate.Load)
		})
	}
	if listeners.metrics != nil {
		handler := metricsHandler(&readiness{ping: p.state.Core.Ping}, p.state.Core.Collector(), server.Collector(), p.guards.refused, cmdutil.CertificateExpiry(
			"edgesync_gateway_certificate_expiry_timestamp_seconds", "When the gateway's certificate ends, in unix time.", p.certificate.Load))
		p.group.Go(func() error { p.state.Core.KeepCensus(ctx); return nil })
		p.group.Go(func() error { return cmdutil.ServeHTTP(ctx, listeners.metrics, handler) })
	}
	p.log()
	return nil
}

// servers makes the gateway and, if it is listened for, the enrolment CA.
func (p *Platform) servers(ctx context.Context) (*gateway.Server, *ca.Server, error) {
	if err := p.renew(ctx); err != nil {
		return nil, nil, err
	}
	server, err := gateway.New(gateway.Options{
		Platform: p.state.Core, Issuers: p.state.Core.Issuers(), Certificate: p.certificate.Load,
		Logger: p.config.Logger, Now: p.config.Now, Limits: p.config.Limits.gateway(), Tracer: p.config.Tracer,
	})
	if err != nil {
		return nil, nil, err
	}
	p.gateway = server
	enrolment, err := p.enrolmentCA(ctx)
	return server, enrolment, err
}

// listeners are opened before anything else, so that a port that is taken leaves
// nothing half started.
type listeners struct {
	gateway, ca, admin, operators, metrics net.Listener
}

func (l listeners) close() error {
	var err error
	for _, one := range []net.Listener{l.gateway, l.ca, l.admin, l.operators, l.metrics} {
		if one != nil {
			err = errors.Join(err, one.Close())
		}
	}
	return err
}

func (p *Platform) listen(ctx context.Context) (l listeners, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.gateway, err = p.open(ctx, "gateway", p.config.Listen, &p.guards.gateway); err != nil {
		return l, err
	}
	p.GatewayAddr = l.gateway.Addr()
	if p.config.CAListen != "" {
		if l.ca, err = p.open(ctx, "enrolment CA", p.config.CAListen, &p.guards.ca); err != nil {
			return l, err
		}
		p.CAAddr = l.ca.Addr()
	}
	if p.config.AdminListen != "" {
		if l.operators, err = p.open(ctx, "admin", p.config.AdminListen, &p.guards.admin); err != nil {
			return l, err
		}
		p.AdminAddr = l.operators.Addr()
	}
	if p.config.MetricsListen != "" {
		if l.metrics, err = p.open(ctx, "metrics", p.config.MetricsListen, &p.guards.metrics); err != nil {
			return l, err
		}
		p.MetricsAddr = l.metrics.Addr()
	}
	l.admin, err = admin.Listen(p.Socket)
	return l, err
}

// open listens behind a guard.
func (p *Platform) open(ctx context.Context, what, addr string, guard *guard) (net.Listener, error) {
	listener, err := cmdutil.Listen(ctx, what, addr)
	if err != nil {
		return nil, err
	}
	return guard.listener(listener), nil
}

func (p *Platform) log() {
	metrics, enrolment := "", ""
	if p.MetricsAddr != nil {
		metrics = p.MetricsAddr.String()
	}
	if p.CAAddr != nil {
		enrolment = p.CAAddr.String()
	}
	p.config.Logger.Info("platform is served", "gateway", p.GatewayAddr.String(), "enrolment_ca", enrolment, "metrics", metrics, "socket", p.Socket)
}

// Stop ends the platform as the end of Start's context does.
func (p *Platform) Stop() { p.stop() }

// Wait returns when everything has ended: streams under way were answered, the
// store is closed and the state directory free.
func (p *Platform) Wait() error {
	err := p.group.Wait()
	p.stop()
	return errors.Join(err, p.close())
}

func (p *Platform) close() error {
	var err error
	if p.client != nil {
		err = p.client.Close()
	}
	return errors.Join(err, p.state.Close())
}

// enrolmentCA makes the CA that answers on CAListen, or nil.
func (p *Platform) enrolmentCA(ctx context.Context) (*ca.Server, error) {
	if p.config.CAListen == "" {
		return nil, nil
	}
	platform, err := p.Admin.GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	if err != nil {
		return nil, err
	}
	return ca.New(ca.Options{
		Platform: p.state.Core.Enrolment(), Addr: platform.GetCaAddr(), Certificate: p.caCertificate.Load,
		Logger: p.config.Logger, Now: p.config.Now,
	})
}

// renew makes sure of the certificates of the gateway and of the enrolment CA;
// connections made from then on see them.
func (p *Platform) renew(ctx context.Context) error {
	p.renewing.Lock()
	defer p.renewing.Unlock()
	if p.config.CAListen != "" {
		found, made, err := identity.EnsureCA(ctx, p.Admin, p.config.StateDir, p.config.Now())
		if err != nil {
			return err
		}
		if made {
			p.config.Logger.Info("certificate of the enrolment CA issued", "expires", found.Chain[0].NotAfter)
		}
		p.caCertificate.Store(found.TLSCertificate())
	}
	found, made, err := identity.EnsureGateway(ctx, p.Admin, p.config.StateDir, p.config.Now())
	if err != nil {
		return err
	}
	if made {
		p.config.Logger.Info("certificate of the gateway issued", "expires", found.Chain[0].NotAfter)
	}
	p.certificate.Store(found.TLSCertificate())
	return nil
}

// renewCheck bounds how long a clock that jumped or a certificate that a
// bootstrap replaced goes unnoticed.
const renewCheck = 10 * time.Minute

// checkEvery is short beside a certificate's life, of which a third is left when
// it is due.
func (c Config) checkEvery() time.Duration {
	if c.CertLife > 0 {
		return min(renewCheck, c.CertLife/10)
	}
	return renewCheck
}

func (p *Platform) keepRenewed(ctx context.Context) {
	ticker := time.NewTicker(p.config.checkEvery())
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := errors.Join(p.state.Core.EndOverlaps(ctx), p.renew(ctx))
		switch {
		case err != nil && ctx.Err() == nil && !failing:
			p.config.Logger.Error("renew server certificates and end overlaps", "error", err)
		case err == nil && failing:
			p.config.Logger.Info("server certificates are well again")
		}
		failing = err != nil
	}
}
