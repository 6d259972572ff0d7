package core

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/seal"
)

// IssuedCertificate is a signed identity with what its owner needs beside it.
type IssuedCertificate struct {
	// ChainPEM is the leaf, then its intermediate.
	ChainPEM []byte
	// CAChainPEM is the root, those that are retiring, and the issuing
	// intermediate.
	CAChainPEM []byte
	// Serial is decimal.
	Serial   string
	NotAfter time.Time
}

// signer is an authority with its certificates of the roots that are retiring.
type signer struct {
	*issue.Authority
	cross []*x509.Certificate
}

// issued puts a leaf together with the chains its owner needs. While a root is
// retiring they lead to either: whoever holds the leaf is understood by those
// who know the one root or the other, and trusts both itself.
func (p *platform) issued(leaf *x509.Certificate, by signer) IssuedCertificate {
	intermediates := append([]*x509.Certificate{by.Certificate}, by.cross...)
	return IssuedCertificate{
		ChainPEM:   encodeCertificates(append([]*x509.Certificate{leaf}, intermediates...)...),
		CAChainPEM: encodeCertificates(slices.Concat(p.roots, intermediates)...),
		Serial:     leaf.SerialNumber.String(),
		NotAfter:   leaf.NotAfter,
	}
}

// sealAuthority makes the row of an authority, its key sealed for that row only.
func (c *Core) sealAuthority(kind AuthorityKind, tenant uuid.UUID, a *issue.Authority, at time.Time) (Authority, error) {
	id := certs.KeyID(a.Certificate)
	key, err := a.MarshalKey()
	if err != nil {
		return Authority{}, fmt.Errorf("encode key of authority %s: %w", id, err)
	}
	sealed, err := c.keyset.Seal(key, authorityAD(id))
	if err != nil {
		return Authority{}, fmt.Errorf("seal key of authority %s: %w", id, err)
	}
	return Authority{
		KeyID: id, Kind: kind, TenantID: tenant, Certificate: a.Certificate.Raw,
		SealedKey: sealed, State: AuthorityActive, CreatedAt: at,
	}, nil
}

func (c *Core) unsealAuthority(a Authority) (signer, error) {
	key, err := c.keyset.Open(a.SealedKey, authorityAD(a.KeyID))
	if err != nil {
		return signer{}, fmt.Errorf("open key of authority %s: %w", a.KeyID, err)
	}
	authority, err := issue.Load(a.Certificate, key)
	if err != nil {
		return signer{}, fmt.Errorf("load authority %s: %w", a.KeyID, err)
	}
	cross, err := c.liveCross(a)
	return signer{authority, cross}, err
}

// liveCross are the authority's certificates of retiring roots that have not
// ended.
func (c *Core) liveCross(a Authority) ([]*x509.Certificate, error) {
	cross, err := x509.ParseCertificates(a.CrossCertificates)
	if err != nil {
		return nil, fmt.Errorf("read certificates of authority %s by retiring roots: %w", a.KeyID, err)
	}
	now := c.now()
	return slices.DeleteFunc(cross, func(one *x509.Certificate) bool { return !now.Before(one.NotAfter) }), nil
}

// The components that the platform's servers are.
const (
	gatewayComponent = "agent-gateway"
	caComponent      = "enrolment-ca"
)

func authorityAD(keyID string) []byte { return seal.AD("authority", keyID) }

// OpensAuthority tells whether a keyset opens what is sealed for the row of an
// authority.
func OpensAuthority(keyset *seal.Keyset, keyID string, sealed []byte) bool {
	_, err := keyset.Open(sealed, authorityAD(keyID))
	return err == nil
}

// issuer opens the active authority of a kind: the root's tenant is zero.
func (c *Core) issuer(ctx context.Context, kind AuthorityKind, tenant uuid.UUID) (signer, error) {
	var all []Authority
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.TenantAuthorities(ctx, tenant)
		return err
	})
	if err != nil {
		return signer{}, fmt.Errorf("read authorities: %w", err)
	}
	active, err := activeOf(all, kind, tenant)
	if err != nil {
		return signer{}, err
	}
	return c.unsealAuthority(active)
}

func (c *Core) storedAuthorities(ctx context.Context) ([]Authority, error) {
	var all []Authority
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.Authorities(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	return all, nil
}

func activeOf(all []Authority, kind AuthorityKind, tenant uuid.UUID) (Authority, error) {
	i := slices.IndexFunc(all, func(a Authority) bool { return a.Kind == kind && a.State == AuthorityActive })
	if i < 0 {
		return Authority{}, fmt.Errorf("find active %s authority of tenant %s: %w", kind, tenant, ErrNotFound)
	}
	return all[i], nil
}

// IssueGateway signs the gateway's server certificate for the public key of a
// CSR. Its names are the one minimal configs pin, the host edge services dial,
// and localhost.
func (c *Core) IssueGateway(ctx context.Context, actor Actor, csr []byte) (IssuedCertificate, error) {
	p, err := c.ready()
	if err != nil {
		return IssuedCertificate{}, err
	}
	return c.issueServer(ctx, actor, p, csr, "gateway", issue.Leaf{
		Component: gatewayComponent, ServerNames: []string{gatewayServerName(p.TrustDomain), hostOf(p.GatewayAddr), "localhost"},
	})
}

// IssueCA signs the server certificate of the enrolment CA for the public key of
// a CSR. It answers to the host edge hosts reach the CA at, to the name each
// tenant has below it, and to localhost.
func (c *Core) IssueCA(ctx context.Context, actor Actor, csr []byte) (IssuedCertificate, error) {
	p, err := c.ready()
	if err != nil {
		return IssuedCertificate{}, err
	}
	host := hostOf(p.CAAddr)
	leaf := issue.Leaf{Component: caComponent, ServerNames: []string{host, "localhost"}}
	if net.ParseIP(host) == nil {
		leaf.AnyBelow = host
	}
	return c.issueServer(ctx, actor, p, csr, "enrolment CA", leaf)
}

func (c *Core) issueServer(ctx context.Context, actor Actor, p *platform, csr []byte, what string, server issue.Leaf) (IssuedCertificate, error) {
	server.Type, server.Tenant, server.Partition, server.Life = certs.TypeGateway, p.Slug, defaultPartition, c.options.LeafLife
	slices.Sort(server.ServerNames)
	server.ServerNames = slices.Compact(server.ServerNames)
	leaf, err := p.authority.SignLeaf(csr, server, c.now())
	if err != nil {
		return IssuedCertificate{}, invalid("issue certificate of the %s: %v", what, err)
	}
	own, err := c.platformScope(ctx)
	if err != nil {
		return IssuedCertificate{}, err
	}
	certificate := Certificate{
		Serial: leaf.SerialNumber.String(), Issuer: certs.KeyID(p.authority.Certificate), Type: certs.TypeGateway,
		Partition: defaultPartition, Component: server.Component, IssuedAt: c.now(), NotAfter: leaf.NotAfter,
	}
	err = c.change(ctx, own, func(tx TenantTx, events *eventLog) error {
		if err := tx.AddCertificate(ctx, certificate); err != nil {
			return err
		}
		if err := c.prune(ctx, tx, own.tenant.ID); err != nil {
			return err
		}
		events.add(actor, Event{
			Type: "gateway.issued", Message: "certificate of the " + what + " issued",
			Details: map[string]string{"cert_serial": leaf.SerialNumber.String()},
		})
		return nil
	})
	if err != nil {
		return IssuedCertificate{}, fmt.Errorf("record certificate of the %s: %w", what, err)
	}
	return p.issued(leaf, p.authority), nil
}
