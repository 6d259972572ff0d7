package postgres_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

// wholeTable is a table of devices read in a plan without an index, or kept to be
// gone through for each row of a batch.
var wholeTable = regexp.MustCompile(`(?:Seq Scan on|Materialize[^>]*-> +(?:Index Scan|Index Only Scan|Bitmap Heap Scan).* on) (?:assertion|fact|device|device_text|identifier|sighting)\b`)

// TestPlansMadeWhileTablesAreSmallLookRowsUp has the statements of batches planned
// while there are three devices. Such plans are kept, so they must be those that
// serve a million.
func TestPlansMadeWhileTablesAreSmallLookRowsUp(t *testing.T) {
	store := open(t, pgtest.Database(t), postgres.Options{Connections: 1})
	defer store.Close()
	id := uuid.New()
	tenant, err := store.CreateTenant(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(10) { // Retractions and operators' words, too.
		if err := storetest.TakeThrough(t.Context(), tenant, seed); err != nil {
			t.Fatal(err)
		}
	}
	for run, epoch := range []int{0, 0, 1} { // Fresh, unchanged, changed.
		if _, err := storetest.Ingest(t.Context(), tenant, storetest.Armis, run, storetest.Inventory(0, 3, epoch)); err != nil {
			t.Fatal(err)
		}
	}
	plans := map[string]string{}
	err = store.AsTenant(t.Context(), id, func(tx pgx.Tx) error { return explain(t, tx, plans) })
	if err != nil {
		t.Fatal(err)
	}
	walks := 0
	for statement, plan := range plans {
		if strings.Contains(statement, "RECURSIVE") {
			walks++
		}
		if found := wholeTable.FindString(plan); found != "" {
			t.Errorf("%s\nis planned with %q:\n%s", statement, found, plan)
		}
	}
	if len(plans) < 20 || walks != 1 {
		t.Errorf("%d statements were planned, %d of them walk", len(plans), walks)
	}
}

// TestPlansOfTablesCountedWhileSmallAreNotKept has the tables of three devices counted.
// A plan from then goes through the whole table for each row of a batch, however
// many there are by then: it must serve once.
func TestPlansOfTablesCountedWhileSmallAreNotKept(t *testing.T) {
	store := open(t, pgtest.Database(t), postgres.Options{Connections: 1})
	defer store.Close()
	id := uuid.New()
	tenant, err := store.CreateTenant(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	run := 0
	kept := func(devices int) (plans int) { // by two more runs
		count := func() (n int) {
			err := store.AsTenant(t.Context(), id, func(tx pgx.Tx) error {
				return tx.QueryRow(t.Context(), `SELECT coalesce(sum(generic_plans), 0) FROM pg_prepared_statements WHERE statement ~ 'unnest|= ANY'`,
					pgx.QueryExecModeSimpleProtocol).Scan(&n)
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := count()
		for range 2 {
			run++
			if _, err := storetest.Ingest(t.Context(), tenant, storetest.Armis, run, storetest.Inventory(0, devices, run)); err != nil {
				t.Fatal(err)
			}
		}
		return count() - before
	}
	analyze := func() {
		err := store.AsTenant(t.Context(), id, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `ANALYZE assertion, fact, device, device_text, identifier, sighting`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := kept(3); n < 10 {
		t.Errorf("before they were counted, %d plans were kept", n)
	}
	analyze()
	if n := kept(3); n != 0 {
		t.Errorf("once three devices were counted, %d plans were kept", n)
	}
	if _, err := storetest.Ingest(t.Context(), tenant, storetest.Armis, run, storetest.Inventory(3, 10_003, 0)); err != nil {
		t.Fatal(err)
	}
	analyze()
	if n := kept(3); n < 10 {
		t.Errorf("once ten thousand devices were counted, %d plans were kept", n)
	}
}

// explain adds the plans of the batches' statements by their texts.
func explain(t *testing.T, tx pgx.Tx, plans map[string]string) error {
	type prepared struct {
		Name, Statement string
		Parameters      int
	}
	rows, err := tx.Query(t.Context(), `
		SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements WHERE statement ~ 'unnest|= ANY'`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowToStructByPos[prepared])
	if err != nil {
		return err
	}
	for _, s := range statements {
		nulls := strings.TrimSuffix(strings.Repeat("NULL, ", s.Parameters), ", ")
		rows, err := tx.Query(t.Context(), `EXPLAIN EXECUTE "`+s.Name+`" (`+nulls+`)`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		plans[s.Statement] = strings.Join(lines, "\n")
	}
	return nil
}
