package core

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"edgesync/certs"
	"edgesync/certs/ca"
	"edgesync/certs/issue"
)

// recoveryGrace is how long after its end a certificate can be renewed, and so
// how long its authority has to be known.
const recoveryGrace = ca.RenewalGrace

// Rotation is what replacing an authority came to.
type Rotation struct {
	// Tenant is the slug, empty for the root.
	Tenant         string
	OldKeyID, Next string
	// EndsAt is when the old one stops being accepted.
	EndsAt time.Time
}

// OnAuthorities has tell called when the platform's own certificates are to be
// made anew because an authority above them was replaced, until stop is called.
// A rotation waits for tell before it is answered, so that who asked for it can
// rely on the old certificates being presented no longer.
func (c *Core) OnAuthorities(tell func()) (stop func()) {
	return c.authorities.add(func(struct{}) { tell() })
}

// RotateTenant gives a tenant, or the platform, a new intermediate. The old one
// is accepted until the last certificate it signed has ended and can be renewed
// no more. With leaked there is no overlap: every identity it signed is refused
// from now on.
func (c *Core) RotateTenant(ctx context.Context, actor Actor, slug string, leaked bool) (Rotation, error) {
	done, err := c.administer(ctx)
	if err != nil {
		return Rotation{}, err
	}
	defer done()
	s, err := c.scope(ctx, slug)
	if err != nil {
		return Rotation{}, err
	}
	all, err := c.storedAuthorities(ctx)
	if err != nil {
		return Rotation{}, err
	}
	next, err := c.nextIntermediate(s.tenant, all)
	if err != nil {
		return Rotation{}, err
	}
	rotation := Rotation{Tenant: slug, Next: next.KeyID, EndsAt: c.now()}
	if !leaked {
		if rotation.EndsAt, err = c.lastEnd(ctx, s); err != nil {
			return Rotation{}, err
		}
	}
	changed := []Authority{next}
	for _, a := range all {
		if a.TenantID != s.tenant.ID || a.Kind == AuthorityRoot || a.State == AuthorityEnded {
			continue
		}
		if a.State == AuthorityActive {
			rotation.OldKeyID = a.KeyID
		}
		if leaked || a.State == AuthorityActive {
			changed = append(changed, retire(a, rotation.EndsAt, leaked))
		}
	}
	if err := c.putAuthorities(ctx, changed); err != nil {
		return Rotation{}, err
	}
	// It is done, and has to count here even if nobody waits for the answer.
	ctx = context.WithoutCancel(ctx)
	if s.tenant.IsPlatform {
		defer c.authorities.tell(struct{}{})
	}
	if err := c.adopt(ctx, s.tenant, changed); err != nil {
		return Rotation{}, err
	}
	if err := c.recordRotation(ctx, actor, s, rotation, leaked); err != nil {
		return Rotation{}, err
	}
	return rotation, nil
}

// nextIntermediate makes a tenant's new intermediate, signed by every root that
// is accepted.
func (c *Core) nextIntermediate(tenant Tenant, all []Authority) (Authority, error) {
	roots, err := c.openRoots(all)
	if err != nil {
		return Authority{}, err
	}
	var made *issue.Authority
	kind := AuthorityTenant
	if tenant.IsPlatform {
		kind = AuthorityPlatform
		made, err = roots[0].NewPlatformIntermediate(tenant.Slug, c.now())
	} else {
		made, err = roots[0].NewTenantIntermediate(tenant.Slug, c.now())
	}
	if err != nil {
		return Authority{}, err
	}
	row, err := c.sealAuthority(kind, tenant.ID, made, c.now())
	if err != nil {
		return Authority{}, err
	}
	row.CrossCertificates, err = c.crossSign(roots[1:], made.Certificate)
	return row, err
}

// rootSigner is a root with when it ends; zero for the one in use.
type rootSigner struct {
	*issue.Authority
	endsAt time.Time
}

// openRoots opens the roots that are accepted, the one in use first.
func (c *Core) openRoots(all []Authority) ([]rootSigner, error) {
	var roots []rootSigner
	for _, a := range all {
		if a.Kind != AuthorityRoot || c.over(a) {
			continue
		}
		opened, err := c.unsealAuthority(a)
		if err != nil {
			return nil, err
		}
		roots = append(roots, rootSigner{opened.Authority, a.EndsAt})
	}
	slices.SortStableFunc(roots, func(a, b rootSigner) int { return a.endsAt.Compare(b.endsAt) })
	if len(roots) == 0 || !roots[0].endsAt.IsZero() {
		return nil, fmt.Errorf("find active root: %w", ErrNotFound)
	}
	return roots, nil
}

// crossSign has retiring roots sign an intermediate, each until its own end, so
// that whoever knows only the old root still finds a way until then and not
// after.
func (c *Core) crossSign(roots []rootSigner, intermediate *x509.Certificate) ([]byte, error) {
	var der []byte
	for _, root := range roots {
		until := root.endsAt
		if intermediate.NotAfter.Before(until) {
			until = intermediate.NotAfter
		}
		certificate, err := root.Certify(intermediate, c.now(), until)
		if err != nil {
			return nil, err
		}
		der = append(der, certificate.Raw...)
	}
	return der, nil
}

