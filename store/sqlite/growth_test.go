package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

func BenchmarkGrowth(b *testing.B) {
	for b.Loop() {
		dir, id := b.TempDir(), uuid.New()
		store := open(b, dir, sqlite.Options{})
		tenant, err := store.CreateTenant(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		path := filepath.Join(dir, "tenants", id.String()+".db")
		storetest.Growth(b, tenant, func() func(after, upTo int) time.Duration {
			twin := copyFile(b, path)
			return func(after, upTo int) time.Duration {
				defer os.Remove(twin)
				return timeRaw(b, path, twin, after, upTo)
			}
		})
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
