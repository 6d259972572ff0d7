package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"edgesync/core"
)

func testTokenKeys(t *testing.T, place Place) {
	store := open(t, place)
	tenant := core.Tenant{ID: uuid.New(), Slug: "acme", State: core.TenantActive}
	key := core.TokenKey{TenantID: tenant.ID, KeyID: "thumb_-1", SealedKey: []byte{0, 1, 255}, CreatedAt: at(0)}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutTenant(ctx, tenant))
		return tx.AddTokenKey(ctx, key)
	}))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		got, err := tx.TokenKey(ctx, tenant.ID)
		check(t, err)
		equal(t, "token key by tenant", got, key)
		got, err = tx.TokenKeyByID(ctx, key.KeyID)
		check(t, err)
		equal(t, "token key by id", got, key)
		_, err = tx.TokenKey(ctx, uuid.New())
		wantError(t, "token key of an unknown tenant", err, core.ErrNotFound)
		_, err = tx.TokenKeyByID(ctx, "THUMB_-1")
		wantError(t, "unknown token key", err, core.ErrNotFound)
		return nil
	})
	for what, second := range map[string]core.TokenKey{
		"a tenant's second token key": {TenantID: tenant.ID, KeyID: "other"},
		"a token key's second tenant": {TenantID: uuid.New(), KeyID: key.KeyID},
	} {
		err := platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error { return tx.AddTokenKey(ctx, second) })
		wantError(t, what, err, core.ErrConflict)
	}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error { return tx.DeleteTenant(ctx, tenant.ID) }))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		_, err := tx.TokenKeyByID(ctx, key.KeyID)
		wantError(t, "token key of a deleted tenant", err, core.ErrNotFound)
		return nil
	})
}

func aJoinToken(tokenID, component string, created int) core.JoinToken {
	return core.JoinToken{
		ID: tokenID, ServiceID: uuid.New(), Component: component, Partition: "default", CreatedBy: "local:0",
		CreatedAt: at(created), ExpiresAt: at(created + 100),
	}
}

func testJoinTokens(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a, b, c := aJoinToken("a", "edge", 0), aJoinToken("b", "edge", 1), aJoinToken("c", "other", 2)
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		for _, token := range []core.JoinToken{a, b, c} {
			check(t, tx.AddJoinToken(ctx, token))
		}
		return nil
	})
	err := tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.AddJoinToken(t.Context(), a) })
	wantError(t, "add a join token twice", err, core.ErrConflict)
	use := func(what, tokenID, key string, seconds int, want bool) {
		t.Helper()
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			used, err := tx.UseJoinToken(ctx, tokenID, key, at(seconds))
			equal(t, what, used, want)
			return err
		})
	}
	use("an unknown token", "x", "k", 5, false)
	use("a token that has ended", "a", "k", 100, false)
	use("a token", "a", "key-1", 50, true)
	use("a used token", "a", "key-1", 51, false)
	a.UsedAt, a.UsedKey = at(50), "key-1"
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		redeemed, err := tx.RedeemedJoinToken(ctx, "edge", "key-1")
		check(t, err)
		equal(t, "redeemed token", redeemed, a)
		for _, other := range [][2]string{{"edge", "key-2"}, {"other", "key-1"}, {"edge", ""}} {
			_, err = tx.RedeemedJoinToken(ctx, other[0], other[1])
			wantError(t, "redeemed token of another component or key", err, core.ErrNotFound)
		}
		return nil
	})
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		good, err := tx.CancelJoinTokens(ctx, "edge", at(60))
		equal(t, "cancelled tokens that were good", good, 1)
		return err
	})
	a.CancelledAt, b.CancelledAt = at(60), at(60)
	use("a cancelled token", "b", "k", 61, false)
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		all, err := tx.JoinTokens(ctx)
		check(t, err)
		equal(t, "join tokens, newest first", all, []core.JoinToken{c, b, a})
		one, err := tx.JoinToken(ctx, "a")
		check(t, err)
		equal(t, "join token", one, a)
		_, err = tx.JoinToken(ctx, "x")
		wantError(t, "read unknown join token", err, core.ErrNotFound)
		return nil
	})
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PruneEnrolment(ctx, at(102)) })
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		all, err := tx.JoinTokens(ctx)
		equal(t, "join tokens that have not ended", all, []core.JoinToken{c})
		return err
	})
}

// testJoinTokenRace is the promise that a token is good once.
func testJoinTokenRace(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		return tx.AddJoinToken(ctx, aJoinToken("a", "edge", 0))
	})
	var won atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			err := tenant.Update(t.Context(), func(tx core.TenantTx) error {
				used, err := tx.UseJoinToken(t.Context(), "a", uuid.NewString(), at(1))
				if used {
					won.Add(1)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	equal(t, "winners of one join token", won.Load(), int32(1))
}

func testUseOnce(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	use := func(want bool) {
		t.Helper()
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			first, err := tx.UseOnce(ctx, "id", at(10))
			equal(t, "first use", first, want)
			return err
		})
	}
	use(true)
	use(false)
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PruneEnrolment(ctx, at(11)) })
	use(true)
}

func testCertificates(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	certificate := func(serial, component string, end int) core.Certificate {
		return core.Certificate{Serial: serial, Component: component, IssuedAt: at(0), NotAfter: at(end)}
	}
	long := "340282366920938463463374607431768211455"
	a, b, c := certificate("1", "edge", 100), certificate(long, "edge", 200), certificate("3", "other", 200)
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		for _, one := range []core.Certificate{a, b, c} {
			check(t, tx.AddCertificate(ctx, one))
		}
		return nil
	})
	err := tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.AddCertificate(t.Context(), a) })
	wantError(t, "add a certificate twice", err, core.ErrConflict)
	list := func(what, component string, endAfter int, want ...core.Certificate) {
		t.Helper()
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			got, err := tx.Certificates(ctx, component, at(endAfter))
			equal(t, what, got, want)
			return err
		})
	}
	list("certificates of a component, newest first", "edge", 0, b, a)
	list("those that end later", "edge", 100, b)
	list("all", "", 0, c, b, a)
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		check(t, tx.RevokeCertificate(ctx, long, "lost", at(5)))
		check(t, tx.RevokeCertificate(ctx, long, "again", at(6)))
		wantError(t, "revoke an unknown certificate", tx.RevokeCertificate(ctx, "9", "", at(5)), core.ErrNotFound)
		return nil
	})
	b.RevokedAt, b.Reason = at(5), "lost"
	list("certificates that are not revoked", "edge", 0, a)
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		one, err := tx.Certificate(ctx, long)
		check(t, err)
		equal(t, "certificate", one, b)
		_, err = tx.Certificate(ctx, "9")
		wantError(t, "read unknown certificate", err, core.ErrNotFound)
		for since, want := range map[int]int{0: 2, 1: 0} {
			n, err := tx.CountCertificates(ctx, "edge", at(since))
			check(t, err)
			equal(t, "certificates issued since", n, want)
		}
		revoked, err := tx.RevokedCertificates(ctx, at(199))
		check(t, err)
		equal(t, "revoked certificates", revoked, []core.Certificate{b})
		revoked, err = tx.RevokedCertificates(ctx, at(200))
		equal(t, "revoked certificates that end later", len(revoked), 0)
		return err
	})
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PruneEnrolment(ctx, at(101)) })
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		_, err := tx.Certificate(ctx, a.Serial)
		wantError(t, "read a certificate that ended long ago", err, core.ErrNotFound)
		return nil
	})
}
