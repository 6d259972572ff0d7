package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/core"
)

func TestBootstrapMakesThePlatformOnce(t *testing.T) {
	w := newWorld(t)
	_, err := w.Tenants(t.Context())
	wantCode(t, err, codes.FailedPrecondition)
	if !strings.Contains(err.Error(), "edgesync bootstrap") {
		t.Errorf("error %q does not say what to do", err)
	}
	first, created, err := w.Bootstrap(t.Context(), operator, core.BootstrapInput{GatewayAddr: "gw.example.com:50052"})
	if err != nil || !created {
		t.Fatalf("first bootstrap: created %v, %v", created, err)
	}
	if first.TenantID.Version() != 4 || first.Slug != "platform" || first.CAAddr != "gw.example.com:9443" {
		t.Errorf("platform is %+v", first.Platform)
	}
	w.reopen()
	again, created, err := w.Bootstrap(t.Context(), operator, core.BootstrapInput{PlatformSlug: "other"})
	if err != nil || created {
		t.Fatalf("second bootstrap: created %v, %v", created, err)
	}
	if again.TenantID != first.TenantID || again.RootFingerprint != first.RootFingerprint || again.Slug != "platform" {
		t.Errorf("second bootstrap changed the platform: %+v", again.Platform)
	}
	service := w.service("platform", core.PlatformSyncName)
	if service.Type != core.ServiceSaaS || !service.IsPlatformSync || service.Status != core.StatusOffline {
		t.Errorf("platform sync service is %+v", service)
	}
}

func TestBootstrapRefusesBadInput(t *testing.T) {
	for name, in := range map[string]core.BootstrapInput{
		"slug":             {PlatformSlug: "Not A Slug"},
		"trust domain":     {TrustDomain: "under_score"},
		"long names":       {TrustDomain: strings.Repeat("a", 60)},
		"gateway port":     {GatewayAddr: "host:0"},
		"gateway host":     {GatewayAddr: ":50052"},
		"gateway wildcard": {GatewayAddr: "0.0.0.0:50052"},
		"gateway text":     {GatewayAddr: "ho\nst:1"},
		"ca":               {CAAddr: "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, _, err := w.Bootstrap(t.Context(), operator, in)
			wantCode(t, err, codes.InvalidArgument)
			if _, err := w.PlatformInfo(t.Context()); err == nil {
				t.Error("a platform was made all the same")
			}
		})
	}
}

func TestDamagedPlatformIsRefusedAtEveryStart(t *testing.T) {
	for name, damage := range map[string]func(context.Context, core.PlatformTx, *core.Platform) error{
		"zero id": func(_ context.Context, _ core.PlatformTx, p *core.Platform) error { p.TenantID = uuid.Nil; return nil },
		"id not random": func(_ context.Context, _ core.PlatformTx, p *core.Platform) error {
			p.TenantID = uuid.NewSHA1(uuid.NameSpaceDNS, []byte("x"))
			return nil
		},
		"foreign tenant": func(_ context.Context, _ core.PlatformTx, p *core.Platform) error {
			p.TenantID = uuid.New()
			return nil
		},
		"other slug": func(_ context.Context, _ core.PlatformTx, p *core.Platform) error { p.Slug = "acme"; return nil },
		"no tenant": func(ctx context.Context, tx core.PlatformTx, p *core.Platform) error {
			return tx.DeleteTenant(ctx, p.TenantID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := bootstrapped(t)
			err := w.store.Platform().Update(t.Context(), func(tx core.PlatformTx) error {
				p, err := tx.Platform(t.Context())
				if err != nil {
					return err
				}
				if err := damage(t.Context(), tx, &p); err != nil {
					return err
				}
				return tx.PutPlatform(t.Context(), p)
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.open(w.store)
			wantCode(t, err, codes.FailedPrecondition)
		})
	}
}

func TestAnotherKeysetIsRefused(t *testing.T) {
	w, other := bootstrapped(t), newWorld(t)
	w.keyset = other.keyset
	_, err := w.open(w.store)
	wantCode(t, err, codes.FailedPrecondition)
}

// failing is a store whose writes to the platform's rows fail from a given one on.
type failing struct {
	core.Store
	left int
}

var errFault = errors.New("injected fault")

func (f *failing) Platform() core.PlatformStore { return failingPlatform{f.Store.Platform(), f} }

type failingPlatform struct {
	core.PlatformStore
	f *failing
}

func (p failingPlatform) Update(ctx context.Context, fn func(core.PlatformTx) error) error {
	if p.f.left--; p.f.left < 0 {
		return errFault
	}
	return p.PlatformStore.Update(ctx, fn)
}

func TestBootstrapCutShortIsMadeGoodByTheNext(t *testing.T) {
	for writes := range 2 {
		w := newWorld(t)
		broken, err := w.open(&failing{w.store, writes})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := broken.Bootstrap(t.Context(), operator, core.BootstrapInput{}); !errors.Is(err, errFault) {
			t.Fatalf("bootstrap with a fault after %d writes: %v", writes, err)
		}
		w.reopen()
		if _, created, err := w.Bootstrap(t.Context(), operator, core.BootstrapInput{}); err != nil || !created {
			t.Fatalf("bootstrap after a fault: created %v, %v", created, err)
		}
		if tenants, err := w.Tenants(t.Context()); err != nil || len(tenants) != 1 {
			t.Errorf("tenants after it: %v, %v", tenants, err)
		}
	}
}
