package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
)

// gapSlack is how far beside the time between a backup and its restoration a
// certificate may have been issued: one is signed before it is recorded, and
// clocks differ.
const gapSlack = 5 * time.Minute

// SetBackReport is what setting a platform back did beside the rows themselves.
type SetBackReport struct {
	// Tokens is how many open join tokens were cancelled.
	Tokens int
}

// SetBack records in a store that was just filled from a backup that it was. Open
// join tokens are cancelled: they may have been used or cancelled since. Nobody
// may be using the store.
func SetBack(ctx context.Context, store Store, actor Actor, r Restoration) (SetBackReport, error) {
	var report SetBackReport
	var tenants []Tenant
	var own Platform
	err := store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		if own, err = tx.Platform(ctx); err != nil {
			return err
		}
		tenants, err = tx.Tenants(ctx)
		return err
	})
	if err != nil {
		return report, fmt.Errorf("read platform: %w", err)
	}
	for _, tenant := range tenants {
		if tenant.State == TenantRemoving {
			continue
		}
		cancelled, err := setBackTenant(ctx, store, actor, tenant, own, r)
		if err != nil {
			return report, fmt.Errorf("set back tenant %s: %w", tenant.Slug, err)
		}
		report.Tokens += cancelled
	}
	err = store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.PutRestoration(ctx, r) })
	if err != nil {
		return report, fmt.Errorf("record restoration: %w", err)
	}
	return report, nil
}

func setBackTenant(ctx context.Context, store Store, actor Actor, tenant Tenant, own Platform, r Restoration) (cancelled int, err error) {
	handle, err := store.Tenant(ctx, tenant.ID)
	if err != nil {
		return 0, err
	}
	err = handle.Update(ctx, func(tx TenantTx) error {
		events := eventLog{now: r.RestoredAt}
		if tenant.ID == own.TenantID {
			events.add(actor, restoredEvent(r))
		}
		tokens, err := tx.JoinTokens(ctx)
		if err != nil {
			return err
		}
		cancelled = 0
		for _, token := range tokens {
			if !token.UsedAt.IsZero() || !token.CancelledAt.IsZero() || !r.RestoredAt.Before(token.ExpiresAt) {
				continue
			}
			if _, err := tx.CancelJoinTokens(ctx, token.Component, r.RestoredAt); err != nil {
				return err
			}
			events.add(actor, Event{
				Type: "token.cancelled", Severity: SeverityWarning, ServiceID: token.ServiceID,
				Message: "join token for " + token.Component + " cancelled: the platform was restored from a backup",
				Details: map[string]string{"component_id": token.Component, "token_id": token.ID},
			})
			cancelled++
		}
		return tx.AppendEvents(ctx, events.events...)
	})
	return cancelled, err
}

func restoredEvent(r Restoration) Event {
	return Event{
		Type: "platform.restored", Severity: SeverityWarning,
		Message: "platform restored to what it was at " + r.BackupAt.Format(time.RFC3339) +
			": revoke, suspend and remove again what was since then, and say so with `edgesync restore --settled`",
		Details: map[string]string{
			"restoration_id": r.ID.String(), "backup_at": r.BackupAt.Format(time.RFC3339), "restored_at": r.RestoredAt.Format(time.RFC3339),
		},
	}
}

// Restorations are the times the platform was set back to a backup, the oldest
// first.
func (c *Core) Restorations(ctx context.Context) ([]Restoration, error) {
	if _, err := c.ready(); err != nil {
		return nil, err
	}
	return c.storedRestorations(ctx)
}

func (c *Core) storedRestorations(ctx context.Context) ([]Restoration, error) {
	var all []Restoration
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.Restorations(ctx)
		return err
	})
	return all, err
}

// SettleRestorations takes an operator's word that what was revoked between a
// backup and its restoration is revoked again. It returns those that were open.
func (c *Core) SettleRestorations(ctx context.Context, actor Actor) ([]Restoration, error) {
	own, err := c.platformScope(ctx)
	if err != nil {
		return nil, err
	}
	var settled []Restoration
	err = c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		settled = nil
		all, err := tx.Restorations(ctx)
		if err != nil {
			return err
		}
		for _, r := range all {
			if !r.SettledAt.IsZero() {
				continue
			}
			r.SettledAt, r.SettledBy = c.now(), actor.Name
			if err := tx.PutRestoration(ctx, r); err != nil {
				return err
			}
			settled = append(settled, r)
		}
		return nil
	})
	if err != nil || len(settled) == 0 {
		return nil, err
	}
	return settled, c.change(ctx, own, func(_ TenantTx, events *eventLog) error {
		for _, r := range settled {
			events.add(actor, Event{
				Type: "platform.restoration_settled", Message: "what was revoked before the restoration of " + r.RestoredAt.Format(time.RFC3339) + " is revoked again",
				Details: map[string]string{"restoration_id": r.ID.String()},
			})
		}
		return nil
	})
}

// epoch is what services know the platform by: it is another one once the
// platform was set back, and what they delivered since the backup is lost.
func (p *platform) epoch() string {
	if len(p.restorations) == 0 {
		return ""
	}
	return p.restorations[len(p.restorations)-1].ID.String()
}

