package core_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
)

func TestCreateTenantRefusesBadSlugsAndNames(t *testing.T) {
	w := bootstrapped(t)
	for name, in := range map[string]core.TenantInput{
		"empty":            {},
		"quote":            {Slug: `ac"me`},
		"dots":             {Slug: "ac.me"},
		"slash":            {Slug: "../acme"},
		"upper case":       {Slug: "Acme"},
		"reserved":         {Slug: "platform"},
		"look-alike":       {Slug: "p1atform"},
		"reserved other":   {Slug: "agent-gateway"},
		"too long":         {Slug: strings.Repeat("a", 64)},
		"no room for a CN": {Slug: strings.Repeat("a", 50)},
		"name controls":    {Slug: "acme", Name: "ac\x1b[31mme"},
		"name bidi":        {Slug: "acme", Name: "ac\u202eme"},
		"name too long":    {Slug: "acme", Name: strings.Repeat("n", 129)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.CreateTenant(t.Context(), operator, in)
			wantCode(t, err, codes.InvalidArgument)
			if strings.ContainsAny(err.Error(), "\x1b\u202e") {
				t.Errorf("error %q carries what it refuses", err)
			}
		})
	}
	if tenants, err := w.Tenants(t.Context()); err != nil || len(tenants) != 1 {
		t.Errorf("tenants after refusals: %v, %v", tenants, err)
	}
}

func TestTenantLifecycle(t *testing.T) {
	w := bootstrapped(t)
	tenant := w.tenant("acme")
	if tenant.Name != "acme" || !tenant.PlatformSync || tenant.IsPlatform {
		t.Errorf("tenant is %+v", tenant)
	}
	_, err := w.CreateTenant(t.Context(), operator, core.TenantInput{Slug: "acme"})
	wantCode(t, err, codes.AlreadyExists)
	peer := w.onboard("acme", "hq")
	w.hello(peer)

	if got, err := w.SuspendTenant(t.Context(), operator, "acme", false); err != nil || got.State != core.TenantSuspended {
		t.Fatalf("suspend: %+v, %v", got, err)
	}
	wantCode(t, w.Admit(t.Context(), peer), codes.PermissionDenied)
	_, err = w.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "two", CSR: csr(t)})
	wantCode(t, err, codes.FailedPrecondition)
	if _, err := w.SuspendTenant(t.Context(), operator, "acme", true); err != nil {
		t.Fatal(err)
	}
	if err := w.Admit(t.Context(), peer); err != nil {
		t.Errorf("admit after the suspension: %v", err)
	}

	if err := w.RemoveTenant(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.Admit(t.Context(), peer), codes.PermissionDenied)
	_, err = w.Tenant(t.Context(), "acme")
	wantCode(t, err, codes.NotFound)
	var refusal *certs.Refusal
	if _, err := w.Issuers().Identify(nil, w.clock.Now()); !errors.As(err, &refusal) {
		t.Errorf("identify nobody: %v", err)
	}
	if !hasEvent(w.events("platform", "tenant."), "tenant.removed") {
		t.Error("the platform keeps no event of the removal")
	}
	fresh := w.tenant("acme")
	if fresh.ID == tenant.ID {
		t.Error("a tenant made anew has the old one's id")
	}
	wantCode(t, w.Admit(t.Context(), peer), codes.PermissionDenied)
}

func TestPlatformTenantIsNeitherSuspendedNorRemoved(t *testing.T) {
	w := bootstrapped(t)
	_, err := w.SuspendTenant(t.Context(), operator, "platform", false)
	wantCode(t, err, codes.FailedPrecondition)
	wantCode(t, w.RemoveTenant(t.Context(), operator, "platform"), codes.FailedPrecondition)
}

func TestRemovedTenantsIdentityFailsTheHandshake(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	done, err := w.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "hq", CSR: csr(t)})
	if err != nil {
		t.Fatal(err)
	}
	presented := chain(t, done.Certificate.ChainPEM)
	if _, err := w.Issuers().Identify(presented, w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveTenant(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var refusal *certs.Refusal
		if _, err := w.Issuers().Identify(presented, w.clock.Now()); !errors.As(err, &refusal) || refusal.Reason != certs.ReasonUnknownIssuer {
			t.Errorf("identify: %v, want %s", err, certs.ReasonUnknownIssuer)
		}
		w.reopen()
	}
}

func TestTenantCreationCutShortIsMadeGoodByTheNext(t *testing.T) {
	for writes := range 2 {
		w := bootstrapped(t)
		broken, err := w.open(&failing{w.store, writes})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := broken.CreateTenant(t.Context(), operator, core.TenantInput{Slug: "acme"}); !errors.Is(err, errFault) {
			t.Fatalf("create with a fault after %d writes: %v", writes, err)
		}
		// At the next start, and at the next attempt without one.
		for _, c := range []*core.Core{w.Core, nil} {
			if c == nil {
				w.reopen()
				c = w.Core
			}
			if _, err := c.Tenant(t.Context(), "acme"); err == nil {
				t.Fatal("the half-made tenant is listed")
			}
			if _, err := c.CreateTenant(t.Context(), operator, core.TenantInput{Slug: "acme"}); err != nil {
				t.Fatalf("create after a fault: %v", err)
			}
			if err := c.RemoveTenant(t.Context(), operator, "acme"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTenantRemovalCutShortIsCarriedOutAtTheNextStart(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	broken, err := w.open(&failing{w.store, 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := broken.RemoveTenant(t.Context(), operator, "acme"); !errors.Is(err, errFault) {
		t.Fatalf("remove with a fault: %v", err)
	}
	w.reopen()
	var left []core.Tenant
	err = w.store.Platform().View(t.Context(), func(tx core.PlatformTx) (err error) {
		left, err = tx.Tenants(t.Context())
		return err
	})
	if err != nil || len(left) != 1 {
		t.Errorf("rows after the next start: %v, %v", left, err)
	}
}

func TestParallelCreationOfOneTenantSucceedsOnce(t *testing.T) {
	w := bootstrapped(t)
	const attempts = 8
	var wait sync.WaitGroup
	var mu sync.Mutex
	var made int
	for range attempts {
		wait.Go(func() {
			_, err := w.CreateTenant(background, operator, core.TenantInput{Slug: "acme"})
			if err == nil {
				mu.Lock()
				made++
				mu.Unlock()
				return
			}
			var told *core.Error
			if !errors.As(err, &told) || told.Code != codes.AlreadyExists {
				t.Errorf("create: %v", err)
			}
		})
	}
	wait.Wait()
	if made != 1 {
		t.Errorf("%d of %d succeeded", made, attempts)
	}
}
