package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/proto/payload"
)

func report(source core.SourceView, run, result string, devices int64, at time.Time) payload.RunReport {
	r := payload.RunReport{SourceID: source.ID.String(), RunID: run, Result: result, Devices: devices, StartedAt: at.Add(-time.Minute), FinishedAt: at}
	if result != payload.ResultSuccess {
		r.Error = "the source said no"
	}
	return r
}

func (w *world) stats(tenant, source string) core.SourceStats {
	w.t.Helper()
	got, err := w.Source(w.t.Context(), tenant, source)
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Stats
}

func TestReportsMakeTheStatsOfASource(t *testing.T) {
	w, peer, source := edge(t)
	start := w.clock.Now()
	for i, step := range []struct {
		run, result string
		devices     int64
		want        core.SourceStats
	}{
		{"1", payload.ResultSuccess, 10, core.SourceStats{LastResult: "success", LastDeviceCount: 10, TotalSyncs: 1}},
		{"2", payload.ResultFailed, 0, core.SourceStats{LastResult: "failed", LastError: "the source said no", ConsecutiveFailures: 1, TotalSyncs: 2}},
		{"3", payload.ResultTimeout, 4, core.SourceStats{LastResult: "timeout", LastDeviceCount: 4, LastError: "the source said no", ConsecutiveFailures: 2, TotalSyncs: 3}},
		{"4", payload.ResultSuperseded, 8, core.SourceStats{LastResult: "superseded", LastDeviceCount: 8, LastError: "the source said no", ConsecutiveFailures: 2, TotalSyncs: 4}},
		{"5", payload.ResultPartial, 9, core.SourceStats{LastResult: "partial", LastDeviceCount: 9, LastError: "the source said no", TotalSyncs: 5}},
		{"6", payload.ResultSuccess, 11, core.SourceStats{LastResult: "success", LastDeviceCount: 11, TotalSyncs: 6}},
		{"7", payload.ResultSuperseded, 12, core.SourceStats{LastResult: "superseded", LastDeviceCount: 12, LastError: "the source said no", TotalSyncs: 7}},
	} {
		w.clock.advance(time.Minute)
		step.want.LastSyncAt = start.Add(time.Duration(i+1) * time.Minute).UTC()
		for range 3 { // A report is repeated until it is answered.
			w.heartbeat(peer, report(source, step.run, step.result, step.devices, w.clock.Now()))
		}
		if got := w.stats("acme", "armis"); got != step.want {
			t.Errorf("after run %s: %+v, want %+v", step.run, got, step.want)
		}
	}
	var kinds []string
	for _, e := range w.events("acme", "source.") {
		kinds = append(kinds, e.Type)
	}
	if want := "[source.created source.failing source.recovered]"; fmt.Sprint(kinds) != want {
		t.Errorf("events are %v, want %s", kinds, want)
	}
}

func TestARunTellsItsEndTwiceAndCountsOnce(t *testing.T) {
	for name, order := range map[string][]string{
		"stream first": {"stream", "report"}, "report first": {"report", "stream"},
	} {
		t.Run(name, func(t *testing.T) {
			w, peer, source := edge(t)
			for _, step := range order {
				w.clock.advance(time.Second)
				if step == "report" {
					w.heartbeat(peer, report(source, "r", payload.ResultPartial, 4, w.clock.Now().Add(-time.Hour)))
					continue
				}
				if err := w.ingest(peer, stream(source, "r"), w.devices(source, 0, 3)); err != nil {
					t.Fatal(err)
				}
			}
			got := w.stats("acme", "armis")
			if got.TotalSyncs != 1 || got.LastResult != payload.ResultPartial || got.LastDeviceCount != 4 || got.ConsecutiveFailures != 0 {
				t.Errorf("stats are %+v", got)
			}
		})
	}
}

func TestAnOldRunsLateReportLeavesTheLatest(t *testing.T) {
	w, peer, source := edge(t)
	w.clock.advance(time.Hour)
	w.heartbeat(peer, report(source, "new", payload.ResultSuccess, 10, w.clock.Now()))
	w.heartbeat(peer, report(source, "old", payload.ResultFailed, 0, w.clock.Now().Add(-time.Minute)))
	got := w.stats("acme", "armis")
	if got.TotalSyncs != 2 || got.LastResult != payload.ResultSuccess || got.ConsecutiveFailures != 0 || got.LastDeviceCount != 10 {
		t.Errorf("stats are %+v", got)
	}
}