// stray tells whether a certificate was issued between a backup and its
// restoration: the register of a tenant's certificates, which is that of the
// backup, does not know it. One that was followed by another is none.
func (p *platform) stray(ctx context.Context, tx TenantTx, identity certs.Identity) (bool, error) {
	issued := issuedAt(identity)
	if !slices.ContainsFunc(p.restorations, func(r Restoration) bool {
		return !issued.Before(r.BackupAt.Add(-gapSlack)) && !issued.After(r.RestoredAt.Add(gapSlack))
	}) {
		return false, nil
	}
	if _, err := tx.Certificate(ctx, identity.Serial); !errors.Is(err, ErrNotFound) {
		return false, err
	}
	later, err := tx.CountCertificates(ctx, identity.Component, issued)
	return later == 0, err
}

// issuedAt is when a certificate was signed, to the second.
func issuedAt(identity certs.Identity) time.Time { return identity.NotBefore.UTC().Add(issue.Backdate) }

// adopt records a stray certificate as its component's only one, and returns
// those that it follows.
func adopt(ctx context.Context, tx TenantTx, events *eventLog, identity certs.Identity, service *SyncService) ([]Certificate, error) {
	ended, err := endCertificates(ctx, tx, identity.Component, reasonSuperseded, events.now)
	if err != nil {
		return nil, err
	}
	ended = serviceCertificates(ended, *service, identity.Serial)
	if err := tx.AddCertificate(ctx, adopted(identity)); err != nil {
		return nil, err
	}
	service.CertSerial, service.CertExpiresAt = identity.Serial, identity.NotAfter.UTC()
	events.concern(service.ID)
	events.add(adopter(identity), Event{
		Type: "service.certificate_adopted", ServiceID: service.ID,
		Message: "identity of sync service " + service.Name + ", issued between a backup and its restoration, recorded",
		Details: map[string]string{"component_id": service.ComponentID, "cert_serial": identity.Serial},
	})
	return ended, nil
}

// adopted is a stray certificate as it is kept.
func adopted(identity certs.Identity) Certificate {
	return Certificate{
		Serial: identity.Serial, Issuer: identity.Issuer, Type: identity.Type, Partition: identity.Partition, Component: identity.Component,
		IssuedAt: issuedAt(identity), NotAfter: identity.NotAfter.UTC(),
	}
}

func adopter(identity certs.Identity) Actor { return Actor{Name: identity.SPIFFE(), Origin: "core"} }

// Recognise records a certificate that is to be renewed and that was issued
// between a backup and its restoration, with its service where that is unknown.
func (e Enrolment) Recognise(ctx context.Context, tenant uuid.UUID, identity certs.Identity) error {
	c := e.core
	p, err := c.ready()
	if err != nil || len(p.restorations) == 0 {
		return err
	}
	s, err := e.within(ctx, tenant)
	if err != nil {
		return err
	}
	if identity.Type == certs.TypeOperator {
		_, err := c.adoptOperator(ctx, s, identity)
		_, err = found(err)
		return err
	}
	var ended []Certificate
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		ended = nil
		stray, err := p.stray(ctx, tx, identity)
		if err != nil || !stray {
			return err
		}
		service, err := tx.ServiceByComponent(ctx, identity.Component)
		if errors.Is(err, ErrNotFound) && identity.Class == certs.ClassTenant {
			service, err = newcomer(identity, events.now), nil
		}
		if there, err := found(err); err != nil || !there || service.State != ServiceActive {
			return err
		}
		if ended, err = adopt(ctx, tx, events, identity, &service); err != nil {
			return err
		}
		return tx.PutService(ctx, service)
	})
	if err != nil {
		return err
	}
	return c.refuse(ctx, onlyThose(tenant, identity.Type, identity.Component, ended), ended)
}

// adoptOperator records an operator's stray certificate, or returns ErrNotFound
// for one that is none.
func (c *Core) adoptOperator(ctx context.Context, own scope, identity certs.Identity) (Certificate, error) {
	p, err := c.ready()
	if err != nil {
		return Certificate{}, err
	}
	certificate := adopted(identity)
	var ended []Certificate
	err = c.change(ctx, own, func(tx TenantTx, events *eventLog) error {
		stray, err := p.stray(ctx, tx, identity)
		if err == nil && !stray {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		if ended, err = endCertificates(ctx, tx, identity.Component, reasonSuperseded, events.now); err != nil {
			return err
		}
		events.add(adopter(identity), Event{
			Type: "operator.certificate_adopted", Severity: SeverityWarning,
			Message: "identity of operator " + identity.Component + ", issued between a backup and its restoration, recorded",
			Details: map[string]string{"operator": identity.Component, "cert_serial": identity.Serial},
		})
		return tx.AddCertificate(ctx, certificate)
	})
	if err != nil {
		return Certificate{}, err
	}
	return certificate, c.refuse(ctx, onlyThose(own.tenant.ID, identity.Type, identity.Component, ended), ended)
}
