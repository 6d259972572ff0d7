package sqlite_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

// whole is a step that goes through a table of devices, or through all of a source:
// the names are those of the tables and what the queries call them.
var whole = regexp.MustCompile(`^SCAN (assertion|fact|identifier|device|device_text|sighting|g|a|f|i|o|s)( |$)|assertion_key \(source=\?\)`)

func TestABatchReadsNoTableWhole(t *testing.T) {
	var sent storetest.Statements
	store := open(t, t.TempDir(), sqlite.Options{}.Observe(sent.Add))
	defer store.Close()
	id := uuid.New()
	tenant, err := store.CreateTenant(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	statements := map[string]bool{}
	for _, batch := range []struct {
		source     string
		run, epoch int
	}{
		{storetest.Armis, 1, 0}, {storetest.Armis, 2, 0}, {storetest.Armis, 3, 1}, {storetest.NetBox, 3, 1}, {storetest.Armis, 4, 2},
	} {
		for _, statement := range sent.During(func() {
			if _, err := storetest.Ingest(t.Context(), tenant, batch.source, batch.run, storetest.Inventory(0, 50, batch.epoch)); err != nil {
				t.Fatal(err)
			}
		}) {
			statements[statement] = true
		}
	}
	for statement := range statements {
		if strings.HasPrefix(statement, "PREPARE ") || statement == "BEGIN" || statement == "COMMIT" {
			continue
		}
		steps, err := store.Plan(t.Context(), id, statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		for _, step := range steps {
			if whole.MatchString(step) && !strings.Contains(step, "VIRTUAL TABLE") && !strings.Contains(step, "identifier_weak") {
				t.Errorf("%s: %s", statement, step)
			}
		}
	}
}
