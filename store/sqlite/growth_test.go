package sqlite_test

import (
	"testing"

	"github.com/google/uuid"

	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

func BenchmarkGrowth(b *testing.B) {
	for b.Loop() {
		store := open(b, b.TempDir(), sqlite.Options{})
		tenant, err := store.CreateTenant(b.Context(), uuid.New())
		if err != nil {
			b.Fatal(err)
		}
		storetest.Growth(b, tenant)
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
