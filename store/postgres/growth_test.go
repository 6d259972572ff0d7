package postgres_test

import (
	"testing"

	"github.com/google/uuid"

	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

func BenchmarkGrowth(b *testing.B) {
	for b.Loop() {
		store := open(b, pgtest.Start(b).Database(b), postgres.Options{})
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
