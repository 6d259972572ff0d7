package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edgesync/syncrun/schedule"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// take returns the ids that start at a moment, in order.
func take(q *schedule.Queue, now time.Time) []string {
	var ids []string
	for {
		id, _, ok := q.Take(now)
		if !ok {
			return ids
		}
		ids = append(ids, id)
	}
}

func wantIDs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("took %v, want %v", got, want)
	}
}

func TestQueueTakesWhatIsDueInOrder(t *testing.T) {
	q := schedule.New(schedule.Limits{Total: 10, PerTenant: 10})
	q.Set("late", "a", start.Add(2*time.Second))
	q.Set("second", "a", start)
	q.Set("third", "a", start)
	q.Set("first", "a", start.Add(-time.Second))
	wantIDs(t, take(q, start), "first", "second", "third")
	if wake, ok := q.Wake(); !ok || !wake.Equal(start.Add(2*time.Second)) {
		t.Fatalf("wakes at %v, %v", wake, ok)
	}
	wantIDs(t, take(q, start.Add(time.Second)))
	wantIDs(t, take(q, start.Add(2*time.Second)), "late")
}

func TestQueueNeverOverlapsAnEntryWithItself(t *testing.T) {
	q := schedule.New(schedule.Limits{Total: 10, PerTenant: 10})
	q.Set("s", "a", start)
	wantIDs(t, take(q, start), "s")
	q.Set("s", "a", start)
	wantIDs(t, take(q, start.Add(time.Hour)))
	q.Done("s", start.Add(24*time.Hour))
	wantIDs(t, take(q, start.Add(time.Hour)), "s")
}

func TestQueueForgetsWhatWasRemovedWhileItRan(t *testing.T) {
	q := schedule.New(schedule.Limits{Total: 10, PerTenant: 10})
	q.Set("s", "a", start)
	wantIDs(t, take(q, start), "s")
	q.Remove("s")
	q.Done("s", start)
	wantIDs(t, take(q, start.Add(time.Hour)))
	if q.Len() != 0 || q.Running() != 0 {
		t.Fatalf("%d entries, %d running", q.Len(), q.Running())
	}
}

func TestQueueKeepsWhatCameBackWhileItRan(t *testing.T) {
	q := schedule.New(schedule.Limits{Total: 10, PerTenant: 10})
	q.Set("s", "a", start)
	wantIDs(t, take(q, start), "s")
	q.Remove("s")
	q.Set("s", "a", start.Add(time.Minute))
	q.Done("s", time.Time{})
	wantIDs(t, take(q, start.Add(time.Minute)), "s")
}

func TestQueueTenantsTakeTurns(t *testing.T) {
	q := schedule.New(schedule.Limits{Total: 4, PerTenant: 3})
	for i := range 100 {
		q.Set(fmt.Sprintf("big-%d", i), "big", start)
	}
	q.Set("small-0", "small", start)
	q.Set("tiny-0", "tiny", start)
	wantIDs(t, take(q, start), "big-0", "small-0", "tiny-0", "big-1")
	q.Done("small-0", start)
	q.Done("big-0", time.Time{})
	wantIDs(t, take(q, start), "big-2", "small-0")
}

func TestQueueLimitOfATenantHoldsNobodyElse(t *testing.T) {
	q := schedule.New(schedule.Limits{Total: 10, PerTenant: 2})
	for i := range 5 {
		q.Set(fmt.Sprintf("hung-%d", i), "hung", start)
	}
	wantIDs(t, take(q, start), "hung-0", "hung-1")
	q.Set("other", "other", start.Add(time.Second))
	wantIDs(t, take(q, start.Add(time.Second)), "other")
	q.Done("hung-0", time.Time{})
	wantIDs(t, take(q, start.Add(time.Second)), "hung-2")
}

