package sqlite_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"edgesync/core"
	"edgesync/store/sqlite"
)

func tenants(t *testing.T, store *sqlite.Store, n int) (ids []uuid.UUID, handles []core.TenantStore) {
	t.Helper()
	for range n {
		id := uuid.New()
		handle, err := store.CreateTenant(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		ids, handles = append(ids, id), append(handles, handle)
	}
	return ids, handles
}

func count(t *testing.T, tenant core.TenantStore) {
	t.Helper()
	err := tenant.View(t.Context(), func(tx core.TenantTx) error {
		_, err := tx.CountDevices(t.Context(), core.DeviceFilter{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestIdleTenantsBeyondTheLimitAreClosed(t *testing.T) {
	store := open(t, t.TempDir(), sqlite.Options{OpenTenants: 3})
	defer store.Close()
	ids, handles := tenants(t, store, 10)
	if got := store.OpenTenants(); len(got) != 3 {
		t.Fatalf("%d tenants are open, want 3", len(got))
	}
	// Handles outlive their files' closing; the most recently used stay open.
	for _, i := range []int{0, 5, 1, 0} {
		count(t, handles[i])
	}
	got := store.OpenTenants()
	for _, i := range []int{0, 5, 1} {
		if !slices.Contains(got, ids[i]) {
			t.Errorf("tenant %d was used lately and is closed", i)
		}
	}
}

func TestTenantInUseIsNeverClosed(t *testing.T) {
	store := open(t, t.TempDir(), sqlite.Options{OpenTenants: 1})
	defer store.Close()
	ids, handles := tenants(t, store, 6)
	var nest func(i int) error
	nest = func(i int) error {
		if i == len(handles) {
			if got := store.OpenTenants(); len(got) != len(ids) {
				t.Errorf("%d of %d tenants in use are open", len(got), len(ids))
			}
			return nil
		}
		return handles[i].Update(t.Context(), func(tx core.TenantTx) error {
			if err := nest(i + 1); err != nil {
				return err
			}
			return tx.PutSource(t.Context(), core.Source{ID: uuid.New(), Name: "after the others"})
		})
	}
	if err := nest(0); err != nil {
		t.Fatal(err)
	}
	if got := store.OpenTenants(); len(got) != 1 {
		t.Errorf("%d tenants are open, want 1", len(got))
	}
}

// TestTenantsComeAndGo opens, uses, drops and makes tenants from many sides with
// room for two: every use either succeeds or finds the tenant gone.
func TestTenantsComeAndGo(t *testing.T) {
	store := open(t, t.TempDir(), sqlite.Options{OpenTenants: 2})
	ids, _ := tenants(t, store, 5)
	var group errgroup.Group
	for worker := range uint64(6) {
		random := rand.New(rand.NewPCG(worker, 7))
		group.Go(func() error {
			for range 40 {
				id := ids[random.IntN(len(ids))]
				switch random.IntN(12) {
				case 0:
					if err := store.DropTenant(t.Context(), id); err != nil {
						return err
					}
				case 1:
					if _, err := store.CreateTenant(t.Context(), id); err != nil && !errors.Is(err, core.ErrNotFound) {
						return err
					}
				default:
					if err := putSource(t, store, id); err != nil && !errors.Is(err, core.ErrNotFound) {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if got := store.OpenTenants(); len(got) != 0 {
		t.Errorf("%d tenants are open after closing", len(got))
	}
}

func putSource(t *testing.T, store core.Store, id uuid.UUID) error {
	tenant, err := store.Tenant(t.Context(), id)
	if err != nil {
		return err
	}
	source := core.Source{ID: uuid.New()}
	source.Name = source.ID.String()
	return tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.PutSource(t.Context(), source) })
}
