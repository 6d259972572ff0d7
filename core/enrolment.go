package core

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/ca"
)

// maxIssuedHourly bounds how often a component is given a new certificate, beside
// the renewals that its life takes: one that asks over and over must not fill the
// store.
const maxIssuedHourly = 30

// maxIssued is maxIssuedHourly and twice the renewals of an hour. One falls due at
// two thirds of a life at the latest.
func (c *Core) maxIssued() int {
	return maxIssuedHourly + int(2*time.Hour/(c.options.LeafLife/2))
}

// mayIssue refuses a component that was given too many certificates lately.
func (c *Core) mayIssue(ctx context.Context, tx TenantTx, component string, now time.Time) error {
	count, err := tx.CountCertificates(ctx, component, now.Add(-time.Hour))
	if err != nil {
		return err
	}
	if count >= c.maxIssued() {
		return orRefused(nil, "the component was given too many certificates within an hour")
	}
	return nil
}

// Enrolment is the platform as the enrolment CA needs it.
type Enrolment struct{ core *Core }

var _ ca.Platform = Enrolment{}

// Enrolment is this platform for the enrolment CA. It is for one that is
// bootstrapped.
func (c *Core) Enrolment() Enrolment { return Enrolment{c} }

// Issuers implements ca.Platform.
func (e Enrolment) Issuers() *certs.Issuers { return e.core.Issuers() }

// Roots implements ca.Platform.
func (e Enrolment) Roots(context.Context) ([]*x509.Certificate, error) {
	p, err := e.core.ready()
	if err != nil {
		return nil, err
	}
	return p.roots, nil
}

// Own implements ca.Platform.
func (e Enrolment) Own(ctx context.Context) (ca.Tenant, error) {
	p, err := e.core.ready()
	if err != nil {
		return ca.Tenant{}, err
	}
	return e.TenantByID(ctx, p.TenantID)
}

// TenantBySlug implements ca.Platform.
func (e Enrolment) TenantBySlug(ctx context.Context, slug string) (ca.Tenant, error) {
	tenant, err := e.core.lookUpTenant(ctx, slug)
	return e.describe(ctx, tenant, err)
}

// TenantByTokenKey implements ca.Platform.
func (e Enrolment) TenantByTokenKey(ctx context.Context, keyID string) (ca.Tenant, error) {
	var tenant Tenant
	err := e.core.store.Platform().View(ctx, func(tx PlatformTx) error {
		key, err := tx.TokenKeyByID(ctx, keyID)
		if err != nil {
			return err
		}
		tenant, err = tx.Tenant(ctx, key.TenantID)
		return err
	})
	return e.describe(ctx, tenant, err)
}

// TenantByID implements ca.Platform.
func (e Enrolment) TenantByID(ctx context.Context, id uuid.UUID) (ca.Tenant, error) {
	tenant, err := e.core.tenantByID(ctx, id)
	return e.describe(ctx, tenant, err)
}

// describe is an active tenant as the CA sees it.
func (e Enrolment) describe(ctx context.Context, tenant Tenant, err error) (ca.Tenant, error) {
	c := e.core
	if errors.Is(err, ErrNotFound) || err == nil && tenant.State != TenantActive {
		return ca.Tenant{}, ca.ErrNotFound
	}
	if err != nil {
		return ca.Tenant{}, err
	}
	p, err := c.ready()
	if err != nil {
		return ca.Tenant{}, err
	}
	active, err := c.activeIssuer(ctx, tenant)
	if err != nil {
		return ca.Tenant{}, err
	}
	key, err := c.readTokenKey(ctx, tenant)
	if errors.Is(err, ErrNotFound) {
		_, key.KeyID, err = c.tokenKey(ctx, tenant)
	}
	if err != nil {
		return ca.Tenant{}, err
	}
	return ca.Tenant{
		ID: tenant.ID, Slug: tenant.Slug, Platform: tenant.IsPlatform, TrustDomain: p.TrustDomain,
		IssuerKeyID: active.KeyID, TokenKeyID: key.KeyID, Life: c.options.LeafLife,
	}, nil
}