func TestReportsFromTheFutureAreOfNow(t *testing.T) {
	w, peer, source := edge(t)
	w.heartbeat(peer, report(source, "r", payload.ResultSuccess, 10, w.clock.Now().Add(12*time.Hour)))
	if got := w.stats("acme", "armis"); !got.LastSyncAt.Equal(w.clock.Now()) {
		t.Errorf("stats are %+v", got)
	}
}

func TestReportsThatCannotBeTakenDoNotSpoilAHeartbeat(t *testing.T) {
	w, peer, source := edge(t)
	w.tenant("umbrella")
	w.onboard("umbrella", "lab")
	foreign := w.source("umbrella", "armis", "lab")
	w.onboard("acme", "branch")
	sibling := w.source("acme", "sibling", "branch")
	now := w.clock.Now()
	bad := []payload.RunReport{
		report(foreign, "r", payload.ResultFailed, 1, now),
		report(sibling, "r", payload.ResultFailed, 1, now),
		{SourceID: uuid.NewString(), RunID: "r", Result: payload.ResultFailed},
		{SourceID: "nonsense", RunID: "r", Result: payload.ResultFailed},
		report(source, "", payload.ResultFailed, 1, now),
		report(source, "a\x00b", payload.ResultFailed, 1, now),
		report(source, "r", "exploded", 1, now),
		report(source, "r", payload.ResultFailed, -1, now),
	}
	w.clock.advance(time.Minute)
	w.heartbeat(peer, append(bad, report(source, "good", payload.ResultSuccess, 1, now))...)
	for tenant, name := range map[string]string{"umbrella": "armis", "acme": "sibling"} {
		if got := w.stats(tenant, name); got != (core.SourceStats{}) {
			t.Errorf("%s of %s has %+v", name, tenant, got)
		}
	}
	if got := w.stats("acme", "armis"); got.TotalSyncs != 1 || got.LastResult != payload.ResultSuccess {
		t.Errorf("stats are %+v", got)
	}
	if s := w.service("acme", "hq"); !s.LastHeartbeatAt.Equal(w.clock.Now()) {
		t.Error("the heartbeat was lost")
	}
}

func TestThePlatformsServiceReportsForItsTenants(t *testing.T) {
	w := bootstrapped(t)
	acme, umbrella := w.tenant("acme"), w.tenant("umbrella")
	peer := w.platformSync()
	one, two := w.source("acme", "cloud", ""), w.source("umbrella", "cloud", "")
	now := w.clock.Now()
	first, second := report(one, "r", payload.ResultSuccess, 3, now), report(two, "r", payload.ResultFailed, 0, now)
	first.TenantID, second.TenantID = acme.ID.String(), umbrella.ID.String()
	crossed := report(one, "x", payload.ResultFailed, 0, now)
	crossed.TenantID = umbrella.ID.String()
	nobody := first
	nobody.TenantID = ""
	w.heartbeat(peer, first, second, crossed, nobody)
	if got := w.stats("acme", "cloud"); got.TotalSyncs != 1 || got.LastDeviceCount != 3 {
		t.Errorf("stats are %+v", got)
	}
	if got := w.stats("umbrella", "cloud"); got.TotalSyncs != 1 || got.ConsecutiveFailures != 1 {
		t.Errorf("stats are %+v", got)
	}
	if s := w.service("platform", core.PlatformSyncName); s.Status != core.StatusDegraded || s.Sources != 2 || s.Failing != 1 {
		t.Errorf("service is %+v", s)
	}
	// A tenant sees how the shared service does for itself, not for others.
	available, err := w.Services(t.Context(), "acme", true)
	if err != nil || len(available) != 1 || available[0].Status != core.StatusOnline || available[0].Sources != 1 {
		t.Errorf("available to acme: %+v, %v", available, err)
	}
}

func TestAnEmptySnapshotEndsItsRun(t *testing.T) {
	w, peer, source := edge(t)
	if err := w.ingest(peer, stream(source, "r"), nil); err != nil {
		t.Fatal(err)
	}
	if got := w.stats("acme", "armis"); got.TotalSyncs != 1 || got.LastResult != payload.ResultSuccess || got.LastDeviceCount != 0 {
		t.Errorf("stats are %+v", got)
	}
}
