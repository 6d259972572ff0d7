package e2e_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/payload"
)

// snapshot pushes a complete snapshot, a minute after whatever came before.
func (e *edge) snapshot(source core.SourceView, run string, chunks [][]payload.Update) {
	e.p.t.Helper()
	e.p.clock.pass(time.Minute)
	must(e.p.t, e.push(stream{source: source.ID, runID: run, mode: payload.ModeSnapshot, chunks: chunks, announced: true}))
}

func TestR28_WhatCompleteSnapshotsNoLongerNameIsRetracted(t *testing.T) {
	t.Parallel()
	p, e, source := site(t)
	client := p.admin()
	all := fleet(source.ID, 100, 40, 1)
	e.snapshot(source, "r1", all)
	before := p.ids("acme")
	// Neither an incremental run nor one that does not say how much it is retracts.
	fewer := func() [][]payload.Update { return fleet(source.ID, 95, 40, 1) }
	for _, run := range []string{"i1", "i2", "i3"} {
		p.clock.pass(time.Minute)
		must(t, e.push(stream{source: source.ID, runID: run, mode: payload.ModeIncremental, chunks: fewer(), announced: true}))
		must(t, e.push(stream{source: source.ID, runID: run + "-silent", mode: payload.ModeSnapshot, chunks: fewer()}))
	}
	e.snapshot(source, "r2", fewer())
	if n := p.count("acme"); n != 100 {
		t.Fatalf("%d devices after one snapshot without five of them", n)
	}
	e.snapshot(source, "r3", fewer())
	if n := p.count("acme"); n != 95 {
		t.Fatalf("%d devices after two snapshots without five of them", n)
	}
	e.snapshot(source, "r4", fleet(source.ID, 100, 40, 1))
	if after := p.ids("acme"); !slices.Equal(before, after) {
		t.Error("devices that returned have other ids")
	}
	for _, run := range []string{"r5", "r6"} {
		e.snapshot(source, run, [][]payload.Update{{}})
	}
	if n := p.count("acme"); n != 100 {
		t.Fatalf("%d devices after two empty snapshots", n)
	}
	shown, err := client.GetSource(t.Context(), &adminv1.GetSourceRequest{Tenant: "acme", Source: "lab"})
	must(t, err)
	held, err := client.ListRetractions(t.Context(), &adminv1.ListRetractionsRequest{})
	must(t, err)
	if shown.GetHeldRetractions() != 100 || len(held.GetRetractions()) != 1 || held.GetRetractions()[0].GetRunId() != "r6" {
		t.Errorf("the source shows %d held, the list %v", shown.GetHeldRetractions(), held)
	}
	p.restart()
	client = p.admin()
	released, err := client.ReleaseRetractions(t.Context(), &adminv1.SettleRetractionsRequest{Tenant: "acme", Source: "lab"})
	must(t, err)
	if n := p.count("acme"); released.GetRetractions() != 100 || n != 0 {
		t.Errorf("released %d, %d devices are left", released.GetRetractions(), n)
	}
	_, err = client.RejectRetractions(t.Context(), &adminv1.SettleRetractionsRequest{Tenant: "acme", Source: "lab"})
	wantCode(t, err, codes.FailedPrecondition, "none are held")
}

func TestR29_DecisionsAreExplainedAndUndone(t *testing.T) {
	t.Parallel()
	p, e, source := site(t)
	other := p.source("acme", "office", "hq")
	client := p.admin()
	sync := func(run string) {
		e.snapshot(source, run, fleet(source.ID, 3, 10, 1))
		e.snapshot(other, run, [][]payload.Update{{
			update(other.ID, "1", "00:1b:21:00:00:00", "10.9.0.1"), update(other.ID, "2", "00:1b:21:00:99:99", "10.9.0.2"),
		}})
	}
	sync("r1")
	if n := p.count("acme"); n != 4 {
		t.Fatalf("%d devices, want 4", n)
	}
	explain := func(id string) *adminv1.DeviceExplanation {
		t.Helper()
		why, err := client.ExplainDevice(t.Context(), &adminv1.GetDeviceRequest{Tenant: "acme", Id: id})
		must(t, err)
		return why
	}
	var joined *adminv1.DeviceExplanation
	for _, id := range p.ids("acme") {
		if why := explain(id); len(why.GetDetail().GetAssertions()) == 2 {
			joined = why
		}
	}
	id := joined.GetDetail().GetDevice().GetId()
	if len(joined.GetJoins()) != 1 || joined.GetJoins()[0].GetIdentifier().GetValue() != "00:1b:21:00:00:00" ||
		len(joined.GetDecisions()) != 1 || joined.GetDecisions()[0].GetKind() != "merge" || len(joined.GetFields()) == 0 {
		t.Errorf("the merge is explained by %v", joined)
	}
	parts, err := client.SplitDevice(t.Context(), &adminv1.SplitDeviceRequest{
		Tenant: "acme", Id: id, Members: []string{"office/id:1"}, Reason: "a dock",
	})
	must(t, err)
	sync("r2")
	p.restart()
	client = p.admin()
	sync("r3")
	if n := p.count("acme"); n != 5 || len(parts.GetDevices()) != 2 {
		t.Fatalf("%d devices after the split and two syncs, want 5", n)
	}
	parted := parts.GetDevices()[1].GetDevice().GetId()
	if why := explain(parted); len(why.GetKeptApart()) != 1 || why.GetKeptApart()[0].GetReason() != "a dock" {
		t.Errorf("the split is explained by %v", why)
	}
	merged, err := client.MergeDevices(t.Context(), &adminv1.MergeDevicesRequest{Tenant: "acme", Ids: []string{id, parted}})
	must(t, err)
	if merged.GetDevice().GetId() != id || p.count("acme") != 4 || len(explain(id).GetKeptApart()) != 0 {
		t.Error("undone, the split is not as if it had never been")
	}
	why := explain(id)
	if kinds := decisionsOf(why); !slices.Equal(kinds, []string{"merge", "split", "merge"}) {
		t.Errorf("the decisions are %v", kinds)
	}
	simulated, err := client.SimulateRules(t.Context(), &adminv1.SimulateRulesRequest{Tenant: "acme", IgnoredMacs: []string{"00:1b:21"}})
	must(t, err)
	if len(simulated.GetSplits()) != 1 || simulated.GetSplits()[0].GetDevice() != id || simulated.GetDevicesThen() != 5 || p.count("acme") != 4 {
		t.Errorf("without the maker's MACs there would be %v", simulated)
	}
}

func decisionsOf(why *adminv1.DeviceExplanation) (kinds []string) {
	for _, d := range why.GetDecisions() {
		kinds = append(kinds, d.GetKind())
	}
	return kinds
}