// activeIssuer is the intermediate that issues a tenant's identities now.
func (c *Core) activeIssuer(ctx context.Context, tenant Tenant) (Authority, error) {
	var all []Authority
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.TenantAuthorities(ctx, tenant.ID)
		return err
	})
	if err != nil {
		return Authority{}, fmt.Errorf("read authorities of tenant %s: %w", tenant.Slug, err)
	}
	kind := AuthorityTenant
	if tenant.IsPlatform {
		kind = AuthorityPlatform
	}
	return activeOf(all, kind, tenant.ID)
}

// Keys implements ca.Platform.
func (e Enrolment) Keys(ctx context.Context, tenant ca.Tenant) (ca.Keys, error) {
	c := e.core
	own := Tenant{ID: tenant.ID, Slug: tenant.Slug, IsPlatform: tenant.Platform}
	active, err := c.activeIssuer(ctx, own)
	if err != nil {
		return ca.Keys{}, err
	}
	issuer, err := c.unsealAuthority(active)
	if err != nil {
		return ca.Keys{}, err
	}
	key, _, err := c.tokenKey(ctx, own)
	if err != nil {
		return ca.Keys{}, err
	}
	return ca.Keys{Issuer: issuer.Certificate, Signer: issuer.Key, Token: &key.PublicKey}, nil
}

// within opens a tenant's store, which may be gone since it was described.
func (e Enrolment) within(ctx context.Context, id uuid.UUID) (scope, error) {
	tenant, err := e.core.tenantByID(ctx, id)
	if err == nil && tenant.State != TenantActive {
		err = ErrNotFound
	}
	var s scope
	if err == nil {
		s, err = e.core.scopeOf(ctx, tenant)
	}
	if errors.Is(err, ErrNotFound) {
		return scope{}, ca.ErrNotFound
	}
	return s, err
}

// Redeem implements ca.Platform.
func (e Enrolment) Redeem(ctx context.Context, tenant uuid.UUID, r ca.Redemption) error {
	s, err := e.within(ctx, tenant)
	if err != nil {
		return err
	}
	return e.core.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		now := e.core.now()
		first, err := tx.UseJoinToken(ctx, r.Token.ID, r.Key, now)
		if err != nil {
			return err
		}
		token, err := tx.JoinToken(ctx, r.Token.ID)
		if there, err := found(err); err != nil || !there {
			return orRefused(err, "the token is unknown")
		}
		if !first && !redeemsAgain(token, r.Key, now) {
			return orRefused(nil, "the token was used, cancelled or has ended")
		}
		if token.Component != r.Token.Component || token.Partition != r.Token.Partition {
			return orRefused(nil, "the token is recorded for another component")
		}
		events.add(enroller(r.Token.SPIFFE()), Event{
			Type: "token.redeemed", ServiceID: token.ServiceID, Message: "join token for " + token.Component + " redeemed",
			Details: map[string]string{"component_id": token.Component, "token_id": token.ID, "address": r.Addr, "again": strconv.FormatBool(!first)},
		})
		return nil
	})
}

// redeemsAgain says whether a key that has redeemed a token may have another
// answer: the first may have been lost on its way.
func redeemsAgain(token JoinToken, key string, now time.Time) bool {
	age := now.Sub(token.UsedAt)
	return !token.UsedAt.IsZero() && token.CancelledAt.IsZero() && token.UsedKey == key && age >= 0 && age < ca.RedeemAgain
}

func orRefused(err error, reason string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ca.ErrRefused, reason)
}

func enroller(spiffe string) Actor { return Actor{Name: spiffe, Origin: "ca"} }

// UseOnce implements ca.Platform.
func (e Enrolment) UseOnce(ctx context.Context, tenant uuid.UUID, id string, until time.Time) (first bool, err error) {
	s, err := e.within(ctx, tenant)
	if err != nil {
		return false, err
	}
	err = s.store.Update(ctx, func(tx TenantTx) error {
		first, err = tx.UseOnce(ctx, id, until)
		return err
	})
	return first, err
}

// Issue implements ca.Platform.
func (e Enrolment) Issue(ctx context.Context, tenant uuid.UUID, leaf, replaced *x509.Certificate) error {
	s, err := e.within(ctx, tenant)
	if err != nil {
		return err
	}
	named, err := certs.ReadLeaf(leaf)
	if err != nil {
		return err
	}
	if named.Type == certs.TypeOperator {
		return e.core.renewOperator(ctx, s, leaf, named, replaced)
	}
	var ended []Certificate
	err = e.core.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		now := e.core.now()
		if err := e.core.mayIssue(ctx, tx, named.Component, now); err != nil {
			return err
		}
		if err := e.core.prune(ctx, tx, tenant); err != nil {
			return err
		}
		if replaced != nil {
			ended, err = renewed(ctx, tx, events, leaf, named, replaced, now)
		} else {
			ended, err = enrolled(ctx, tx, events, leaf, named, now)
		}
		return err
	})
	if err != nil {
		return err
	}
	return e.core.refuse(ctx, onlyThose(tenant, named.Type, named.Component, ended), ended)
}