// TestQueueProperties drives a queue at random beside a model that knows only
// what each entry is doing.
func TestQueueProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := schedule.Limits{Total: rapid.IntRange(1, 6).Draw(t, "total"), PerTenant: rapid.IntRange(1, 4).Draw(t, "per tenant")}
		q := schedule.New(limits)
		now := start
		due := map[string]time.Time{}
		running := map[string]bool{}
		perTenant := map[string]int{}
		tenantOf := func(id string) string { return id[:1] }
		id := rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("%c%d", 'a'+rapid.IntRange(0, 3).Draw(t, "tenant"), rapid.IntRange(0, 5).Draw(t, "n"))
		})
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				s, at := id.Draw(t, "id"), now.Add(time.Duration(rapid.IntRange(-5, 20).Draw(t, "in"))*time.Second)
				q.Set(s, tenantOf(s), at)
				due[s] = at
			},
			"remove": func(t *rapid.T) {
				s := id.Draw(t, "id")
				q.Remove(s)
				delete(due, s)
			},
			"pass": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "for")) * time.Second) },
			"done": func(t *rapid.T) {
				for s := range running {
					next := now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "next")) * time.Second)
					_, again := due[s]
					q.Done(s, next)
					delete(running, s)
					perTenant[tenantOf(s)]--
					// A removed entry stays away, a moved one keeps its moment.
					if !again {
						q.Remove(s)
					}
					return
				}
			},
			"take": func(t *rapid.T) {
				for _, s := range take(q, now) {
					at, known := due[s]
					if !known || at.After(now) || running[s] {
						t.Fatalf("took %s, due %v, known %v, running %v at %v", s, at, known, running[s], now)
					}
					running[s] = true
					perTenant[tenantOf(s)]++
					delete(due, s)
				}
				if len(running) > limits.Total {
					t.Fatalf("%d run", len(running))
				}
				for tenant, n := range perTenant {
					if n > limits.PerTenant {
						t.Fatalf("%d run of %s", n, tenant)
					}
				}
				if len(running) == limits.Total {
					return
				}
				for s, at := range due {
					if !at.After(now) && !running[s] && perTenant[tenantOf(s)] < limits.PerTenant {
						t.Fatalf("%s was due at %v and was not taken at %v", s, at, now)
					}
				}
			},
			"": func(t *rapid.T) {
				if q.Running() != len(running) {
					t.Fatalf("counts %d running, want %d", q.Running(), len(running))
				}
			},
		})
	})
}

// TestHungTenantChangesNoSchedule runs 300 tenants for six hours of simulated
// time, once with every source of one tenant hanging for an hour, and compares
// when the others' sources ran.
func TestHungTenantChangesNoSchedule(t *testing.T) {
	calm := simulate(func(string) time.Duration { return 200 * time.Millisecond })
	hung := simulate(func(id string) time.Duration {
		if id[:4] == "t007" {
			return time.Hour
		}
		return 200 * time.Millisecond
	})
	for id, times := range calm {
		if id[:4] == "t007" {
			continue
		}
		if fmt.Sprint(times) != fmt.Sprint(hung[id]) {
			t.Fatalf("%s ran at %v beside a hung tenant, at %v without", id, hung[id], times)
		}
	}
}

// simulate returns when each source began its runs.
func simulate(takes func(id string) time.Duration) map[string][]time.Time {
	const every = 10 * time.Minute
	q := schedule.New(schedule.Limits{Total: 64, PerTenant: 16})
	for tenant := range 300 {
		for n := range 3 {
			q.Set(fmt.Sprintf("t%03d-%d", tenant, n), fmt.Sprint(tenant), start.Add(time.Duration(tenant)*2*time.Second))
		}
	}
	began := map[string][]time.Time{}
	ends := map[string]time.Time{}
	for now := start; now.Before(start.Add(6 * time.Hour)); now = now.Add(100 * time.Millisecond) {
		for id, at := range ends {
			if !at.After(now) {
				delete(ends, id)
				first := began[id][len(began[id])-1]
				q.Done(id, schedule.Next(every, schedule.Ended{Started: first, Finished: now}, 0))
			}
		}
		for _, id := range take(q, now) {
			began[id] = append(began[id], now)
			ends[id] = now.Add(takes(id))
		}
	}
	return began
}

func BenchmarkQueue30000(b *testing.B) {
	q := schedule.New(schedule.Limits{Total: 64, PerTenant: 16})
	for i := range 30000 {
		q.Set(fmt.Sprintf("source-%d", i), fmt.Sprint(i/3), start.Add(time.Duration(i)*time.Millisecond))
	}
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		if id, _, ok := q.Take(now); ok {
			q.Done(id, now.Add(30*time.Second))
		}
	}
}
