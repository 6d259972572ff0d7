package core

import (
	"context"
	"crypto/x509"
	"fmt"
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
	// CAChainPEM is the root and the issuing intermediate.
	CAChainPEM []byte
	// Serial is decimal.
	Serial   string
	NotAfter time.Time
}

func issued(leaf, intermediate, root *x509.Certificate) IssuedCertificate {
	return IssuedCertificate{
		ChainPEM:   encodeCertificates(leaf, intermediate),
		CAChainPEM: encodeCertificates(root, intermediate),
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

func (c *Core) unsealAuthority(a Authority) (*issue.Authority, error) {
	key, err := c.keyset.Open(a.SealedKey, authorityAD(a.KeyID))
	if err != nil {
		return nil, fmt.Errorf("open key of authority %s: %w", a.KeyID, err)
	}
	authority, err := issue.Load(a.Certificate, key)
	if err != nil {
		return nil, fmt.Errorf("load authority %s: %w", a.KeyID, err)
	}
	return authority, nil
}

// gatewayComponent is the component the gateway itself is.
const gatewayComponent = "agent-gateway"

func authorityAD(keyID string) []byte { return seal.AD("authority", keyID) }

// issuer opens the active authority of a kind: the root's tenant is zero.
func (c *Core) issuer(ctx context.Context, kind AuthorityKind, tenant uuid.UUID) (*issue.Authority, error) {
	var all []Authority
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.Authorities(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	i := slices.IndexFunc(all, func(a Authority) bool {
		return a.Kind == kind && a.TenantID == tenant && a.State == AuthorityActive
	})
	if i < 0 {
		return nil, fmt.Errorf("find active %s authority of tenant %s: %w", kind, tenant, ErrNotFound)
	}
	return c.unsealAuthority(all[i])
}

// IssueGateway signs the gateway's server certificate for the public key of a
// CSR. Its names are the one minimal configs pin, the host edge services dial,
// and localhost.
func (c *Core) IssueGateway(ctx context.Context, actor Actor, csr []byte) (IssuedCertificate, error) {
	p, err := c.ready()
	if err != nil {
		return IssuedCertificate{}, err
	}
	names := []string{gatewayServerName(p.TrustDomain)}
	for _, host := range []string{hostOf(p.GatewayAddr), "localhost"} {
		if !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	leaf, err := p.authority.SignLeaf(csr, issue.Leaf{
		Type: certs.TypeGateway, Tenant: p.Slug, Partition: defaultPartition,
		Component: gatewayComponent, Life: c.options.LeafLife, ServerNames: names,
	}, c.now())
	if err != nil {
		return IssuedCertificate{}, invalid("issue gateway certificate: %v", err)
	}
	own, err := c.platformScope(ctx)
	if err != nil {
		return IssuedCertificate{}, err
	}
	certificate := Certificate{
		Serial: leaf.SerialNumber.String(), Issuer: certs.KeyID(p.authority.Certificate), Type: certs.TypeGateway,
		Partition: defaultPartition, Component: gatewayComponent, IssuedAt: c.now(), NotAfter: leaf.NotAfter,
	}
	err = c.change(ctx, own, func(tx TenantTx, events *eventLog) error {
		if err := tx.PutCertificate(ctx, certificate); err != nil {
			return err
		}
		events.add(actor, Event{
			Type: "gateway.issued", Message: "certificate of the gateway issued",
			Details: map[string]string{"cert_serial": leaf.SerialNumber.String()},
		})
		return nil
	})
	if err != nil {
		return IssuedCertificate{}, fmt.Errorf("record certificate of the gateway: %w", err)
	}
	return issued(leaf, p.authority.Certificate, p.root), nil
}
