// Package syncrun is the sync runtime: it asks the gateway which sources it
// has, reads each on a schedule of its own, and streams what it finds. A slow or
// failing source, tenant or gateway delays no other. It knows the wire protocol
// and the adapters it is given; it must not know the platform behind the
// gateway: neither its store nor its rules about devices.
package syncrun

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc/credentials"

	"edgesync/onboarding"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun/source"
)

// NewAdapter makes the reader of one source. Its error says what is wrong with
// the source's settings; each run of the source then fails with it.
type NewAdapter = func(payload.Source, source.Options) (source.Adapter, error)

// Options of New. Zero values mean the defaults named beside them.
type Options struct {
	// Config says who the service is and where its gateway.
	Config onboarding.MinimalConfig
	// Transport authenticates both ends of the connection; by default it is
	// mTLS with the identity that Config names.
	Transport credentials.TransportCredentials
	// Dial opens the connection below Transport; by default over TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	// DataDir is where runs wait for the gateway; by default a temporary
	// directory. OutboxMax bounds its size in bytes (1 GiB).
	DataDir   string
	OutboxMax int64
	// CacheKey is the file of the key under which the configuration is cached in
	// DataDir; by default beside the service's private key. CacheLife is how old
	// a cached one may be (7 days); below zero there is none.
	CacheKey  string
	CacheLife time.Duration

	// Adapters by source type, and what each of them is given.
	Adapters map[string]NewAdapter
	Source   source.Options
	// Egress decides what a service that acts for several tenants may dial; by
	// default nothing but the public internet. A tenant's own service, and
	// adapters that Source gives an HTTP client, are not held to it.
	Egress *source.Egress
	// Once reads each source once and ends: see Runtime.Run.
	Once bool

	Logger *slog.Logger
	// Tracer follows each run; nil follows none.
	Tracer *tracing.Tracer
	// Observe is told of progress. It is called from many goroutines and must
	// return at once.
	Observe func(Event)
	Now     func() time.Time

	// Version and Hostname are what Hello says of this program and its host.
	Version, Hostname string

	// ChunkTarget is how long one results message may become (1 MiB).
	ChunkTarget int

	// Workers is how many sources are read at once (64), WorkersPerTenant how
	// many of one tenant (16); Streams how many runs are sent at once (8),
	// StreamsPerTenant how many of one tenant (2).
	Workers, WorkersPerTenant, Streams, StreamsPerTenant int

	// RunTimeout ends a run that reads for longer (1 h).
	RunTimeout time.Duration
	// StallTimeout ends a stream in which nothing moves for longer (5 min).
	StallTimeout time.Duration
	// ShutdownTimeout is how long streams in flight may take to finish once
	// the context has ended (10 s).
	ShutdownTimeout time.Duration
	// GiveUp is how long Once tries to reach the gateway, and to deliver each
	// run (2 min).
	GiveUp time.Duration
}

// What the gateway's words are replaced by when it does not say or says nothing
// sensible.
const (
	defaultHeartbeat  = 30 * time.Second
	defaultConfigPoll = 60 * time.Second
)

func (o Options) withDefaults() Options {
	setDefault(&o.Config.Partition, "default")
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
	setDefault(&o.Workers, 64)
	setDefault(&o.WorkersPerTenant, 16)
	setDefault(&o.Streams, 8)
	setDefault(&o.StreamsPerTenant, 2)
	setDefault(&o.CacheLife, cacheLife)
	setDefault(&o.RunTimeout, time.Hour)
	setDefault(&o.StallTimeout, 5*time.Minute)
	setDefault(&o.ShutdownTimeout, 10*time.Second)
	setDefault(&o.GiveUp, 2*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Egress == nil {
		o.Egress = &source.Egress{}
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) check() error {
	switch {
	case o.Config.AgentID == "":
		return errors.New("prepare run: the config names no agent_id")
	case o.Config.GatewayAddr == "":
		return errors.New("prepare run: the config names no gateway_addr")
	}
	return nil
}
