package dire_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edgesync/dire"
)

// The properties hold for streams over a handful of sources, ids and addresses,
// so that nearly everything collides. -rapid.checks=N tries more of them.

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func minutes(n int) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }

func drawUpdate(t *rapid.T) dire.Update {
	pick := func(label string, values ...string) string {
		return rapid.SampledFrom(values).Draw(t, label)
	}
	u := dire.Update{
		NativeID: pick("native", "", "", "1", "2", "3", "4", "5"),
		Hostname: pick("host", "", "a", "B.", "c"),
		Model:    pick("model", "", "x", "y"),
		MACs: rapid.SliceOfN(rapid.SampledFrom([]string{
			"00:1b:21:00:00:01", "001B.2100.0002", "00-1b-21-00-00-03", "00:1b:21:00:00:04",
			"02:00:00:00:00:05", "00:00:5e:00:01:06", "ff:ff:ff:ff:ff:ff",
		}), 0, 2).Draw(t, "macs"),
		IPs: rapid.SliceOfN(rapid.SampledFrom([]string{
			"10.0.0.1", "10.0.0.2/24", "10.0.0.3", "::ffff:10.0.0.1", "fe80::1%eth0", "127.0.0.1",
		}), 0, 2).Draw(t, "ips"),
		SeenAt:  minutes(rapid.IntRange(-5, 20).Draw(t, "seen")),
		Deleted: rapid.IntRange(0, 7).Draw(t, "deleted") == 0,
	}
	if rapid.IntRange(0, 2).Draw(t, "has serial") == 0 {
		u.Manufacturer = pick("maker", "Dell", "dell ", "HP")
		u.SerialNumber = pick("serial", "S-1001", "s-1001", "S-1002", "Default string")
	}
	return u
}

// stream draws batches; some updates are ones it drew before.
type stream struct {
	// moves lets sources change their partition.
	moves bool
	said  []dire.Update
}

func (s *stream) updates(t *rapid.T) []dire.Update {
	list := rapid.SliceOfN(rapid.Custom(drawUpdate), 1, 5).Draw(t, "updates")
	for i := range list {
		if len(s.said) > 0 && rapid.IntRange(0, 2).Draw(t, "again") == 0 {
			seen := list[i].SeenAt
			list[i] = rapid.SampledFrom(s.said).Draw(t, "said")
			list[i].SeenAt = seen
		}
	}
	s.said = append(s.said, list...)
	return list
}

func (s *stream) batch(t *rapid.T) dire.Batch {
	source := rapid.SampledFrom([]string{"armis", "netbox", "sweep"}).Draw(t, "source")
	b := dire.Batch{
		Source: source, SourceType: source, Partition: "p1",
		Confidence: map[string]int{"armis": 7, "netbox": 7, "sweep": 3}[source],
		Received:   minutes(15),
		Updates:    s.updates(t),
	}
	if s.moves {
		b.Partition = rapid.SampledFrom([]string{"p1", "p1", "p2"}).Draw(t, "partition")
	}
	start := rapid.IntRange(1, 5).Draw(t, "run")
	b.Run = dire.Run{ID: fmt.Sprint("run", start), Started: minutes(start)}
	return b
}

func TestEveryStreamGivesWhatTheRulesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := newMemory(rapid.Uint64().Draw(t, "seed"))
		rules := &oracle{said: map[dire.Ref][]saying{}}
		s := stream{moves: true}
		for i := range rapid.IntRange(1, 12).Draw(t, "batches") {
			b := s.batch(t)
			before := store.clone()
			store.ingest(t, b)
			rules.hear(t, b, i)
			compare(t, store, rules)
			checkIsolation(t, before, store, b)
			checkConservation(t, store)
		}
	})
}

func compare(t *rapid.T, store *memory, rules *oracle) {
	t.Helper()
	want := rules.assertions()
	if len(want) != len(store.rows) {
		t.Fatalf("stored %d assertions, want %d", len(store.rows), len(want))
	}
	for ref, w := range want {
		got := store.rows[ref]
		if got.Hash != w.Hash || !reflect.DeepEqual(got.Facts, w.Facts) || got.Partition != w.Partition {
			t.Fatalf("%v holds %+v, want %+v", ref, got, w)
		}
		if !got.Run.Started.Equal(w.Run.Started) || !got.RetractedAt.Equal(w.RetractedAt) ||
			!got.FirstSeen.Equal(w.FirstSeen) || got.HomeID != w.HomeID {
			t.Fatalf("%v is %+v, want %+v", ref, got, w)
		}
		if got.DeviceID != w.DeviceID {
			t.Fatalf("%v is of device %s, want %s", ref, name(store, got.DeviceID), name(store, w.DeviceID))
		}
	}
}

// name tells whose home an id is.
func name(store *memory, id string) string {
	for ref, a := range store.rows {
		if a.HomeID == id {
			return fmt.Sprintf("%s/%s (%s)", ref.Source, ref.Key, id)
		}
	}
	return id
}

