package core_test

import (
	"context"
	"testing"

	"edgesync/core"
)

// hangUp ends the caller's context as soon as a change of the platform's own is
// stored.
type hangUp struct {
	core.Store
	caller context.CancelFunc
}

func (h *hangUp) Platform() core.PlatformStore { return hangUpPlatform{h.Store.Platform(), h} }

type hangUpPlatform struct {
	core.PlatformStore
	h *hangUp
}

func (p hangUpPlatform) Update(ctx context.Context, fn func(core.PlatformTx) error) error {
	defer p.h.caller()
	return p.PlatformStore.Update(ctx, fn)
}

// TestRotationCountsThoughItsCallerLeft takes a caller that hangs up once the
// authorities are stored: the old ones must be refused here all the same.
func TestRotationCountsThoughItsCallerLeft(t *testing.T) {
	rotations := map[string]func(context.Context, *core.Core) (core.Rotation, error){
		"tenant": func(ctx context.Context, c *core.Core) (core.Rotation, error) {
			return c.RotateTenant(ctx, operator, "acme", true)
		},
		"root": func(ctx context.Context, c *core.Core) (core.Rotation, error) {
			return c.RotateRoot(ctx, operator, true)
		},
	}
	for name, rotate := range rotations {
		t.Run(name, func(t *testing.T) {
			w := bootstrapped(t)
			w.tenant("acme")
			before, err := w.Onboard(t.Context(), operator, core.OnboardInput{Tenant: "acme", Name: "hq", CSR: csr(t)})
			if err != nil {
				t.Fatal(err)
			}
			issued := chain(t, before.Certificate.ChainPEM)
			store := &hangUp{w.store, func() {}}
			if w.Core, err = w.open(store); err != nil {
				t.Fatal(err)
			}
			told := 0
			defer w.OnAuthorities(func() { told++ })()
			ctx, hangUp := context.WithCancel(t.Context())
			store.caller = hangUp
			if _, err := rotate(ctx, w.Core); err != nil {
				t.Fatal(err)
			}
			if ctx.Err() == nil {
				t.Fatal("the caller did not hang up")
			}
			if _, err := w.Issuers().Identify(issued, w.clock.Now()); name == "tenant" && err == nil {
				t.Error("an identity of the authority that leaked is still accepted")
			}
			if want := map[string]int{"tenant": 0, "root": 1}[name]; told != want {
				t.Errorf("the servers were told %d times, want %d", told, want)
			}
			events, err := w.Events(t.Context(), core.EventQuery{Tenant: map[string]string{"tenant": "acme", "root": "platform"}[name]})
			if err != nil {
				t.Fatal(err)
			}
			newest := events[len(events)-1].Type
			if want := map[string]string{"tenant": "authority.rotated", "root": "root.rotated"}[name]; newest != want {
				t.Errorf("the newest event is %s, want %s", newest, want)
			}
		})
	}
}
