package core

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"edgesync/certs"
)

// platform is what a Core keeps of a bootstrapped platform.
type platform struct {
	Platform
	// roots are the one in use and then those that are retiring.
	roots     []*x509.Certificate
	authority signer
	issuers   *certs.Issuers
	// restorations are ordered by time.
	restorations []Restoration
}

// PlatformInfo is the platform as those who set up its parts need to see it.
type PlatformInfo struct {
	Platform
	// RootFingerprint is the SHA-256 of the root certificate, lower-case hex.
	RootFingerprint string
	// RootPEM is the root and then those that are retiring.
	RootPEM []byte
	// GatewayServerName is the name minimal configs pin the gateway to.
	GatewayServerName string
}

// PlatformInfo describes the platform.
func (c *Core) PlatformInfo(context.Context) (PlatformInfo, error) {
	p, err := c.ready()
	if err != nil {
		return PlatformInfo{}, err
	}
	return p.info(), nil
}

// Ping returns an error while the store does not answer: of what has to be read,
// nothing can be.
func (c *Core) Ping(ctx context.Context) error {
	return c.store.Platform().View(ctx, func(tx PlatformTx) error {
		_, err := tx.Platform(ctx)
		return err
	})
}

func (p *platform) info() PlatformInfo {
	sum := sha256.Sum256(p.roots[0].Raw)
	return PlatformInfo{
		Platform:          p.Platform,
		RootFingerprint:   hex.EncodeToString(sum[:]),
		RootPEM:           encodeCertificates(p.roots...),
		GatewayServerName: gatewayServerName(p.TrustDomain),
	}
}

func gatewayServerName(trustDomain string) string {
	return gatewayComponent + "." + trustDomain
}

// ready returns the platform, or the refusal everything gets before there is one.
func (c *Core) ready() (*platform, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.platform == nil {
		return nil, precondition("use platform: it is not bootstrapped: run `edgesync bootstrap`")
	}
	return c.platform, nil
}

func (c *Core) bootstrapped() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.platform != nil
}

// load reads the platform from the store and refuses one that no bootstrap
// made: a zero or foreign tenant id would let rows of one platform pass for
// another's.
func (c *Core) load(ctx context.Context) error {
	var stored Platform
	var tenants []Tenant
	var authorities []Authority
	var revocations []Revocation
	var restorations []Restoration
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		if stored, err = tx.Platform(ctx); err != nil {
			return err
		}
		if tenants, err = tx.Tenants(ctx); err != nil {
			return err
		}
		if authorities, err = tx.Authorities(ctx); err != nil {
			return err
		}
		if revocations, err = tx.Revocations(ctx, c.now()); err != nil {
			return err
		}
		restorations, err = tx.Restorations(ctx)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read platform: %w", err)
	}
	if err := checkPlatform(stored, tenants); err != nil {
		return err
	}
	p, err := c.open(stored, tenants, authorities)
	if err != nil {
		return err
	}
	p.restorations = restorations
	refuseStored(p.issuers, tenants, revocations)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.platform = p
	return nil
}

func checkPlatform(stored Platform, tenants []Tenant) error {
	id := stored.TenantID
	if id == uuid.Nil || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
		return precondition("open platform: the stored platform tenant id %s is not a random UUID: the state is damaged, restore it from a backup", id)
	}
	found := false
	for _, t := range tenants {
		switch {
		case t.ID == id && t.Slug == stored.Slug && t.IsPlatform:
			found = true
		case t.ID == id:
			return precondition("open platform: the platform's tenant has the slug %q, not the reserved slug %q: the state is damaged, restore it from a backup", t.Slug, stored.Slug)
		case t.IsPlatform || t.Slug == stored.Slug:
			return precondition("open platform: tenant %s (%q) poses as the platform's: the state is damaged, restore it from a backup", t.ID, t.Slug)
		}
	}
	if !found {
		return precondition("open platform: there is no tenant %q with the platform's id %s: the state is damaged, restore it from a backup", stored.Slug, id)
	}
	return nil
}

// open makes the platform of what is stored.
func (c *Core) open(stored Platform, tenants []Tenant, authorities []Authority) (*platform, error) {
	p := &platform{Platform: stored}
	if err := c.openOwn(p, authorities); err != nil {
		return nil, err
	}
	var err error
	if p.issuers, err = certs.NewIssuers(p.roots[0]); err != nil {
		return nil, fmt.Errorf("use root certificate: %w", err)
	}
	p.issuers.Now = c.options.Now
	for _, root := range p.roots[1:] {
		if err := p.issuers.AddRoot(root); err != nil {
			return nil, fmt.Errorf("use root certificate: %w", err)
		}
	}
	live := map[uuid.UUID]Tenant{}
	for _, t := range tenants {
		if t.State != TenantRemoving {
			live[t.ID] = t
		}
	}
	for _, a := range authorities {
		tenant, ok := live[a.TenantID]
		if a.Kind == AuthorityRoot || !ok || c.over(a) {
			continue
		}
		if err := accept(p.issuers, tenant, a); err != nil {
			if a.Kind == AuthorityPlatform {
				return nil, err
			}
			// One tenant's damaged row must not keep all the others out.
			c.log.Error("leave out authority", "tenant", tenant.Slug, "key_id", a.KeyID, "error", err)
		}
	}
	return p, nil
}

// openOwn sets what the platform itself uses of the authorities: its roots and
// its own intermediate.
func (c *Core) openOwn(p *platform, authorities []Authority) error {
	p.roots = nil
	found := false
	for _, a := range authorities {
		switch {
		case c.over(a):
		case a.Kind == AuthorityRoot:
			root, err := x509.ParseCertificate(a.Certificate)
			if err != nil {
				return fmt.Errorf("read root certificate: %w", err)
			}
			if p.roots = append(p.roots, root); a.State == AuthorityActive {
				last := len(p.roots) - 1
				p.roots[0], p.roots[last] = p.roots[last], p.roots[0]
			}
			found = found || a.State == AuthorityActive
		case a.Kind == AuthorityPlatform && a.State == AuthorityActive:
			var err error
			if p.authority, err = c.unsealAuthority(a); err != nil {
				return precondition("open platform: the keyset does not open the platform's keys: use the keyset the platform was bootstrapped with")
			}
		}
	}
	switch {
	case !found:
		return precondition("open platform: its root certificate is missing: the state is damaged, restore it from a backup")
	case p.authority.Authority == nil:
		return precondition("open platform: its intermediate is missing: the state is damaged, restore it from a backup")
	}
	return nil
}

// over says whether an authority is not accepted any more.
func (c *Core) over(a Authority) bool {
	return a.State == AuthorityEnded || !a.EndsAt.IsZero() && !c.now().Before(a.EndsAt)
}

// accept has handshakes take the leaves of a stored intermediate.
func accept(issuers *certs.Issuers, tenant Tenant, a Authority) error {
	certificate, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return fmt.Errorf("read authority %s of tenant %s: %w", a.KeyID, tenant.Slug, err)
	}
	return issuers.Add(certs.Issuer{
		TenantID: tenant.ID, Tenant: tenant.Slug,
		Platform:    a.Kind == AuthorityPlatform,
		Certificate: certificate, Until: a.EndsAt,
	})
}

func encodeCertificates(certificates ...*x509.Certificate) []byte {
	var out []byte
	for _, certificate := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return out
}
