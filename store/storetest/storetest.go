// Package storetest is what every core.Store must do, as tests. It sees a store
// through core's interfaces alone and knows no kind of database.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

// Place makes somewhere empty to keep a store, and returns how to open what is
// there: more than once, each time after the store before was closed.
type Place func(t testing.TB) (open func() core.Store)

// Run runs the whole suite, each test in a place of its own.
func Run(t *testing.T, place Place) {
	for name, test := range map[string]func(*testing.T, Place){
		"Platform":      testPlatform,
		"Tenants":       testTenants,
		"Authorities":   testAuthorities,
		"Assignments":   testAssignments,
		"History":       testCertificateHistory,
		"Revocations":   testRevocations,
		"Operators":     testOperators,
		"Commands":      testCommands,
		"Restorations":  testRestorations,
		"TenantFiles":   testTenantFiles,
		"Services":      testServices,
		"Sources":       testSources,
		"SourceStats":   testSourceStats,
		"Runs":          testRuns,
		"Events":        testEvents,
		"EventLog":      testEventLog,
		"Isolation":     testIsolation,
		"Transactions":  testTransactions,
		"Concurrency":   testConcurrency,
		"Cancellation":  testCancellation,
		"Reopening":     testReopening,
		"Plans":         testPlans,
		"PlanRefusals":  testPlanRefusals,
		"Redirects":     testRedirects,
		"Devices":       testDevices,
		"Search":        testSearch,
		"Neighbourhood": testNeighbourhood,
		"Known":         testKnown,
		"TakenHomes":    testTakenHomes,
		"Crowds":        testCrowds,
		"Lock":          testLock,
		"Snapshots":     testSnapshots,
		"Holds":         testHolds,
		"Links":         testLinks,
		"Decisions":     testDecisions,
		"Assertions":    testAssertions,
		"Duplicates":    testDuplicates,
		"Probes":        testProbes,
		"Guarantees":    testGuarantees,
		"Scenario":      testScenario,
		"TokenKeys":     testTokenKeys,
		"JoinTokens":    testJoinTokens,
		"JoinTokenRace": testJoinTokenRace,
		"UseOnce":       testUseOnce,
		"Certificates":  testCertificates,
	} {
		t.Run(name, func(t *testing.T) { test(t, place) })
	}
}

// open opens a store that is closed at the end of the test.
func open(t testing.TB, place Place) core.Store {
	t.Helper()
	store := place(t)()
	t.Cleanup(func() { check(t, store.Close()) })
	return store
}

// openTenant opens a store with one tenant.
func openTenant(t testing.TB, place Place) core.TenantStore {
	t.Helper()
	return createTenant(t, open(t, place))
}

func createTenant(t testing.TB, store core.Store) core.TenantStore {
	t.Helper()
	tenant, err := store.CreateTenant(t.Context(), uuid.New())
	check(t, err)
	return tenant
}

func update(t testing.TB, tenant core.TenantStore, fn func(context.Context, core.TenantTx) error) {
	t.Helper()
	check(t, tenant.Update(t.Context(), func(tx core.TenantTx) error { return fn(t.Context(), tx) }))
}

func view(t testing.TB, tenant core.TenantStore, fn func(context.Context, core.TenantTx) error) {
	t.Helper()
	check(t, tenant.View(t.Context(), func(tx core.TenantTx) error { return fn(t.Context(), tx) }))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

// wantFailure is for an operation that could not be done: neither of the
// outcomes core has a name for.
func wantFailure(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, core.ErrNotFound) || errors.Is(err, core.ErrConflict) {
		t.Fatalf("%s: got error %v, want a failure that is neither not found nor a conflict", what, err)
	}
}

// at is a fixed time and some seconds.
func at(seconds int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, seconds, 123456000, time.UTC)
}
