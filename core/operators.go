package core

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
)

// OperatorInput is what adding an operator takes.
type OperatorInput struct {
	// Name is a label; it becomes the component of the certificate.
	Name string
	Role Role
	// Tenant is the slug of the only tenant it may see; empty means the whole
	// platform.
	Tenant string
	// CSR is PKCS #10, DER; only its public key is used.
	CSR []byte
}

// OperatorView is an operator with the tenant it is limited to.
type OperatorView struct {
	Operator
	// Tenant is the slug, empty for an operator of the whole platform.
	Tenant string
}

// May says whether the operator's role allows what takes a role.
func (o OperatorView) May(role Role) bool { return rank(o.Role) >= rank(role) }

// rank orders the roles; one that does not exist may nothing.
func rank(r Role) int {
	return slices.Index([]Role{RoleViewer, RoleOperator, RoleAdmin}, r) + 1
}

// AddOperator records an operator and signs its identity.
func (c *Core) AddOperator(ctx context.Context, actor Actor, in OperatorInput) (OperatorView, IssuedCertificate, error) {
	done, err := c.administer(ctx)
	if err != nil {
		return OperatorView{}, IssuedCertificate{}, err
	}
	defer done()
	p, err := c.ready()
	if err != nil {
		return OperatorView{}, IssuedCertificate{}, err
	}
	operator, err := c.newOperator(ctx, in)
	if err != nil {
		return OperatorView{}, IssuedCertificate{}, err
	}
	leaf, err := p.authority.SignLeaf(in.CSR, issue.Leaf{
		Type: certs.TypeOperator, Tenant: p.Slug, Partition: defaultPartition, Component: in.Name, Life: c.options.LeafLife,
	}, c.now())
	if err != nil {
		return OperatorView{}, IssuedCertificate{}, invalid("add operator %q: %v", in.Name, err)
	}
	identity, err := certs.ReadLeaf(leaf)
	if err != nil {
		return OperatorView{}, IssuedCertificate{}, err
	}
	operator.CertSerial, operator.CertExpiresAt = identity.Serial, identity.NotAfter
	if err := c.recordOperator(ctx, actor, operator, ownedBy(leaf, identity, c.now())); err != nil {
		return OperatorView{}, IssuedCertificate{}, err
	}
	return operator, p.issued(leaf, p.authority), nil
}

func (c *Core) newOperator(ctx context.Context, in OperatorInput) (OperatorView, error) {
	operator := OperatorView{Operator: Operator{Name: in.Name, Role: in.Role, State: OperatorActive, CreatedAt: c.now()}, Tenant: in.Tenant}
	if err := certs.ValidLabel(in.Name); err != nil {
		return operator, invalid("add operator: %v", err)
	}
	if slices.Contains([]string{PlatformSyncName, gatewayComponent, caComponent}, in.Name) {
		return operator, invalid("add operator %q: it is the name of a part of the platform: choose another", in.Name)
	}
	if rank(in.Role) == 0 {
		return operator, invalid("add operator %q: there is no role %q: choose %s, %s or %s", in.Name, clean(string(in.Role), maxName), RoleAdmin, RoleOperator, RoleViewer)
	}
	if in.Tenant != "" {
		tenant, err := c.Tenant(ctx, in.Tenant)
		if err != nil {
			return operator, err
		}
		if tenant.IsPlatform {
			return operator, invalid("add operator %q: %s is the platform itself: leave the tenant out for an operator of the whole platform", in.Name, tenant.Slug)
		}
		operator.TenantID = tenant.ID
	}
	existing, err := c.findOperator(ctx, in.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		return operator, nil
	case err != nil:
		return operator, err
	case existing.State == OperatorActive && c.now().Before(existing.CertExpiresAt), existing.TenantID != operator.TenantID:
		// Whose name it is must not be told to another tenant's administrator.
		return operator, exists("add operator %q: the name is taken: choose another, or revoke that operator first", in.Name)
	}
	operator.CreatedAt = existing.CreatedAt
	return operator, nil
}

