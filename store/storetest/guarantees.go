package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"edgesync/core"
	"edgesync/dire"
	"edgesync/dire/diretest"
)

// defaults are the rules a platform runs on.
var defaults = dire.DefaultRules()

// streams is how many random streams a store is taken through: so many, or
// EDGESYNC_STREAMS.
const streams = 60

// testGuarantees takes a store through random streams of which operators are
// part: after each step it holds what a brute-force oracle of the rules says, and
// once the operators' words are taken back, what the rules alone say.
func testGuarantees(t *testing.T, place Place) {
	count := number(t, "EDGESYNC_STREAMS", streams/slowdown)
	const workers = 2
	store := open(t, place)
	var group sync.WaitGroup
	for worker := range workers {
		tenant := createTenant(t, store)
		group.Go(func() {
			for seed := worker; seed < count && !t.Failed(); seed += workers {
				if err := TakeThrough(t.Context(), tenant, uint64(seed)); err != nil {
					t.Errorf("stream %d: %v", seed, err)
				}
			}
		})
	}
	group.Wait()
}

func number(t *testing.T, variable string, unless int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return unless
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("read %s: %v", variable, err)
	}
	return n
}

// errUndone is what a transaction that must leave nothing behind ends with.
var errUndone = errors.New("undone")

// TakeThrough takes a store through one random stream, in one transaction that is not
// kept: so each stream finds an empty store.
func TakeThrough(ctx context.Context, tenant core.TenantStore, seed uint64) error {
	err := tenant.Update(ctx, func(tx core.TenantTx) (err error) {
		defer func() {
			if r := recover(); r != nil {
				failure, ok := r.(failure)
				if !ok {
					panic(r)
				}
				err = failure
			}
		}()
		random := rand.New(rand.NewPCG(seed, 7))
		stream := &diretest.Stream{Moves: true, Batches: 5, Draw: func(n int, _ string) int { return random.IntN(n) }}
		diretest.Reversible(reporter{}, &transaction{ctx, tx}, stream)
		return errUndone
	})
	if errors.Is(err, errUndone) {
		return nil
	}
	return err
}

// failure is how a reporter leaves a stream.
type failure string

func (f failure) Error() string { return string(f) }

// reporter is a diretest.T for a stream that is not in the test's goroutine.
type reporter struct{}

func (reporter) Helper()                           {}
func (reporter) Fatal(args ...any)                 { panic(failure(fmt.Sprint(args...))) }
func (reporter) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// transaction is a diretest.Store in one transaction of a tenant's store.
type transaction struct {
	ctx context.Context
	tx  core.TenantTx
}

func (s *transaction) Ingest(t diretest.T, b dire.Batch) dire.Plan {
	b.Updates = slices.Clone(b.Updates)
	probe, err := defaults.ProbeFor(b)
	if err == nil {
		probe, err = s.tx.Touch(s.ctx, probe)
	}
	return s.carryOut(t, probe, err)
}

func (s *transaction) Relink(t diretest.T, c dire.LinkChange) dire.Plan {
	probe, err := defaults.ProbeForLinks(c)
	return s.carryOut(t, probe, err)
}

func (s *transaction) Retract(t diretest.T, r dire.Retractions) dire.Plan {
	probe, err := defaults.ProbeForRetractions(r)
	return s.carryOut(t, probe, err)
}

func (s *transaction) carryOut(t diretest.T, probe dire.Probe, err error) dire.Plan {
	var near dire.Neighbourhood
	if err == nil {
		near, err = s.tx.Neighbourhood(s.ctx, probe)
	}
	var plan dire.Plan
	if err == nil {
		plan, err = defaults.Plan(probe, near)
	}
	if err == nil {
		err = s.tx.Apply(s.ctx, plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (s *transaction) State(t diretest.T) (map[dire.Ref]dire.Assertion, map[string]dire.Device) {
	rules := defaults
	rows, devices := map[dire.Ref]dire.Assertion{}, map[string]dire.Device{}
	err := s.tx.Assertions(s.ctx, func(a dire.Assertion) error {
		a.Identifiers, _ = rules.Identifiers(&a.Facts)
		rows[diretest.RefOf(&a)] = a
		return nil
	})
	if err == nil {
		err = s.tx.Devices(s.ctx, core.DeviceFilter{}, func(d dire.Device) error {
			devices[d.ID] = d
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return rows, devices
}
