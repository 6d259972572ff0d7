package sqlite_test

import (
	"testing"

	"edgesync/store/sqlite"
	"edgesync/store/storetest"
)

func TestStatementsOfABatchAreConstant(t *testing.T) {
	var sent storetest.Statements
	store := open(t, t.TempDir(), sqlite.Options{}.Observe(sent.Add))
	defer store.Close()
	storetest.StatementsAreConstant(t, store, &sent, 0)
}