func (c *Core) findOperator(ctx context.Context, name string) (Operator, error) {
	var operator Operator
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		operator, err = tx.Operator(ctx, name)
		return err
	})
	if err != nil {
		return Operator{}, fmt.Errorf("find operator %s: %w", name, err)
	}
	return operator, nil
}

// recordOperator registers the certificate first: it admits nobody until the
// operator's row names an active operator. What somebody was given before under
// the name is not renewed any more.
func (c *Core) recordOperator(ctx context.Context, actor Actor, operator OperatorView, certificate Certificate) error {
	own, err := c.platformScope(ctx)
	if err != nil {
		return err
	}
	var ended []Certificate
	err = c.change(ctx, own, func(tx TenantTx, events *eventLog) error {
		if ended, err = endCertificates(ctx, tx, operator.Name, reasonAddedAgain, c.now()); err != nil {
			return err
		}
		if err := c.prune(ctx, tx, own.tenant.ID); err != nil {
			return err
		}
		events.add(actor, operatorEvent("operator.added", operator, "operator "+operator.Name+" added as "+string(operator.Role)))
		return tx.AddCertificate(ctx, certificate)
	})
	if err != nil {
		return fmt.Errorf("record certificate of operator %s: %w", operator.Name, err)
	}
	if err := c.refuse(ctx, onlyThose(own.tenant.ID, certs.TypeOperator, operator.Name, ended), ended); err != nil {
		return err
	}
	return c.putOperator(ctx, operator.Operator)
}

func (c *Core) putOperator(ctx context.Context, operator Operator) error {
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.PutOperator(ctx, operator) })
	if err != nil {
		return fmt.Errorf("record operator %s: %w", operator.Name, err)
	}
	return nil
}

func operatorEvent(kind string, operator OperatorView, message string) Event {
	details := map[string]string{"operator": operator.Name, "role": string(operator.Role), "cert_serial": operator.CertSerial}
	if operator.Tenant != "" {
		details["tenant"] = operator.Tenant
		message += " of tenant " + operator.Tenant
	}
	return Event{Type: kind, Severity: SeverityWarning, Message: message, Details: details}
}

// Operators lists the operators by name: those of one tenant, or with an empty
// slug all.
func (c *Core) Operators(ctx context.Context, slug string) ([]OperatorView, error) {
	tenants, err := c.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var only uuid.UUID
	if slug != "" {
		tenant, err := c.Tenant(ctx, slug)
		if err != nil {
			return nil, err
		}
		only = tenant.ID
	}
	slugs := map[uuid.UUID]string{}
	for _, tenant := range tenants {
		slugs[tenant.ID] = tenant.Slug
	}
	all, err := c.storedOperators(ctx)
	if err != nil {
		return nil, err
	}
	var found []OperatorView
	for _, operator := range all {
		if only == uuid.Nil || operator.TenantID == only {
			found = append(found, OperatorView{operator, slugs[operator.TenantID]})
		}
	}
	return found, nil
}

func (c *Core) storedOperators(ctx context.Context) ([]Operator, error) {
	var all []Operator
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.Operators(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list operators: %w", err)
	}
	return all, nil
}

// RevokeOperator refuses an operator's identity from now on. With a slug only an
// operator of that tenant is found.
func (c *Core) RevokeOperator(ctx context.Context, actor Actor, slug, name string) (OperatorView, error) {
	done, err := c.administer(ctx)
	if err != nil {
		return OperatorView{}, err
	}
	defer done()
	all, err := c.Operators(ctx, slug)
	if err != nil {
		return OperatorView{}, err
	}
	i := slices.IndexFunc(all, func(o OperatorView) bool { return o.Name == name })
	if i < 0 {
		return OperatorView{}, notFound("revoke operator %q: there is none: see `edgesync operator list`", clean(name, maxName))
	}
	operator := all[i]
	fresh := operator.State == OperatorActive
	operator.State = OperatorRevoked
	if err := c.putOperator(ctx, operator.Operator); err != nil {
		return OperatorView{}, err
	}
	own, err := c.platformScope(ctx)
	if err != nil {
		return OperatorView{}, err
	}
	var ended []Certificate
	err = c.change(ctx, own, func(tx TenantTx, events *eventLog) (err error) {
		if fresh {
			events.add(actor, operatorEvent("operator.revoked", operator, "operator "+name+" revoked"))
		}
		ended, err = endCertificates(ctx, tx, name, reasonRevoked, c.now())
		return err
	})
	if err != nil {
		return OperatorView{}, fmt.Errorf("record revocation of operator %s: %w", name, err)
	}
	return operator, c.refuse(ctx, operatorRevocation(own.tenant.ID, name), ended)
}

