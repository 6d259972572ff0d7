package schedule_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"edgesync/syncrun/schedule"
)

func TestInterval(t *testing.T) {
	tests := []struct {
		poll, discovery string
		want            time.Duration
		bad             bool
	}{
		{"", "", 6 * time.Hour, false},
		{"5m", "", 5 * time.Minute, false},
		{"", "2h", 2 * time.Hour, false},
		{"5m", "2h", 5 * time.Minute, false},
		{"5h", "2h", 2 * time.Hour, false},
		{"1s", "", time.Second, false},
		{"0s", "", 0, true},
		{"-5m", "", 0, true},
		{"5", "", 0, true},
		{"5m", "soon", 0, true},
		{"1ns", "", 0, true},
	}
	for _, test := range tests {
		got, err := schedule.Interval(test.poll, test.discovery)
		if (err != nil) != test.bad || got != test.want {
			t.Errorf("Interval(%q, %q) = %v, %v", test.poll, test.discovery, got, err)
		}
	}
}

func TestFirstIsAtOnceForAFew(t *testing.T) {
	for _, n := range []int{0, 1, 4, 16} {
		if got := schedule.First(start, n, 0.99); !got.Equal(start) {
			t.Errorf("%d sources: first run after %v", n, got.Sub(start))
		}
	}
	if got := schedule.First(start, 30000, 0.999).Sub(start); got <= 29*time.Second || got >= 30*time.Second {
		t.Errorf("30000 sources: first run after %v", got)
	}
}

func TestNext(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	tests := []struct {
		name  string
		every time.Duration
		ended schedule.Ended
		want  time.Duration
	}{
		{"one interval after the start", 10 * time.Minute, schedule.Ended{Finished: at(3 * time.Minute)}, 10 * time.Minute},
		{"a pause after a run longer than its interval", 10 * time.Minute, schedule.Ended{Finished: at(25 * time.Minute)}, 25*time.Minute + 30*time.Second},
		{"soon after a failure", 6 * time.Hour, schedule.Ended{Finished: at(time.Minute), Failures: 1}, 90 * time.Second},
		{"later after more", 6 * time.Hour, schedule.Ended{Finished: at(time.Minute), Failures: 4}, 5 * time.Minute},
		{"never later than without one", 5 * time.Minute, schedule.Ended{Finished: at(time.Minute), Failures: 50}, 5 * time.Minute},
		{"as late as the source asks", 5 * time.Minute, schedule.Ended{Finished: at(time.Minute), Failures: 1, RetryAfter: time.Hour}, time.Hour + time.Minute},
	}
	for _, test := range tests {
		test.ended.Started = start
		if got := schedule.Next(test.every, test.ended, 0).Sub(start); got != test.want {
			t.Errorf("%s: next after %v, want %v", test.name, got, test.want)
		}
	}
}

func TestNextProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "every"))
		ended := schedule.Ended{
			Started:  start,
			Finished: start.Add(time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "took"))),
			Failures: rapid.IntRange(0, 1000).Draw(t, "failures"),
		}
		next := schedule.Next(every, ended, rapid.Float64Range(0, 0.999).Draw(t, "roll"))
		if !next.After(ended.Finished) {
			t.Fatalf("no pause: finished %v, next %v", ended.Finished, next)
		}
		latest := ended.Finished.Add(every)
		if latest = latest.Add(every / 20); next.After(latest) {
			t.Fatalf("more than an interval of pause: finished %v, next %v", ended.Finished, next)
		}
	})
}