// enrolled makes a certificate the component's only one. Its key has redeemed a
// token a moment ago, and nobody has cancelled it since.
func enrolled(ctx context.Context, tx TenantTx, events *eventLog, leaf *x509.Certificate, named certs.Identity, now time.Time) ([]Certificate, error) {
	key := ca.KeyHash(leaf.RawSubjectPublicKeyInfo)
	token, err := tx.RedeemedJoinToken(ctx, named.Component, key)
	if there, err := found(err); err != nil || !there {
		return nil, orRefused(err, "no token was redeemed for the key")
	}
	if !redeemsAgain(token, key, now) {
		return nil, orRefused(nil, "the token was cancelled")
	}
	service, err := tx.Service(ctx, token.ServiceID)
	if there, err := found(err); err != nil || !there || service.State == ServiceRemoved {
		return nil, orRefused(err, "the sync service was removed")
	}
	old := service
	service.State, service.Partition = ServiceActive, token.Partition
	service.CertSerial, service.CertExpiresAt = named.Serial, named.NotAfter.UTC()
	ended, err := endCertificates(ctx, tx, named.Component, reasonOnboardedAgain, now)
	if err != nil {
		return nil, err
	}
	if err := tx.AddCertificate(ctx, ownedBy(leaf, named, now)); err != nil {
		return nil, err
	}
	events.concern(service.ID)
	events.add(enroller(named.SPIFFE()), onboardEvent(service, old))
	return ended, tx.PutService(ctx, service)
}

// renewed adds a certificate beside the one it replaces, which goes on: the
// answer may be lost, and streams that use it need not end. All older ones end.
func renewed(ctx context.Context, tx TenantTx, events *eventLog, leaf *x509.Certificate, named certs.Identity, replaced *x509.Certificate, now time.Time) ([]Certificate, error) {
	before := replaced.SerialNumber.String()
	if err := renewable(ctx, tx, before, named); err != nil {
		return nil, err
	}
	service, err := tx.ServiceByComponent(ctx, named.Component)
	if there, err := found(err); err != nil || !there || service.State != ServiceActive {
		return nil, orRefused(err, "the sync service is not active")
	}
	ended, err := endCertificates(ctx, tx, named.Component, reasonSuperseded, now, before)
	if err != nil {
		return nil, err
	}
	if err := tx.AddCertificate(ctx, ownedBy(leaf, named, now)); err != nil {
		return nil, err
	}
	service.CertSerial, service.CertExpiresAt = named.Serial, named.NotAfter.UTC()
	events.concern(service.ID)
	events.add(enroller(named.SPIFFE()), Event{
		Type: "service.renewed", ServiceID: service.ID, Message: "identity of sync service " + service.Name + " renewed",
		Details: map[string]string{"component_id": service.ComponentID, "cert_serial": named.Serial, "replaced_cert_serial": before},
	})
	return ended, tx.PutService(ctx, service)
}

// renewable refuses to renew a certificate that was revoked or is another's.
func renewable(ctx context.Context, tx TenantTx, serial string, named certs.Identity) error {
	kept, err := tx.Certificate(ctx, serial)
	there, err := found(err)
	if err != nil || !there || !kept.RevokedAt.IsZero() || kept.Type != named.Type || kept.Component != named.Component {
		return orRefused(err, "the certificate was revoked")
	}
	return nil
}

// Certificate implements ca.Platform.
func (e Enrolment) Certificate(ctx context.Context, tenant uuid.UUID, serial string) (ca.Record, error) {
	s, err := e.within(ctx, tenant)
	if err != nil {
		return ca.Record{}, err
	}
	record := ca.Record{Serial: serial}
	err = s.store.View(ctx, func(tx TenantTx) error {
		kept, err := tx.Certificate(ctx, serial)
		if there, err := found(err); err != nil || !there {
			record.Revoked = true
			if err == nil {
				err = ca.ErrNotFound
			}
			return err
		}
		record.Revoked = !kept.RevokedAt.IsZero()
		return nil
	})
	return record, err
}