// checkIsolation: a batch changes nothing in another partition but what it moves
// away from there, and the devices those things leave.
func checkIsolation(t *rapid.T, before, after *memory, b dire.Batch) {
	t.Helper()
	left := map[string]bool{b.Partition: true}
	for ref, a := range before.rows {
		if now := after.rows[ref]; now.Partition != a.Partition {
			if ref.Source != b.Source {
				t.Fatalf("a batch of %s moved %v to %s", b.Source, ref, now.Partition)
			}
			left[a.Partition] = true
		}
	}
	deleted := slices.ContainsFunc(b.Updates, func(u dire.Update) bool { return u.Deleted })
	for ref, a := range before.rows {
		// A deletion may speak of a thing that is still in the former partition.
		if !left[a.Partition] && !(deleted && anyOf(before, b.Source, a.Partition)) && !reflect.DeepEqual(a, after.rows[ref]) {
			t.Fatalf("a batch of %s in %s changed %v in %s", b.Source, b.Partition, ref, a.Partition)
		}
	}
}

func anyOf(m *memory, source, partition string) bool {
	for ref, a := range m.rows {
		if ref.Source == source && a.Partition == partition {
			return true
		}
	}
	return false
}

// checkConservation: every assertion is of one device with the record its members
// give, every device has members, and every id leads somewhere.
func checkConservation(t *rapid.T, store *memory) {
	t.Helper()
	members := map[string][]dire.Assertion{}
	for _, a := range store.rows {
		members[a.DeviceID] = append(members[a.DeviceID], a)
		if _, ok := store.device(a.HomeID); !ok {
			t.Fatalf("home %s of %v leads nowhere", a.HomeID, refOf(&a))
		}
	}
	for id, list := range members {
		if want := record(id, list); !reflect.DeepEqual(store.devices[id], want) {
			t.Fatalf("device %s is\n%+v, want\n%+v", id, store.devices[id], want)
		}
	}
	for id := range store.devices {
		if len(members[id]) == 0 {
			t.Fatalf("device %s has no members", id)
		}
	}
}

func TestRepeatedBatchesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := newMemory(0)
		s := stream{moves: true}
		var batches []dire.Batch
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			b := s.batch(t)
			batches = append(batches, b)
			store.ingest(t, b)
		}
		before := store.clone()
		for _, b := range rapid.Permutation(batches).Draw(t, "repeats") {
			plan := store.ingest(t, b)
			if len(plan.Put)+len(plan.Devices)+len(plan.Gone)+len(plan.Findings) > 0 || plan.Stats.Stored > 0 {
				t.Fatalf("a repeated batch plans %+v", plan)
			}
		}
		for ref, a := range store.rows {
			// Two runs that started together may take turns as the latest.
			a.Run.ID = before.rows[ref].Run.ID
			a.LastSeen = before.rows[ref].LastSeen
			store.rows[ref] = a
		}
		if !reflect.DeepEqual(before.rows, store.rows) {
			t.Fatal("repeated batches changed what is stored")
		}
	})
}

func TestOrderAndBatchingDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moves := rapid.Bool().Draw(t, "moves")
		whole, single := newMemory(1), newMemory(2)
		s := stream{moves: moves}
		var pieces []dire.Batch
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			b := s.batch(t)
			for i := range b.Updates {
				b.Updates[i].SeenAt = epoch
			}
			whole.ingest(t, b)
			for i := range b.Updates {
				piece := b
				piece.Updates = b.Updates[i : i+1]
				pieces = append(pieces, piece)
			}
		}
		for _, b := range rapid.Permutation(pieces).Draw(t, "order") {
			single.ingest(t, b)
		}
		if len(whole.rows) != len(single.rows) {
			t.Fatalf("%d assertions in one order, %d in another", len(whole.rows), len(single.rows))
		}
		for ref, a := range whole.rows {
			b := single.rows[ref]
			if a.Hash != b.Hash || !a.RetractedAt.Equal(b.RetractedAt) || !a.Run.Started.Equal(b.Run.Started) {
				t.Fatalf("%v is %+v in one order, %+v in another", ref, a, b)
			}
		}
		if !moves {
			for ref, a := range whole.rows {
				if b := single.rows[ref]; a.HomeID != b.HomeID || a.DeviceID != b.DeviceID {
					t.Fatalf("%v has home %s and device %s in one order, %s and %s in another", ref,
						a.HomeID, a.DeviceID, b.HomeID, b.DeviceID)
				}
			}
		}
		if got, want := partition(single), partition(whole); !maps.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("groups %v in one order, %v in another", want, got)
		}
	})
}

// partition maps each assertion to those it is one device with.
func partition(m *memory) map[dire.Ref][]dire.Ref {
	result := map[dire.Ref][]dire.Ref{}
	for ref, a := range m.rows {
		for other, b := range m.rows {
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
