package core

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"edgesync/certs"
	"edgesync/dire"
	"edgesync/seal"
)

// Options are what a Core is made of. Store and Keyset are required; every
// other field left zero gets its default.
type Options struct {
	Store Store
	// Keyset seals authority keys and credentials.
	Keyset *seal.Keyset
	// Notifier reaches the other processes on the store: the store itself if it
	// can, else there are none.
	Notifier Notifier
	Logger   *slog.Logger
	Now      func() time.Time
	// GatewayID is how this platform names its gateway to clients.
	GatewayID string
	// HeartbeatInterval and ConfigPollInterval are what services are told.
	HeartbeatInterval  time.Duration
	ConfigPollInterval time.Duration
	// OfflineAfter is how long a service may be silent.
	OfflineAfter time.Duration
	// LeafLife is how long the identities signed here live.
	LeafLife time.Duration
	// Relay connects the processes that serve one platform; without one this is
	// the only one.
	Relay Relay
	// AnswerWithin is how long a connected service may take to acknowledge a
	// command, ReconnectWithin how long one that is not connected and was heard of
	// lately, and SilentFor how long either may then say nothing of it.
	AnswerWithin, ReconnectWithin, SilentFor time.Duration
}

// The defaults of Options.
const (
	DefaultHeartbeatInterval  = 30 * time.Second
	DefaultConfigPollInterval = 60 * time.Second
	DefaultOfflineAfter       = 2 * time.Minute
	DefaultLeafLife           = 30 * 24 * time.Hour
	DefaultGatewayID          = "agent-gateway"
	DefaultAnswerWithin       = 5 * time.Second
	DefaultReconnectWithin    = 2 * time.Second
	DefaultSilentFor          = 2 * time.Minute
)

// Core is the platform's use cases over one store. It is safe for concurrent
// use. Before the bootstrap every use case but Bootstrap is refused.
type Core struct {
	store    Store
	notifier Notifier
	keyset   *seal.Keyset
	log      *slog.Logger
	options  Options

	// administration serialises what changes tenants as a whole: making one
	// takes several steps in two places.
	administration sync.Mutex

	// trust is held while what handshakes accept is brought in step with the
	// store: what was read before a change must not undo it. It comes before mu.
	trust sync.Mutex

	mu       sync.RWMutex
	platform *platform
	lanes    map[uuid.UUID]*lane

	configs  configCache
	watchers watchers
	// lines are the ControlStreams of services; relay, if set, tells the other
	// processes of the platform.
	lines    lines
	relay    func(context.Context, Notice) error
	pulses   pulses
	refusals refusals
	// revocations and authorities tell of what has changed.
	revocations hooks[certs.Revocation]
	authorities hooks[struct{}]
	metrics     *metrics
	rules       dire.Rules
}

// New opens the platform a store holds. One that is not bootstrapped yet is
// fine; one whose platform tenant is not what a bootstrap makes is refused. A
// tenant whose making or removal was cut short is cleared away.
func New(ctx context.Context, options Options) (*Core, error) {
	if options.Store == nil || options.Keyset == nil {
		return nil, errors.New("open platform: the store or the keyset is missing")
	}
	c := &Core{
		store: options.Store, keyset: options.Keyset, log: options.Logger,
		options: withDefaults(options),
		lanes:   map[uuid.UUID]*lane{},
		metrics: newMetrics(),
		rules:   dire.DefaultRules(),
	}
	if c.notifier = options.Notifier; c.notifier == nil {
		c.notifier = notifierOf(options.Store)
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	if options.Relay != nil {
		c.relay = options.Relay.Join(c.deliver)
	} else if c.notifier != Notifier(alone{}) {
		c.relay = c.relayed
	}
	if c.bootstrapped() {
		if err := c.resumeRemovals(ctx); err != nil {
			return nil, err
		}
		if err := c.EndOverlaps(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func withDefaults(o Options) Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.GatewayID == "" {
		o.GatewayID = DefaultGatewayID
	}
	if o.HeartbeatInterval <= 0 {
		o.HeartbeatInterval = DefaultHeartbeatInterval
	}
	if o.ConfigPollInterval <= 0 {
		o.ConfigPollInterval = DefaultConfigPollInterval
	}
	if o.OfflineAfter <= 0 {
		o.OfflineAfter = DefaultOfflineAfter
	}
	if o.LeafLife <= 0 {
		o.LeafLife = DefaultLeafLife
	}
	if o.AnswerWithin <= 0 {
		o.AnswerWithin = DefaultAnswerWithin
	}
	if o.ReconnectWithin <= 0 {
		o.ReconnectWithin = DefaultReconnectWithin
	}
	if o.SilentFor <= 0 {
		o.SilentFor = DefaultSilentFor
	}
	return o
}

// Issuers are the issuing keys whose identities are admitted, kept up to date
// with the tenants; nil before the bootstrap.
func (c *Core) Issuers() *certs.Issuers {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.platform == nil {
		return nil
	}
	return c.platform.issuers
}

// Collector is what the platform counts.
func (c *Core) Collector() prometheus.Collector { return c.metrics }

// now is the clock as times are stored: UTC, to the microsecond, which every
// store can keep.
func (c *Core) now() time.Time {
	return c.options.Now().UTC().Truncate(time.Microsecond)
}
