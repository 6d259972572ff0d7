package core_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/proto/payload"
)

// sync sends a run of a source, a minute after the last, and announces its total.
func (w *world) sync(peer certs.Peer, source core.SourceView, run, mode string, updates []payload.Update) {
	w.t.Helper()
	w.clock.advance(time.Minute)
	head := payload.Stream{
		SourceID: source.ID.String(), RunID: run, Mode: mode, RunStarted: w.clock.Now(), TotalDevices: int64(len(updates)),
	}
	half := len(updates) / 2
	i := 0
	for j := range updates {
		updates[j].Timestamp = w.clock.Now()
	}
	chunks := [][]payload.Update{updates[:half], updates[half:]}
	err := w.Ingest(w.t.Context(), peer, head, chunked(chunks, &i))
	if err != nil {
		w.t.Fatalf("run %s: %v", run, err)
	}
}

func (w *world) snapshot(peer certs.Peer, source core.SourceView, run string, from, to int) {
	w.t.Helper()
	w.sync(peer, source, run, payload.ModeSnapshot, w.devices(source, from, to))
}

func (w *world) held(tenant string) []core.HoldView {
	w.t.Helper()
	holds, err := w.Retractions(w.t.Context(), tenant, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return holds
}

func (w *world) wantActive(tenant string, want int64) {
	w.t.Helper()
	if n := w.count(tenant); n != want {
		w.t.Fatalf("%d devices are active, want %d", n, want)
	}
}

func TestWhatTwoSnapshotsAreWithoutIsRetracted(t *testing.T) {
	w, peer, source := edge(t)
	w.snapshot(peer, source, "r1", 0, 50)
	ids := map[string]string{}
	_ = w.Devices(t.Context(), core.DeviceQuery{Tenant: "acme"}, func(d core.DeviceView) error { ids[d.Hostname] = d.ID; return nil })
	w.snapshot(peer, source, "r2", 5, 50)
	w.wantActive("acme", 50)
	w.snapshot(peer, source, "r3", 5, 50)
	w.wantActive("acme", 45)
	if events := w.events("acme", "source.retracted"); len(events) != 1 || len(w.events("acme", "identity.retraction")) != 5 {
		t.Errorf("events are %+v", events)
	}
	why, err := w.Why(t.Context(), "acme", ids["host-0"])
	if err != nil || !why.Retracted || len(why.Decisions) != 1 || why.Decisions[0].Rule != "absent" || fmt.Sprint(why.Decisions[0].Runs) != "[r2 r3]" {
		t.Errorf("the decision is %+v, %v", why.Decisions, err)
	}
	w.snapshot(peer, source, "r4", 0, 50)
	w.wantActive("acme", 50)
	if back, err := w.Device(t.Context(), "acme", ids["host-0"]); err != nil || back.ID != ids["host-0"] || back.Retracted {
		t.Errorf("the device came back as %+v, %v", back, err)
	}
}

func TestNothingButCompleteSnapshotsRetracts(t *testing.T) {
	w, peer, source := edge(t)
	w.snapshot(peer, source, "r1", 0, 50)
	missing := func() []payload.Update { return w.devices(source, 5, 50) }
	for i := range 3 {
		w.sync(peer, source, fmt.Sprint("incremental", i), payload.ModeIncremental, missing())
		w.sync(peer, source, fmt.Sprint("undeclared", i), "", missing())
		// One thing twice, as when pages drift.
		w.sync(peer, source, fmt.Sprint("drift", i), payload.ModeSnapshot, append(missing(), missing()[0]))
		// Fewer than announced.
		w.clock.advance(time.Minute)
		head := stream(source, fmt.Sprint("short", i))
		head.TotalDevices, head.RunStarted = 46, w.clock.Now()
		if err := w.ingest(peer, head, missing()); err != nil {
			t.Fatal(err)
		}
		// Broken off, and never said to be complete.
		w.clock.advance(time.Minute)
		n := 0
		head = stream(source, fmt.Sprint("broken", i))
		head.TotalDevices, head.RunStarted = 45, w.clock.Now()
		_ = w.Ingest(t.Context(), peer, head, func(context.Context) (payload.Chunk, error) {
			if n++; n > 1 {
				return payload.Chunk{}, fmt.Errorf("connection reset")
			}
			return payload.Chunk{Total: 2, Updates: missing()}, nil
		})
		// Reported as partial before its end.
		run := fmt.Sprint("partial", i)
		if err := w.Status(t.Context(), peer, []payload.Health{{Sources: []payload.RunReport{{
			SourceID: source.ID.String(), RunID: run, Result: payload.ResultPartial, Mode: payload.ModeSnapshot,
			StartedAt: w.clock.Now(), FinishedAt: w.clock.Now(), Devices: 45,
		}}}}); err != nil {
			t.Fatal(err)
		}
		w.sync(peer, source, run, payload.ModeSnapshot, missing())
	}
	w.wantActive("acme", 50)
	// The first snapshot sent again is still one.
	w.snapshot(peer, source, "r2", 5, 50)
	again := payload.Stream{SourceID: source.ID.String(), RunID: "r2", Mode: payload.ModeSnapshot, RunStarted: w.clock.Now(), TotalDevices: 45}
	if err := w.ingest(peer, again, missing()); err != nil {
		t.Fatal(err)
	}
	w.wantActive("acme", 50)
}

func TestASnapshotWithoutAFifthIsHeld(t *testing.T) {
	w, peer, source := edge(t)
	w.snapshot(peer, source, "r1", 0, 60)
	w.snapshot(peer, source, "r2", 0, 20)
	w.snapshot(peer, source, "r3", 0, 20)
	w.snapshot(peer, source, "r4", 0, 20)
	w.wantActive("acme", 60)
	holds := w.held("acme")
	if len(holds) != 1 || holds[0].Retractions != 40 || holds[0].Living != 60 || holds[0].SourceName != "armis" || holds[0].Run.ID != "r4" {
		t.Fatalf("held is %+v", holds)
	}
	if events := w.events("acme", "source.retractions_held"); len(events) != 1 {
		t.Errorf("it is told %d times", len(events))
	}
	if view, err := w.Source(t.Context(), "acme", "armis"); err != nil || len(view.Holds) != 1 {
		t.Errorf("the source shows %+v, %v", view.Holds, err)
	}
	// Rejected: neither snapshot counts any more, so two more are wanted.
	if n, err := w.RejectRetractions(t.Context(), operator, "acme", "armis"); err != nil || n != 40 {
		t.Fatalf("rejected %d, %v", n, err)
	}
	w.snapshot(peer, source, "r5", 0, 20)
	if len(w.held("acme")) != 0 {
		t.Error("one snapshot after the rejection holds the source")
	}
	w.snapshot(peer, source, "r6", 0, 20)
	if len(w.held("acme")) != 1 {
		t.Error("two snapshots after the rejection do not hold the source")
	}
	// It heals by itself when the things are back.
	w.snapshot(peer, source, "r7", 0, 58)
	if len(w.held("acme")) != 0 || !hasEvent(w.events("acme", "source."), "source.retractions_lifted") {
		t.Error("the source is held though its things are back")
	}
	w.wantActive("acme", 58)
	w.snapshot(peer, source, "r8", 0, 20)
	w.snapshot(peer, source, "r9", 0, 20)
	if n, err := w.ReleaseRetractions(t.Context(), operator, "acme", "armis"); err != nil || n != 38 {
		t.Fatalf("released %d, %v", n, err)
	}
	w.wantActive("acme", 20)
	_, err := w.ReleaseRetractions(t.Context(), operator, "acme", "armis")
	wantCode(t, err, codes.FailedPrecondition)
	_, err = w.RejectRetractions(t.Context(), operator, "acme", "nobody")
	wantCode(t, err, codes.NotFound)
}

func TestTheEmptySnapshotIsHeldAndASmallSourceIsNot(t *testing.T) {
	w, peer, source := edge(t)
	w.snapshot(peer, source, "r1", 0, 40)
	w.snapshot(peer, source, "r2", 0, 0)
	w.snapshot(peer, source, "r3", 0, 0)
	w.wantActive("acme", 40)
	if holds := w.held("acme"); len(holds) != 1 || holds[0].Retractions != 40 {
		t.Errorf("held is %+v", holds)
	}
	small := w.source("acme", "small", "hq")
	w.snapshot(peer, small, "s1", 100, 110)
	w.wantActive("acme", 50)
	w.snapshot(peer, small, "s2", 0, 0)
	w.snapshot(peer, small, "s3", 0, 0)
	w.wantActive("acme", 40)
}

func (w *world) gone(source core.SourceView, from, to int) []payload.Update {
	updates := w.devices(source, from, to)
	for i := range updates {
		updates[i].Metadata[payload.MetaDeleted] = "True"
	}
	return updates
}

func TestDeletionsRetractAtOnceWithinTheSameFifth(t *testing.T) {
	w, peer, source := edge(t)
	w.snapshot(peer, source, "r1", 0, 100)
	w.sync(peer, source, "r2", payload.ModeIncremental, w.gone(source, 0, 15))
	w.wantActive("acme", 85)
	// Both chunks of a run count together: 16 of 85 pass, 32 do not.
	w.sync(peer, source, "r3", payload.ModeIncremental, w.gone(source, 15, 47))
	w.wantActive("acme", 69)
	holds := w.held("acme")
	if len(holds) != 1 || holds[0].Kind != core.HoldDeletions || holds[0].Retractions != 16 || holds[0].Living != 85 {
		t.Fatalf("held is %+v", holds)
	}
	counted := gather(t, w.Collector())
	if counted["edgesync_updates_total/held"] != 16 {
		t.Errorf("counted %v", counted)
	}
	// Two of them are named again; the others go when they are released.
	w.sync(peer, source, "r4", payload.ModeIncremental, w.devices(source, 45, 47))
	if n, err := w.ReleaseRetractions(t.Context(), operator, "acme", "armis"); err != nil || n != 14 {
		t.Fatalf("released %d, %v", n, err)
	}
	w.wantActive("acme", 55)
	w.sync(peer, source, "r5", payload.ModeIncremental, w.gone(source, 50, 90))
	w.wantActive("acme", 55-10+10-0)
	if _, err := w.RejectRetractions(t.Context(), operator, "acme", "armis"); err != nil {
		t.Fatal(err)
	}
	w.wantActive("acme", 55)
	_, err := w.ReleaseRetractions(t.Context(), operator, "acme", "armis")
	wantCode(t, err, codes.FailedPrecondition)
}

func TestDeletionsThatCameTooLateAreNotHeld(t *testing.T) {
	w, peer, source := edge(t)
	w.snapshot(peer, source, "r1", 0, 50)
	w.clock.advance(time.Minute)
	late := payload.Stream{SourceID: source.ID.String(), RunID: "r2", RunStarted: w.clock.Now(), TotalDevices: 50}
	w.sync(peer, source, "r3", payload.ModeIncremental, w.devices(source, 30, 50))
	if err := w.ingest(peer, late, w.gone(source, 0, 50)); err != nil {
		t.Fatal(err)
	}
	if holds := w.held("acme"); len(holds) != 1 || holds[0].Retractions != 30 || holds[0].Living != 50 {
		t.Fatalf("held is %+v", holds)
	}
	if counted := gather(t, w.Collector()); counted["edgesync_updates_total/held"] != 30 || counted["edgesync_updates_total/superseded"] != 20 {
		t.Errorf("counted %v", counted)
	}
	if n, err := w.ReleaseRetractions(t.Context(), operator, "acme", "armis"); err != nil || n != 30 {
		t.Fatalf("released %d, %v", n, err)
	}
	w.wantActive("acme", 20)
}

func TestDeletionsOfClientsWithoutSourceIDsAreHeldToo(t *testing.T) {
	w, peer, _ := edge(t)
	name := func(from, to int, meta map[string]string) []payload.Update {
		var updates []payload.Update
		for i := from; i < to; i++ {
			updates = append(updates, payload.Update{
				IP: fmt.Sprintf("10.0.0.%d", i), Source: "sweep", Timestamp: w.clock.Now(), Metadata: meta,
			})
		}
		return updates
	}
	if err := w.ingest(peer, payload.Stream{}, name(0, 30, nil)); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	if err := w.ingest(peer, payload.Stream{}, name(0, 30, map[string]string{payload.MetaDeleted: "true"})); err != nil {
		t.Fatal(err)
	}
	w.wantActive("acme", 30)
	if n, err := w.ReleaseRetractions(t.Context(), operator, "acme", "hq/sweep"); err != nil || n != 30 {
		t.Fatalf("released %d, %v", n, err)
	}
	w.wantActive("acme", 0)
}
