package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"edgesync/certs"
)

// admissionLife bounds how long an answer is remembered, so that a revocation
// made elsewhere on the same store ends a live stream within a second.
const admissionLife = 500 * time.Millisecond

// admission is what a peer turned out to be.
type admission struct {
	tenant  Tenant
	service SyncService
	// known is false for a valid identity that has said no Hello yet and was
	// not onboarded here.
	known bool
	// live are the serials of its good certificates; the one its record names is
	// good too.
	live []string
	at   time.Time
}

// Admit says whether a peer may go on: its tenant is active, and its service is
// not revoked, removed or onboarded again with another certificate. It is cheap
// enough to be asked for every message.
func (c *Core) Admit(ctx context.Context, peer certs.Peer) error {
	_, err := c.admit(ctx, peer)
	return err
}

// member admits a peer that is a recorded sync service.
func (c *Core) member(ctx context.Context, peer certs.Peer) (admission, error) {
	a, err := c.admit(ctx, peer)
	if err == nil && !a.known {
		return admission{}, precondition("serve %s: it is not a known sync service: say Hello first", peer.Component)
	}
	return a, err
}

func (c *Core) admit(ctx context.Context, peer certs.Peer) (admission, error) {
	p, err := c.ready()
	if err != nil {
		return admission{}, err
	}
	if peer.Type != certs.TypeSync {
		return admission{}, denied("admit %s: identities of type %q run no sync service", peer.Component, peer.Type)
	}
	if (peer.Class == certs.ClassPlatform) != (peer.TenantID == p.TenantID) {
		return admission{}, denied("admit %s: its class and its tenant disagree", peer.Component)
	}
	// The peer's issuer was found good, so there are only as many lanes as tenants.
	lane := c.lane(peer.TenantID)
	if a, ok := lane.remembered(peer.Component, c.options.Now()); ok && a.refusal(peer) == nil {
		return a, nil
	}
	// What refuses is never an answer from memory: an identity issued a moment
	// ago, elsewhere on the same store, is not to be turned away.
	a, err := c.findPeer(ctx, lane, peer)
	if err != nil {
		return admission{}, err
	}
	err = a.refusal(peer)
	if err != nil && a.ended(peer) {
		p.issuers.Revoke(peer.TenantID, peer.Serial, peer.NotAfter)
	}
	return a, err
}

// remembered answers from memory while that is fresh.
func (l *lane) remembered(component string, now time.Time) (admission, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.admitted[component]
	age := now.Sub(a.at)
	return a, ok && age >= 0 && age < admissionLife
}

// findPeer asks the store, and remembers what it says.
func (c *Core) findPeer(ctx context.Context, lane *lane, peer certs.Peer) (admission, error) {
	now, generation := c.options.Now(), lane.current()
	tenant, err := c.tenantByID(ctx, peer.TenantID)
	var s scope
	if err == nil {
		s, err = c.scopeOf(ctx, tenant)
	}
	if errors.Is(err, ErrNotFound) {
		return admission{}, denied("admit %s: its tenant is no more", peer.Component)
	}
	if err != nil {
		return admission{}, err
	}
	a, err := c.findService(ctx, s, peer.Identity)
	a.at = now
	// Only known services are remembered: their number is bounded.
	if err == nil && a.known {
		lane.remember(generation, func() { lane.admitted[peer.Component] = a })
	}
	return a, err
}

func (c *Core) findService(ctx context.Context, s scope, peer certs.Identity) (admission, error) {
	p, err := c.ready()
	if err != nil {
		return admission{}, err
	}
	component := peer.Component
	a := admission{tenant: s.tenant, known: true}
	err = s.store.View(ctx, func(tx TenantTx) (err error) {
		if a.service, err = tx.ServiceByComponent(ctx, component); err != nil {
			return err
		}
		if a.live, err = liveSerials(ctx, tx, component, c.now()); err != nil || a.holds(peer.Serial) {
			return err
		}
		// Its Hello records it.
		if stray, err := p.stray(ctx, tx, peer); err != nil || !stray {
			return err
		}
		a.live = append(a.live, peer.Serial)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return admission{tenant: s.tenant}, nil
	}
	if err != nil {
		return admission{}, fmt.Errorf("find sync service %s: %w", component, err)
	}
	return a, nil
}

// ended says whether the peer's certificate is of no more use for good, so that
// it can be refused at the handshake already.
func (a admission) ended(peer certs.Peer) bool {
	return a.known && (a.service.State != ServiceActive || !a.holds(peer.Serial))
}

func (a admission) holds(serial string) bool {
	return a.service.CertSerial == serial || slices.Contains(a.live, serial)
}

func (a admission) refusal(peer certs.Peer) error {
	const ask = "ask the platform's operator"
	switch {
	case a.tenant.State != TenantActive:
		return denied("admit %s: its tenant is suspended: %s", peer.Component, ask)
	case !a.known && peer.Class == certs.ClassPlatform:
		return denied("admit %s: the platform has no such sync service", peer.Component)
	case !a.known:
		return nil
	case a.service.State != ServiceActive:
		return denied("admit %s: the sync service is %s: %s", peer.Component, a.service.State, ask)
	case !a.holds(peer.Serial):
		return denied("admit %s: the sync service was onboarded again and has another certificate: install its latest edge package", peer.Component)
	}
	return nil
}