func operatorRevocation(platform uuid.UUID, name string) certs.Revocation {
	return certs.Revocation{TenantID: platform, Type: certs.TypeOperator, Component: name}
}

// dismissOperators ends what the operators of a tenant have under way.
func (c *Core) dismissOperators(ctx context.Context, tenant uuid.UUID) error {
	p, err := c.ready()
	if err != nil {
		return err
	}
	all, err := c.storedOperators(ctx)
	if err != nil {
		return err
	}
	for _, operator := range all {
		if operator.TenantID == tenant {
			c.spread(ctx, Refusal{Revocation: operatorRevocation(p.TenantID, operator.Name)})
		}
	}
	return nil
}

// AdmitOperator says which operator a peer is. Every other identity is refused:
// a tenant's services administer nothing.
func (c *Core) AdmitOperator(ctx context.Context, peer certs.Peer) (OperatorView, error) {
	p, err := c.ready()
	if err != nil {
		return OperatorView{}, err
	}
	if peer.Type != certs.TypeOperator || peer.Class != certs.ClassPlatform || peer.TenantID != p.TenantID {
		return OperatorView{}, denied("administer: %s is no operator: use an identity made by `edgesync operator add`", peer.SPIFFE())
	}
	operator, err := c.findOperator(ctx, peer.Component)
	switch {
	case errors.Is(err, ErrNotFound):
		return OperatorView{}, denied("administer: there is no operator %s: ask the platform's administrator", peer.Component)
	case err != nil:
		return OperatorView{}, err
	case operator.State != OperatorActive:
		return OperatorView{}, denied("administer: operator %s is revoked: ask the platform's administrator", peer.Component)
	}
	if err := c.goodCertificate(ctx, peer); err != nil {
		return OperatorView{}, err
	}
	view := OperatorView{Operator: operator}
	if operator.TenantID == uuid.Nil {
		return view, nil
	}
	tenant, err := c.tenantByID(ctx, operator.TenantID)
	if errors.Is(err, ErrNotFound) || err == nil && tenant.State != TenantActive {
		return OperatorView{}, denied("administer: the tenant of operator %s is suspended or removed: ask the platform's administrator", peer.Component)
	}
	view.Tenant = tenant.Slug
	return view, err
}

// goodCertificate wants the peer's certificate to be in the platform's register
// and not revoked.
func (c *Core) goodCertificate(ctx context.Context, peer certs.Peer) error {
	own, err := c.platformScope(ctx)
	if err != nil {
		return err
	}
	var found Certificate
	err = own.store.View(ctx, func(tx TenantTx) (err error) {
		found, err = tx.Certificate(ctx, peer.Serial)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		found, err = c.adoptOperator(ctx, own, peer.Identity)
	}
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return fmt.Errorf("find certificate of operator %s: %w", peer.Component, err)
	case err != nil, found.Type != peer.Type, found.Component != peer.Component, !found.RevokedAt.IsZero():
		return denied("administer: the certificate of operator %s is not good any more: use its latest identity", peer.Component)
	}
	return nil
}

// NoTenant is the answer about a tenant that is not there, or not there for who
// asks.
func NoTenant(slug string) *Error {
	return notFound("find tenant %q: there is none: see `edgesync tenant list`", clean(slug, maxName))
}
