package postgres_test

import (
	"testing"

	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
	"edgesync/store/storetest"
)

func TestStatementsOfABatchAreConstant(t *testing.T) {
	var sent storetest.Statements
	store := open(t, pgtest.Database(t), postgres.Options{}.Observe(sent.Add))
	defer store.Close()
	storetest.StatementsAreConstant(t, store, &sent, 1)
}