// retire is an authority's row once another has taken its place.
func retire(a Authority, endsAt time.Time, leaked bool) Authority {
	a.State, a.EndsAt = AuthorityRetiring, endsAt
	if leaked {
		a.State, a.SealedKey, a.CrossCertificates = AuthorityEnded, nil, nil
	}
	return a
}

func (c *Core) putAuthorities(ctx context.Context, rows []Authority) error {
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		for _, row := range rows {
			if err := tx.PutAuthority(ctx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record authorities: %w", err)
	}
	return nil
}

// adopt has handshakes follow what changed of a tenant's authorities, and the
// platform use its own.
func (c *Core) adopt(ctx context.Context, tenant Tenant, changed []Authority) error {
	c.trust.Lock()
	defer c.trust.Unlock()
	issuers := c.Issuers()
	for _, a := range changed {
		if c.over(a) {
			issuers.Remove(a.KeyID)
			continue
		}
		if err := accept(issuers, tenant, a); err != nil {
			return err
		}
	}
	if !tenant.IsPlatform {
		return nil
	}
	return c.reopen(ctx)
}

// reopen reads the platform's own authorities again.
func (c *Core) reopen(ctx context.Context) error {
	all, err := c.storedAuthorities(ctx)
	if err != nil {
		return err
	}
	p, err := c.ready()
	if err != nil {
		return err
	}
	fresh := &platform{Platform: p.Platform, issuers: p.issuers}
	if err := c.openOwn(fresh, all); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.platform = fresh
	return nil
}

// recordRotation keeps that an authority was replaced. Of one that leaked every
// certificate ends with it.
func (c *Core) recordRotation(ctx context.Context, actor Actor, s scope, r Rotation, leaked bool) error {
	var ended []Certificate
	err := c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		ended = nil
		message := "authority of tenant " + s.tenant.Slug + " replaced; the old one ends at " + r.EndsAt.Format(time.RFC3339)
		if leaked {
			message = "authority of tenant " + s.tenant.Slug + " revoked and replaced: every identity it signed is refused"
			// None can be of the new key yet.
			var err error
			if ended, err = endCertificates(ctx, tx, "", reasonKeyLost, c.now()); err != nil {
				return err
			}
		}
		events.add(actor, Event{
			Type: "authority.rotated", Severity: SeverityWarning, Message: message,
			Details: map[string]string{"old_key_id": r.OldKeyID, "new_key_id": r.Next, "ends_at": r.EndsAt.Format(time.RFC3339)},
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("record rotation of authority of tenant %s: %w", s.tenant.Slug, err)
	}
	if !leaked {
		return nil
	}
	return c.refuse(ctx, certs.Revocation{TenantID: s.tenant.ID}, ended)
}

// lastEnd is when the last certificate a tenant holds can be used no more, not
// even to be renewed.
func (c *Core) lastEnd(ctx context.Context, s scope) (time.Time, error) {
	now := c.now()
	last := now
	err := s.store.View(ctx, func(tx TenantTx) error {
		certificates, err := tx.Certificates(ctx, "", now.Add(-recoveryGrace))
		if err != nil {
			return err
		}
		for _, certificate := range certificates {
			if end := certificate.NotAfter.Add(recoveryGrace); end.After(last) {
				last = end
			}
		}
		// A service may hold a certificate that was signed before there was a
		// register of them.
		services, err := tx.Services(ctx)
		for _, service := range services {
			if end := service.CertExpiresAt.Add(recoveryGrace); service.State == ServiceActive && end.After(last) {
				last = end
			}
		}
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("find last certificate of tenant %s: %w", s.tenant.Slug, err)
	}
	return last, nil
}

// EndOverlaps ends the authorities whose time is over: their keys are deleted.
// They were not accepted since that time already.
func (c *Core) EndOverlaps(ctx context.Context) error {
	all, err := c.storedAuthorities(ctx)
	if err != nil {
		return err
	}
	var ended []Authority
	for _, a := range all {
		if a.State == AuthorityRetiring && c.over(a) {
			ended = append(ended, retire(a, a.EndsAt, true))
		}
	}
	if len(ended) == 0 {
		return nil
	}
	if err := c.putAuthorities(ctx, ended); err != nil {
		return err
	}
	c.trust.Lock()
	defer c.trust.Unlock()
	for _, a := range ended {
		if a.Kind == AuthorityRoot {
			c.Issuers().RemoveRoot(a.KeyID)
		} else {
			c.Issuers().Remove(a.KeyID)
		}
		c.log.Info("authority ended", "key_id", a.KeyID, "kind", a.Kind, "tenant_id", a.TenantID)
	}
	return c.reopen(ctx)
}
