package core

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// CertificateView is a certificate as operators see it.
type CertificateView struct {
	Certificate
	Tenant Tenant
	// State is "good", "revoked" or "expired".
	State string
	// Latest is true for the good certificate a component was given last.
	Latest bool
	// OldIssuer is true where its authority was replaced since, OldRoot where the
	// root was: its holder has not renewed it since then.
	OldIssuer, OldRoot bool
}

// The states of a certificate.
const (
	CertificateGood    = "good"
	CertificateRevoked = "revoked"
	CertificateExpired = "expired"
)

// CertificateQuery narrows CertificateViews.
type CertificateQuery struct {
	// Tenant is a slug; empty means every tenant.
	Tenant string
	// Old leaves only those whose holders still have to renew because of a
	// rotation.
	Old bool
	// History also lists what is revoked, expired or was followed by another.
	History bool
}

// AuthorityView is an authority as operators see it.
type AuthorityView struct {
	Authority
	// Tenant is the slug, empty for the root.
	Tenant   string
	NotAfter time.Time
	// Holders is how many components' latest good certificates it signed; of a
	// root, how many were signed before it was replaced.
	Holders int
}

// Certificates lists certificates by tenant, component and time.
func (c *Core) Certificates(ctx context.Context, query CertificateQuery) ([]CertificateView, error) {
	if _, err := c.ready(); err != nil {
		return nil, err
	}
	all, err := c.storedAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	standing := c.standingOf(all)
	var found []CertificateView
	err = c.scopes(ctx, query.Tenant, func(s scope) error {
		views, err := c.certificatesOf(ctx, s, standing)
		for _, view := range views {
			current := view.Latest && view.State == CertificateGood
			if !query.History && !current || query.Old && !(current && (view.OldIssuer || view.OldRoot)) {
				continue
			}
			found = append(found, view)
		}
		return err
	})
	return found, err
}

// reign is which authorities issue now, and since when there is the root.
type reign struct {
	active map[string]bool
	root   Authority
	// roots are all there were, by creation.
	roots []Authority
}

func (c *Core) standingOf(all []Authority) reign {
	s := reign{active: map[string]bool{}}
	for _, a := range all {
		if a.Kind == AuthorityRoot {
			s.roots = append(s.roots, a)
		}
		if a.State != AuthorityActive {
			continue
		}
		if s.active[a.KeyID] = true; a.Kind == AuthorityRoot {
			s.root = a
		}
	}
	return s
}

func (c *Core) certificatesOf(ctx context.Context, s scope, standing reign) ([]CertificateView, error) {
	var certificates []Certificate
	err := s.store.View(ctx, func(tx TenantTx) (err error) {
		certificates, err = tx.CertificateHistory(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list certificates of tenant %s: %w", s.tenant.Slug, err)
	}
	now := c.now()
	views := make([]CertificateView, len(certificates))
	seen := map[string]bool{}
	// From the newest on, the first good one of a component is its latest.
	for i := len(certificates) - 1; i >= 0; i-- {
		one := certificates[i]
		view := CertificateView{
			Certificate: one, Tenant: s.tenant, State: CertificateGood,
			OldIssuer: !standing.active[one.Issuer], OldRoot: one.IssuedAt.Before(standing.root.CreatedAt),
		}
		switch {
		case !one.RevokedAt.IsZero():
			view.State = CertificateRevoked
		case !now.Before(one.NotAfter):
			view.State = CertificateExpired
		default:
			view.Latest = !seen[one.Component]
			seen[one.Component] = true
		}
		views[i] = view
	}
	return views, nil
}

// Authorities lists authorities: those of one tenant, or with an empty slug all,
// the roots first, each with who still depends on it. Overlaps whose time is
// over are ended.
func (c *Core) Authorities(ctx context.Context, slug string) ([]AuthorityView, error) {
	if _, err := c.ready(); err != nil {
		return nil, err
	}
	if err := c.EndOverlaps(ctx); err != nil {
		return nil, err
	}
	all, err := c.storedAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	current, err := c.Certificates(ctx, CertificateQuery{Tenant: slug})
	if err != nil {
		return nil, err
	}
	slugs := map[uuid.UUID]string{}
	err = c.scopes(ctx, slug, func(s scope) error { slugs[s.tenant.ID] = s.tenant.Slug; return nil })
	if err != nil {
		return nil, err
	}
	standing := c.standingOf(all)
	var views []AuthorityView
	for _, a := range all {
		name, listed := slugs[a.TenantID]
		if a.Kind == AuthorityRoot {
			listed = slug == ""
		}
		if !listed {
			continue
		}
		view, err := viewAuthority(a, name, current, standing)
		if err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	slices.SortStableFunc(views, func(a, b AuthorityView) int { return strings.Compare(a.Tenant, b.Tenant) })
	return views, nil
}

func viewAuthority(a Authority, slug string, current []CertificateView, standing reign) (AuthorityView, error) {
	parsed, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return AuthorityView{}, fmt.Errorf("read authority %s: %w", a.KeyID, err)
	}
	view := AuthorityView{Authority: a, Tenant: slug, NotAfter: parsed.NotAfter}
	for _, one := range current {
		if a.Kind != AuthorityRoot && one.Issuer == a.KeyID || a.Kind == AuthorityRoot && standing.rootOf(one) == a.KeyID {
			view.Holders++
		}
	}
	return view, nil
}

// rootOf is the root that was in use when a certificate was signed.
func (s reign) rootOf(one CertificateView) string {
	for i := len(s.roots) - 1; i >= 0; i-- {
		if !one.IssuedAt.Before(s.roots[i].CreatedAt) {
			return s.roots[i].KeyID
		}
	}
	return ""
}
