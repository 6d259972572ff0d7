package core

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"edgesync/certs"
)

// Reasons a certificate ends before its time, beside those of enrolment.
const (
	reasonRevoked = "revoked"
	reasonKeyLost = "authority revoked"
)

// hooks are those to be told of something.
type hooks[T any] struct {
	mu   sync.Mutex
	next int
	all  map[int]func(T)
}

func (h *hooks[T]) add(tell func(T)) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[int]func(T){}
	}
	h.next++
	id := h.next
	h.all[id] = tell
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.all, id)
	}
}

func (h *hooks[T]) tell(what T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, tell := range h.all {
		tell(what)
	}
}

// OnRevocation has tell called with each revocation from now on, once Admit and
// the issuers refuse what it covers, until stop is called. tell must not block.
func (c *Core) OnRevocation(tell func(certs.Revocation)) (stop func()) {
	return c.revocations.add(tell)
}

// refuse makes a revocation count at once, here and in the other processes of
// the platform: calls and handshakes are refused, what is under way ends. What
// the tenant's own rows say must have been changed before. It is kept for the
// handshakes after the next start, too; should that fail, calls are refused then
// all the same.
func (c *Core) refuse(ctx context.Context, r certs.Revocation, ended []Certificate) error {
	if r.Component != "" && r.Serials != nil && len(ended) == 0 {
		return nil
	}
	refusal := Refusal{Revocation: r}
	now := c.now()
	for _, certificate := range ended {
		if !now.Before(certificate.NotAfter) {
			continue // Handshakes refuse it as it is.
		}
		refusal.Ended = append(refusal.Ended, Revocation{TenantID: r.TenantID, Serial: certificate.Serial, NotAfter: certificate.NotAfter})
	}
	c.spread(ctx, refusal)
	if len(refusal.Ended) == 0 {
		return nil
	}
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		for _, one := range refusal.Ended {
			if err := tx.PutRevocation(ctx, one); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record revocation for handshakes: %w", err)
	}
	return nil
}

// spread applies a refusal here and has the others apply it.
func (c *Core) spread(ctx context.Context, refusal Refusal) {
	c.apply(refusal)
	c.publish(ctx, Notice{Refusal: &refusal})
}

// apply has what is remembered, handshakes and what is under way follow a
// refusal.
func (c *Core) apply(refusal Refusal) {
	issuers := c.Issuers()
	if issuers == nil {
		return
	}
	c.refuseNow(issuers, refusal)
	c.lane(refusal.Revocation.TenantID).forgetAdmitted()
	if refusal.State != TenantActive {
		c.revocations.tell(refusal.Revocation)
	}
}

// refuseNow has handshakes follow a refusal.
func (c *Core) refuseNow(issuers *certs.Issuers, refusal Refusal) {
	c.trust.Lock()
	defer c.trust.Unlock()
	tenant := refusal.Revocation.TenantID
	switch refusal.State {
	case TenantActive:
		issuers.Resume(tenant)
	case TenantSuspended:
		issuers.Suspend(tenant)
	case TenantRemoving:
		issuers.RemoveTenant(tenant)
	}
	for _, one := range refusal.Ended {
		issuers.Revoke(one.TenantID, one.Serial, one.NotAfter)
	}
}

func (l *lane) forgetAdmitted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	clear(l.admitted)
}

// refuseStored has handshakes refuse what was revoked and suspended before this
// start.
func refuseStored(issuers *certs.Issuers, tenants []Tenant, revocations []Revocation) {
	for _, r := range revocations {
		issuers.Revoke(r.TenantID, r.Serial, r.NotAfter)
	}
	for _, tenant := range tenants {
		if tenant.State == TenantSuspended {
			issuers.Suspend(tenant.ID)
		}
	}
}

// serviceCertificates adds the certificate a service's record names to those of
// the register: one that was not issued here is in no register.
func serviceCertificates(ended []Certificate, service SyncService, keep string) []Certificate {
	serial := service.CertSerial
	if serial == "" || serial == keep {
		return ended
	}
	for _, certificate := range ended {
		if certificate.Serial == serial {
			return ended
		}
	}
	return append(ended, Certificate{
		Serial: serial, Type: certs.TypeSync, Component: service.ComponentID, NotAfter: service.CertExpiresAt,
	})
}

// serviceRevocation is what revokes all of a service.
func serviceRevocation(tenant uuid.UUID, component string) certs.Revocation {
	return certs.Revocation{TenantID: tenant, Type: certs.TypeSync, Component: component}
}

// onlyThose is what revokes some certificates of a component and no other.
func onlyThose(tenant uuid.UUID, kind certs.Type, component string, ended []Certificate) certs.Revocation {
	r := certs.Revocation{TenantID: tenant, Type: kind, Component: component, Serials: []string{}}
	for _, certificate := range ended {
		r.Serials = append(r.Serials, certificate.Serial)
	}
	return r
}
