package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

func BenchmarkGrowth(b *testing.B) {
	for b.Loop() {
		url, id := pgtest.Start(b).Database(b), uuid.New()
		store := open(b, url, postgres.Options{})
		warm(b, store)
		tenant, err := store.CreateTenant(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		schema, _ := store.SchemaOf(id)
		storetest.Growth(b, tenant, func() func(after, upTo int) time.Duration {
			return func(after, _ int) time.Duration { return timeRaw(b, conn, schema, after) }
		})
		if err := conn.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
