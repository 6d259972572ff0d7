package core

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/google/uuid"

	"edgesync/certs"
)

// renewOperator records what an operator's certificate is renewed to, beside the
// one it replaces, which goes on: the answer may be lost. Operators come by no
// join token, so that there is always one to replace.
func (c *Core) renewOperator(ctx context.Context, own scope, leaf *x509.Certificate, named certs.Identity, replaced *x509.Certificate) error {
	if replaced == nil || !own.tenant.IsPlatform {
		return orRefused(nil, "operators are added, not enrolled")
	}
	// A revocation meanwhile must not be undone.
	done, err := c.administer(ctx)
	if err != nil {
		return err
	}
	defer done()
	operator, err := c.renewingOperator(ctx, named.Component)
	if err != nil {
		return err
	}
	before := replaced.SerialNumber.String()
	operator.CertSerial, operator.CertExpiresAt = named.Serial, named.NotAfter.UTC()
	var ended []Certificate
	err = c.change(ctx, own, func(tx TenantTx, events *eventLog) error {
		now := c.now()
		if err := c.mayIssue(ctx, tx, named.Component, now); err != nil {
			return err
		}
		if err := renewable(ctx, tx, before, named); err != nil {
			return err
		}
		if err := c.prune(ctx, tx, own.tenant.ID); err != nil {
			return err
		}
		if ended, err = endCertificates(ctx, tx, named.Component, reasonSuperseded, now, before); err != nil {
			return err
		}
		event := operatorEvent("operator.renewed", operator, "identity of operator "+operator.Name+" renewed")
		event.Severity, event.Details["replaced_cert_serial"] = "", before
		events.add(enroller(named.SPIFFE()), event)
		return tx.AddCertificate(ctx, ownedBy(leaf, named, now))
	})
	if err != nil {
		return err
	}
	if err := c.putOperator(ctx, operator.Operator); err != nil {
		return err
	}
	return c.refuse(ctx, onlyThose(own.tenant.ID, certs.TypeOperator, operator.Name, ended), ended)
}

// renewingOperator is an operator that may have its certificate renewed.
func (c *Core) renewingOperator(ctx context.Context, name string) (OperatorView, error) {
	stored, err := c.findOperator(ctx, name)
	if errors.Is(err, ErrNotFound) || err == nil && stored.State != OperatorActive {
		return OperatorView{}, orRefused(nil, "the operator is not active")
	}
	if err != nil {
		return OperatorView{}, err
	}
	operator := OperatorView{Operator: stored}
	if stored.TenantID == uuid.Nil {
		return operator, nil
	}
	tenant, err := c.tenantByID(ctx, stored.TenantID)
	if errors.Is(err, ErrNotFound) || err == nil && tenant.State != TenantActive {
		return OperatorView{}, orRefused(nil, "the operator's tenant is suspended or removed")
	}
	operator.Tenant = tenant.Slug
	return operator, err
}