// Revoke implements ca.Platform: a component gives its certificate up.
func (e Enrolment) Revoke(ctx context.Context, tenant uuid.UUID, serial, reason string) error {
	s, err := e.within(ctx, tenant)
	if err != nil {
		return err
	}
	var ended Certificate
	err = e.core.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		ended, err = tx.Certificate(ctx, serial)
		if there, err := found(err); err != nil || !there || !ended.RevokedAt.IsZero() {
			return orRefused(err, "the certificate is unknown or revoked already")
		}
		if err := tx.RevokeCertificate(ctx, serial, clean(reason, maxName), e.core.now()); err != nil {
			return err
		}
		if ended.Type == certs.TypeOperator {
			events.add(enroller(ended.Component), Event{
				Type: "operator.certificate_revoked", Severity: SeverityWarning, Message: "operator " + ended.Component + " gave a certificate up",
				Details: map[string]string{"operator": ended.Component, "cert_serial": serial, "reason": clean(reason, maxName)},
			})
			return nil
		}
		service, err := tx.ServiceByComponent(ctx, ended.Component)
		if there, err := found(err); err != nil || !there {
			return err
		}
		if service.CertSerial == serial {
			service.CertSerial, service.CertExpiresAt = "", time.Time{}
		}
		events.concern(service.ID)
		events.add(enroller(ended.Component), Event{
			Type: "service.certificate_revoked", Severity: SeverityWarning, ServiceID: service.ID,
			Message: "sync service " + service.Name + " gave a certificate up",
			Details: map[string]string{"component_id": ended.Component, "cert_serial": serial, "reason": clean(reason, maxName)},
		})
		return tx.PutService(ctx, service)
	})
	if err != nil {
		return err
	}
	one := []Certificate{ended}
	return e.core.refuse(ctx, onlyThose(tenant, ended.Type, ended.Component, one), one)
}

// Revoked implements ca.Platform.
func (e Enrolment) Revoked(ctx context.Context, tenant uuid.UUID) ([]ca.Revocation, error) {
	s, err := e.within(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var all []ca.Revocation
	err = s.store.View(ctx, func(tx TenantTx) error {
		revoked, err := tx.RevokedCertificates(ctx, e.core.now())
		for _, one := range revoked {
			all = append(all, ca.Revocation{Serial: one.Serial, RevokedAt: one.RevokedAt})
		}
		return err
	})
	return all, err
}

// Refused implements ca.Platform: an attempt is logged and kept among the
// tenant's events, or the platform's when nobody knows whose it was. Repetitions
// within a minute are counted and told with the next.
func (e Enrolment) Refused(ctx context.Context, attempt ca.Attempt) {
	c := e.core
	reason := clean(attempt.Reason, maxHelloText)
	c.metrics.refused.WithLabelValues("enrolment").Inc()
	suppressed, tell := c.refusals.note(refusalKey{attempt.Tenant, attempt.Subject, attempt.Operation, "enrolment"}, c.options.Now())
	if !tell {
		return
	}
	c.log.Warn("refuse enrolment", "subject", attempt.Subject, "operation", attempt.Operation, "reason", reason, "address", attempt.Addr, "repeated", suppressed)
	details := map[string]string{"operation": attempt.Operation, "reason": reason, "address": attempt.Addr}
	if suppressed > 0 {
		details["repeated"] = strconv.Itoa(suppressed)
	}
	actor := enroller(attempt.Subject)
	if host, _, err := net.SplitHostPort(attempt.Addr); err == nil && actor.Name == "" {
		actor.Name = host
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalDeadline)
	defer cancel()
	s, err := e.within(ctx, attempt.Tenant)
	if err != nil {
		s, err = c.platformScope(ctx)
	}
	if err == nil {
		err = c.change(ctx, s, func(_ TenantTx, events *eventLog) error {
			events.add(actor, Event{
				Type: "security.enrolment_refused", Severity: SeverityWarning,
				Message: "refused to " + attempt.Operation + ": " + reason, Details: details,
			})
			return nil
		})
	}
	if err != nil {
		c.log.Error("keep security event", "event_type", "security.enrolment_refused", "error", err)
	}
}
