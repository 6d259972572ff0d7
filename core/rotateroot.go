package core

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
)

// RotateRoot makes a new root. It signs every intermediate's name and key again,
// so that no leaf has to change; the old root signs them too, until the overlap
// ends, so that who only knows the old one still understands the gateway.
// Everybody whose certificate is signed or renewed meanwhile is given both. With
// leaked there is no overlap: who knows only the old root has to be given the
// new one by hand.
func (c *Core) RotateRoot(ctx context.Context, actor Actor, leaked bool) (Rotation, error) {
	done, err := c.administer(ctx)
	if err != nil {
		return Rotation{}, err
	}
	defer done()
	p, err := c.ready()
	if err != nil {
		return Rotation{}, err
	}
	rotation := Rotation{EndsAt: c.now()}
	if !leaked {
		if rotation.EndsAt, err = c.lastEndOfAll(ctx); err != nil {
			return Rotation{}, err
		}
	}
	root, err := issue.NewRoot(p.TrustDomain, c.now())
	if err != nil {
		return Rotation{}, err
	}
	rotation.Next = certs.KeyID(root.Certificate)
	rows, err := c.underNewRoot(ctx, root, &rotation, leaked)
	if err != nil {
		return Rotation{}, err
	}
	if err := c.putAuthorities(ctx, rows); err != nil {
		return Rotation{}, err
	}
	// It is done, and has to count here even if nobody waits for the answer.
	ctx = context.WithoutCancel(ctx)
	defer c.authorities.tell(struct{}{})
	if err := c.adoptRoot(ctx, root.Certificate, rows); err != nil {
		return Rotation{}, err
	}
	if err := c.recordRootRotation(ctx, actor, rotation, leaked); err != nil {
		return Rotation{}, err
	}
	return rotation, nil
}

// underNewRoot is every authority's row as it stands under a new root.
func (c *Core) underNewRoot(ctx context.Context, root *issue.Authority, rotation *Rotation, leaked bool) ([]Authority, error) {
	all, err := c.storedAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	row, err := c.sealAuthority(AuthorityRoot, uuid.Nil, root, c.now())
	if err != nil {
		return nil, err
	}
	rows := []Authority{row}
	for i, a := range all {
		if a.Kind != AuthorityRoot || a.State == AuthorityEnded {
			continue
		}
		if a.State == AuthorityActive {
			rotation.OldKeyID = a.KeyID
			all[i] = retire(a, rotation.EndsAt, leaked)
		} else if leaked {
			all[i] = retire(a, rotation.EndsAt, true)
		}
		rows = append(rows, all[i])
	}
	retiring, err := c.openRoots(append([]Authority{row}, all...))
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.Kind == AuthorityRoot || c.over(a) {
			continue
		}
		signed, err := c.signAgain(root, retiring[1:], a)
		if err != nil {
			return nil, fmt.Errorf("sign authority %s again: %w", a.KeyID, err)
		}
		rows = append(rows, signed)
	}
	return rows, nil
}

func (c *Core) signAgain(root *issue.Authority, retiring []rootSigner, a Authority) (Authority, error) {
	before, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return Authority{}, err
	}
	after, err := root.Certify(before, c.now(), before.NotAfter)
	if err != nil {
		return Authority{}, err
	}
	a.Certificate = after.Raw
	a.CrossCertificates, err = c.crossSign(retiring, before)
	return a, err
}

// adoptRoot has handshakes take the new root's certificates.
func (c *Core) adoptRoot(ctx context.Context, root *x509.Certificate, rows []Authority) error {
	c.trust.Lock()
	defer c.trust.Unlock()
	issuers := c.Issuers()
	if err := issuers.AddRoot(root); err != nil {
		return err
	}
	tenants, err := c.allTenants(ctx)
	if err != nil {
		return err
	}
	byID := map[uuid.UUID]Tenant{}
	for _, tenant := range tenants {
		byID[tenant.ID] = tenant
	}
	for _, a := range rows {
		tenant, ok := byID[a.TenantID]
		if !ok || tenant.State == TenantRemoving {
			continue
		}
		if err := accept(issuers, tenant, a); err != nil {
			return err
		}
	}
	for _, a := range rows {
		if a.Kind == AuthorityRoot && c.over(a) {
			issuers.RemoveRoot(a.KeyID)
		}
	}
	return c.reopen(ctx)
}

func (c *Core) recordRootRotation(ctx context.Context, actor Actor, r Rotation, leaked bool) error {
	own, err := c.platformScope(ctx)
	if err != nil {
		return err
	}
	message := "root replaced; the old one ends at " + r.EndsAt.Format(time.RFC3339)
	if leaked {
		message = "root revoked and replaced: who knows only the old one must be given the new one"
	}
	err = c.change(ctx, own, func(_ TenantTx, events *eventLog) error {
		events.add(actor, Event{
			Type: "root.rotated", Severity: SeverityWarning, Message: message,
			Details: map[string]string{"old_key_id": r.OldKeyID, "new_key_id": r.Next, "ends_at": r.EndsAt.Format(time.RFC3339)},
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("record rotation of the root: %w", err)
	}
	return nil
}

// lastEndOfAll is the latest lastEnd of all tenants: until then somebody may
// connect who was given nothing but the old root.
func (c *Core) lastEndOfAll(ctx context.Context) (time.Time, error) {
	tenants, err := c.Tenants(ctx)
	if err != nil {
		return time.Time{}, err
	}
	last := c.now()
	for _, tenant := range tenants {
		s, err := c.scopeOf(ctx, tenant)
		if errors.Is(err, ErrNotFound) {
			continue // It was removed since it was listed.
		}
		if err != nil {
			return time.Time{}, err
		}
		end, err := c.lastEnd(ctx, s)
		if err != nil {
			return time.Time{}, err
		}
		if end.After(last) {
			last = end
		}
	}
	return last, nil
}
