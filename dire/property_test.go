package dire_test

import (
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edgesync/dire"
	"edgesync/dire/diretest"
)

// EDGESYNC_STREAMS=N tries N streams for each property, instead of a hundred.
func TestMain(m *testing.M) {
	flag.Parse()
	if streams := os.Getenv("EDGESYNC_STREAMS"); streams != "" {
		if err := flag.Set("rapid.checks", streams); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func minutes(n int) time.Time { return diretest.Minutes(n) }

func streamOf(t *rapid.T, moves bool) *diretest.Stream {
	return &diretest.Stream{Moves: moves, Draw: func(n int, label string) int {
		return rapid.IntRange(0, n-1).Draw(t, label)
	}}
}

func TestEveryStreamGivesWhatTheRulesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := diretest.NewMemory(rapid.Uint64().Draw(t, "seed"))
		rules, s := diretest.NewOracle(), streamOf(t, true)
		for i := range rapid.IntRange(1, 12).Draw(t, "batches") {
			if s.Draw(6, "snapshot") == 5 {
				r := s.Retractions(store.Rows)
				rules.Retract(r)
				store.Retract(t, r)
				diretest.Check(t, store, rules)
			}
			b := s.Batch()
			before := store.Clone()
			store.Ingest(t, b)
			rules.Hear(t, b, i)
			diretest.Check(t, store, rules)
			checkIsolation(t, before, store, b)
			checkRedirects(t, store)
		}
	})
}

// checkIsolation: a batch changes nothing in another partition but what it moves
// away from there, and the devices those things leave.
func checkIsolation(t *rapid.T, before, after *diretest.Memory, b dire.Batch) {
	t.Helper()
	left := map[string]bool{b.Partition: true}
	for ref, a := range before.Rows {
		if now := after.Rows[ref]; now.Partition != a.Partition {
			if ref.Source != b.Source {
				t.Fatalf("a batch of %s moved %v to %s", b.Source, ref, now.Partition)
			}
			left[a.Partition] = true
		}
	}
	deleted := slices.ContainsFunc(b.Updates, func(u dire.Update) bool { return u.Deleted })
	for ref, a := range before.Rows {
		// A deletion may speak of a thing that is still in the former partition.
		if !left[a.Partition] && !(deleted && anyOf(before, b.Source, a.Partition)) && !reflect.DeepEqual(a, after.Rows[ref]) {
			t.Fatalf("a batch of %s in %s changed %v in %s", b.Source, b.Partition, ref, a.Partition)
		}
	}
}

func anyOf(m *diretest.Memory, source, partition string) bool {
	for ref, a := range m.Rows {
		if ref.Source == source && a.Partition == partition {
			return true
		}
	}
	return false
}

// checkRedirects: every id leads somewhere.
func checkRedirects(t *rapid.T, store *diretest.Memory) {
	t.Helper()
	for ref, a := range store.Rows {
		if _, ok := store.Device(a.HomeID); !ok {
			t.Fatalf("home %s of %v leads nowhere", a.HomeID, ref)
		}
	}
}

func TestRepeatedBatchesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, s := diretest.NewMemory(0), streamOf(t, true)
		var batches []dire.Batch
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			b := s.Batch()
			batches = append(batches, b)
			store.Ingest(t, b)
			store.Relink(t, s.LinkChange(store.Rows))
		}
		before := store.Clone()
		for _, b := range rapid.Permutation(batches).Draw(t, "repeats") {
			plan := store.Ingest(t, b)
			if len(plan.Put)+len(plan.Devices)+len(plan.Gone)+len(plan.Decisions) > 0 || plan.Stats.Stored > 0 {
				t.Fatalf("a repeated batch plans %+v", plan)
			}
		}
		for ref, a := range store.Rows {
			// Two runs that started together may take turns as the latest.
			a.Run.ID = before.Rows[ref].Run.ID
			a.LastSeen = before.Rows[ref].LastSeen
			store.Rows[ref] = a
		}
		if !reflect.DeepEqual(before.Rows, store.Rows) {
			t.Fatal("repeated batches changed what is stored")
		}
	})
}

func TestOrderAndBatchingDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moves := rapid.Bool().Draw(t, "moves")
		whole, single := diretest.NewMemory(1), diretest.NewMemory(2)
		s := streamOf(t, moves)
		s.SeenAt = diretest.Epoch
		var pieces []dire.Batch
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			b := s.Batch()
			whole.Ingest(t, b)
			for i := range b.Updates {
				piece := b
				piece.Updates = b.Updates[i : i+1]
				pieces = append(pieces, piece)
			}
		}
		for _, b := range rapid.Permutation(pieces).Draw(t, "order") {
			single.Ingest(t, b)
		}
		if len(whole.Rows) != len(single.Rows) {
			t.Fatalf("%d assertions in one order, %d in another", len(whole.Rows), len(single.Rows))
		}
		for ref, a := range whole.Rows {
			b := single.Rows[ref]
			if a.Hash != b.Hash || !a.RetractedAt.Equal(b.RetractedAt) || !a.Run.Started.Equal(b.Run.Started) {
				t.Fatalf("%v is %+v in one order, %+v in another", ref, a, b)
			}
			if !moves && (a.HomeID != b.HomeID || a.DeviceID != b.DeviceID) {
				t.Fatalf("%v has home %s and device %s in one order, %s and %s in another", ref,
					a.HomeID, a.DeviceID, b.HomeID, b.DeviceID)
			}
		}
		if got, want := partition(single), partition(whole); !maps.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("groups %v in one order, %v in another", want, got)
		}
	})
}

// partition maps each assertion to those it is one device with.
func partition(m *diretest.Memory) map[dire.Ref][]dire.Ref {
	result := map[dire.Ref][]dire.Ref{}
	for ref, a := range m.Rows {
		for other, b := range m.Rows {
			if a.DeviceID == b.DeviceID {
				result[ref] = append(result[ref], other)
			}
		}
		slices.SortFunc(result[ref], func(a, b dire.Ref) int {
			return strings.Compare(a.Source+" "+a.Key, b.Source+" "+b.Key)
		})
	}
	return result
}

func TestOperatorsWordsHoldAndAreUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := diretest.NewMemory(rapid.Uint64().Draw(t, "seed"))
		diretest.Reversible(t, store, streamOf(t, true))
		checkRedirects(t, store)
	})
}
