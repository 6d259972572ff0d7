package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/core"
)

func testCertificateHistory(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	certificate := func(serial, component string, issued, ends int) core.Certificate {
		return core.Certificate{
			Serial: serial, Issuer: "00aa", Type: certs.TypeSync, Partition: "default", Component: component,
			IssuedAt: at(issued), NotAfter: at(ends),
		}
	}
	first, second := certificate("1", "hq", 1, 10), certificate("2", "hq", 2, 20)
	other := certificate("340282366920938463463374607431768211455", "branch", 3, 30)
	other.Issuer, other.Type, other.Partition = "00bb", certs.TypeOperator, "dmz"
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		for _, one := range []core.Certificate{first, other, second} {
			check(t, tx.AddCertificate(ctx, one))
		}
		return tx.RevokeCertificate(ctx, "1", "replaced", at(5))
	})
	first.RevokedAt, first.Reason = at(5), "replaced"
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		got, err := tx.CertificateHistory(ctx)
		equal(t, "history of certificates", got, []core.Certificate{other, first, second})
		return err
	})
}

func testRevocations(t *testing.T, place Place) {
	store := open(t, place)
	acme, beta := core.Tenant{ID: uuid.New(), Slug: "acme"}, core.Tenant{ID: uuid.New(), Slug: "beta"}
	ended := core.Revocation{TenantID: acme.ID, Serial: "1", NotAfter: at(5)}
	one := core.Revocation{TenantID: acme.ID, Serial: "2", NotAfter: at(20)}
	same := core.Revocation{TenantID: beta.ID, Serial: "2", NotAfter: at(30)}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutTenant(ctx, acme))
		check(t, tx.PutTenant(ctx, beta))
		for _, r := range []core.Revocation{ended, one, same, one} {
			check(t, tx.PutRevocation(ctx, r))
		}
		return nil
	}))
	count := func(after time.Time) map[core.Revocation]bool {
		found := map[core.Revocation]bool{}
		platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
			all, err := tx.Revocations(ctx, after)
			for _, r := range all {
				found[r] = true
			}
			return err
		})
		return found
	}
	equal(t, "revocations", count(at(5)), map[core.Revocation]bool{one: true, same: true})
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error { return tx.DeleteTenant(ctx, acme.ID) }))
	equal(t, "revocations after the tenant was deleted", count(at(0)), map[core.Revocation]bool{same: true})
}

func testOperators(t *testing.T, place Place) {
	store := open(t, place)
	acme := core.Tenant{ID: uuid.New(), Slug: "acme"}
	alice := core.Operator{
		Name: "alice", Role: core.RoleAdmin, State: core.OperatorActive, CertSerial: "7",
		CertExpiresAt: at(30), CreatedAt: at(1),
	}
	bob := core.Operator{Name: "bob", Role: core.RoleViewer, TenantID: acme.ID, State: core.OperatorActive, CreatedAt: at(2)}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutTenant(ctx, acme))
		check(t, tx.PutOperator(ctx, bob))
		check(t, tx.PutOperator(ctx, alice))
		_, err := tx.Operator(ctx, "carol")
		wantError(t, "read unknown operator", err, core.ErrNotFound)
		return nil
	}))
	alice.State, alice.CertSerial = core.OperatorRevoked, ""
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error { return tx.PutOperator(ctx, alice) }))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		all, err := tx.Operators(ctx)
		check(t, err)
		equal(t, "operators by name", all, []core.Operator{alice, bob})
		one, err := tx.Operator(ctx, "bob")
		equal(t, "operator", one, bob)
		return err
	})
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error { return tx.DeleteTenant(ctx, acme.ID) }))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		all, err := tx.Operators(ctx)
		equal(t, "operators after the tenant was deleted", all, []core.Operator{alice})
		return err
	})
}
