package core

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/proto/monitoring"
)

// The limits of what a Hello may say; what goes beyond is cut off.
const (
	maxHelloText    = 256
	maxCapabilities = 64
)

// Hello records what a sync service says of itself and tells it who it is. A
// service whose valid certificate is not known yet is recorded; one that was
// revoked or removed is not brought back.
func (c *Core) Hello(ctx context.Context, peer certs.Peer, req *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error) {
	a, err := c.admit(ctx, peer)
	if err != nil {
		return nil, err
	}
	c.metrics.hellos.Inc()
	s, err := c.scopeOf(ctx, a.tenant)
	if err != nil {
		return nil, err
	}
	if a.service, err = c.recordHello(ctx, s, peer, req); err != nil {
		return nil, err
	}
	version, err := c.configVersion(ctx, a)
	if err != nil {
		return nil, err
	}
	return &monitoring.AgentHelloResponse{
		Accepted:             true,
		AgentId:              peer.Component,
		Message:              "welcome",
		GatewayId:            c.options.GatewayID,
		ServerTime:           c.now().Unix(),
		HeartbeatIntervalSec: seconds(c.options.HeartbeatInterval),
		ConfigOutdated:       req.GetConfigVersion() != version,
		TenantId:             a.tenant.ID.String(),
		TenantSlug:           a.tenant.Slug,
	}, nil
}

func (c *Core) recordHello(ctx context.Context, s scope, peer certs.Peer, req *monitoring.AgentHelloRequest) (SyncService, error) {
	p, err := c.ready()
	if err != nil {
		return SyncService{}, err
	}
	var service SyncService
	var ended []Certificate
	var changed bool
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		now := c.now()
		var err error
		service, err = tx.ServiceByComponent(ctx, peer.Component)
		switch {
		case errors.Is(err, ErrNotFound):
			service = newcomer(peer.Identity, now)
		case err != nil:
			return err
		}
		// What admitted the peer may be older than this transaction.
		live, err := liveSerials(ctx, tx, peer.Component, now)
		if err != nil {
			return err
		}
		stray, err := p.stray(ctx, tx, peer.Identity)
		if err != nil {
			return err
		}
		if stray {
			live = append(live, peer.Serial)
		}
		if err := (admission{tenant: s.tenant, service: service, known: true, live: live}).refusal(peer); err != nil {
			return err
		}
		before := service
		if ended = nil; stray {
			if ended, err = adopt(ctx, tx, events, peer.Identity, &service); err != nil {
				return err
			}
		}
		introduce(&service, req)
		service.Endpoint = hostOf(peer.Addr)
		service.LastHeartbeatAt = now
		if service.FirstHelloAt.IsZero() {
			service.FirstHelloAt = now
		}
		if changed = announces(before, service, now, c.options.OfflineAfter); changed {
			events.add(Component(peer), helloEvent(service, before, peer))
		}
		return tx.PutService(ctx, service)
	})
	if err != nil {
		return SyncService{}, doing(err, "record hello of %s", peer.Component)
	}
	if changed {
		c.invalidate(ctx, s.tenant.ID, service.ID)
	}
	if len(ended) > 0 {
		return service, c.refuse(ctx, onlyThose(s.tenant.ID, peer.Type, peer.Component, ended), ended)
	}
	return service, nil
}

// newcomer is a service that was not onboarded here, but holds a certificate of
// its tenant's authority.
func newcomer(identity certs.Identity, now time.Time) SyncService {
	return SyncService{
		ID: uuid.New(), Name: identity.Component, ComponentID: identity.Component, Partition: identity.Partition,
		Type: ServiceOnPrem, State: ServiceActive,
		CertSerial: identity.Serial, CertExpiresAt: identity.NotAfter, CreatedAt: now,
	}
}

func introduce(service *SyncService, req *monitoring.AgentHelloRequest) {
	service.Version = clean(req.GetVersion(), maxHelloText)
	service.Hostname = clean(req.GetHostname(), maxHelloText)
	service.OS = clean(req.GetOs(), maxHelloText)
	service.Arch = clean(req.GetArch(), maxHelloText)
	capabilities := req.GetCapabilities()
	capabilities = capabilities[:min(len(capabilities), maxCapabilities)]
	service.Capabilities = make([]string, 0, len(capabilities))
	for _, capability := range capabilities {
		if capability = clean(capability, maxHelloText); capability != "" {
			service.Capabilities = append(service.Capabilities, capability)
		}
	}
}

// announces says whether a Hello is worth an event: a client that says Hello
// over and over with nothing new must not fill the store.
func announces(before, after SyncService, now time.Time, offlineAfter time.Duration) bool {
	return before.FirstHelloAt.IsZero() ||
		now.Sub(before.LastHeartbeatAt) >= offlineAfter ||
		before.Version != after.Version || before.Hostname != after.Hostname ||
		before.OS != after.OS || before.Arch != after.Arch ||
		!slices.Equal(before.Capabilities, after.Capabilities)
}

func helloEvent(service, before SyncService, peer certs.Peer) Event {
	message := "sync service " + service.Name + " connected"
	if before.FirstHelloAt.IsZero() {
		message = "sync service " + service.Name + " connected for the first time"
	}
	return Event{
		Type: "service.hello", ServiceID: service.ID, Message: message,
		Details: map[string]string{"version": service.Version, "hostname": service.Hostname, "address": peer.Addr},
	}
}
