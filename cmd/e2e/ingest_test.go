package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// site is a platform with one tenant, its edge service and a source.
func site(t *testing.T) (*platform, *edge, core.SourceView) {
	t.Helper()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	return p, e, p.source("acme", "lab", "hq")
}

// fleet is n devices of a source in chunks, all their addresses in one network.
func fleet(source uuid.UUID, n, perChunk, network int) [][]payload.Update {
	var all []payload.Update
	for i := range n {
		all = append(all, update(source, fmt.Sprint(i+1), fmt.Sprintf("00:1b:21:%02x:%02x:%02x", i>>16, i>>8&255, i&255),
			fmt.Sprintf("10.%d.%d.%d", network, i>>8, i&255)))
	}
	return slices.Collect(slices.Chunk(all, perChunk))
}

func (p *platform) ids(tenant string) []string {
	p.t.Helper()
	var ids []string
	must(p.t, p.core.Devices(p.t.Context(), core.DeviceQuery{Tenant: tenant}, func(d core.DeviceView) error {
		ids = append(ids, d.ID)
		return nil
	}))
	return ids
}

func TestR18_ChunksAreOrderedAndTheLastIsMarked(t *testing.T) {
	t.Parallel()
	p, e, source := site(t)
	bad := map[string]func(*monitoring.GatewayStatusChunk){
		"gap":            func(c *monitoring.GatewayStatusChunk) { c.ChunkIndex *= 2 },
		"negative":       func(c *monitoring.GatewayStatusChunk) { c.ChunkIndex-- },
		"zero total":     func(c *monitoring.GatewayStatusChunk) { c.TotalChunks = 0 },
		"changing total": func(c *monitoring.GatewayStatusChunk) { c.TotalChunks += c.ChunkIndex },
		"no final":       func(c *monitoring.GatewayStatusChunk) { c.IsFinal = false },
		"early final":    func(c *monitoring.GatewayStatusChunk) { c.IsFinal = true },
	}
	for name, edit := range bad {
		err := e.push(stream{source: source.ID, runID: "bad-" + name, chunks: fleet(source.ID, 30, 10, 1), edit: edit})
		wantCode(t, err, codes.InvalidArgument, "")
	}
	must(t, e.push(stream{source: source.ID, runID: "good", mode: payload.ModeSnapshot, chunks: fleet(source.ID, 30, 10, 1)}))
	if n := p.count("acme"); n != 30 {
		t.Errorf("%d devices, want 30", n)
	}
}

func TestR24_NothingOfATenantIsVisibleToAnother(t *testing.T) {
	t.Parallel()
	p, e, source := site(t)
	p.tenant("globex")
	spy := p.onboard("globex", "spy")
	spy.hello()
	must(t, e.push(stream{source: source.ID, runID: "r1", chunks: fleet(source.ID, 5, 5, 1)}))
	device := p.ids("acme")[0]
	_, absent := p.core.Device(t.Context(), "globex", "sr:00000000-0000-4000-8000-000000000000")
	_, hidden := p.core.Device(t.Context(), "globex", device)
	wantCode(t, hidden, codes.NotFound, "")
	if strings.ReplaceAll(hidden.Error(), device, "ID") != strings.ReplaceAll(absent.Error(), "sr:00000000-0000-4000-8000-000000000000", "ID") {
		t.Errorf("another tenant's device reads %q, one that is not there %q", hidden, absent)
	}
	_, err := p.core.Source(t.Context(), "globex", source.ID.String())
	wantCode(t, err, codes.NotFound, "")
	_, err = p.core.Service(t.Context(), "globex", e.service.ID.String())
	wantCode(t, err, codes.NotFound, "")
	known := spy.push(stream{source: source.ID, runID: "r1", chunks: [][]payload.Update{{update(source.ID, "1", "", "10.0.0.9")}}})
	invented := uuid.New()
	unknown := spy.push(stream{source: invented, runID: "r1", chunks: [][]payload.Update{{update(invented, "1", "", "10.0.0.9")}}})
	wantCode(t, known, codes.PermissionDenied, "")
	wantCode(t, unknown, codes.PermissionDenied, "")
	if strings.ReplaceAll(known.Error(), source.ID.String(), "ID") != strings.ReplaceAll(unknown.Error(), invented.String(), "ID") {
		t.Errorf("another tenant's source reads %q, one that is not there %q", known, unknown)
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "globex"})
	must(t, err)
	for _, event := range events {
		if strings.Contains(event.Message, "acme") || event.SourceID == source.ID {
			t.Errorf("an event of globex tells of acme: %+v", event)
		}
	}
	if n := p.count("globex"); n != 0 {
		t.Errorf("globex shows %d devices", n)
	}
}

func TestR25_PartitionAndConfidenceAreTheSourceRecords(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	source, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{
		Tenant: "acme", Service: "hq", Spec: core.SourceSpec{Name: "lab", Type: payload.TypeFaker, Partition: "plant-7"},
	})
	must(t, err)
	u := update(source.ID, "1", "00:1b:21:00:00:01", "10.0.0.1")
	u.Partition, u.Confidence, u.AgentID, u.DeviceID = "elsewhere", 10, "somebody", "elsewhere:10.0.0.1"
	must(t, e.push(stream{source: source.ID, runID: "r1", chunks: [][]payload.Update{{u}}}))
	must(t, p.core.Devices(t.Context(), core.DeviceQuery{Tenant: "acme"}, func(d core.DeviceView) error {
		if d.Partition != "plant-7" || !strings.HasPrefix(d.ID, "sr:") {
			t.Errorf("the device is %+v", d)
		}
		return nil
	}))
	if n := p.count("acme"); n != 1 {
		t.Errorf("%d devices, want 1", n)
	}
}

func TestR26_AcknowledgedIsStoredAndRepeatedChangesNothing(t *testing.T) {
	t.Parallel()
	p, e, source := site(t)
	run := stream{source: source.ID, runID: "r1", mode: payload.ModeSnapshot, chunks: fleet(source.ID, 300, 100, 1)}
	must(t, e.push(run))
	first := p.ids("acme")
	if len(first) != 300 {
		t.Fatalf("%d devices are stored", len(first))
	}
	must(t, e.push(run))
	if again := p.ids("acme"); !slices.Equal(first, again) {
		t.Error("the same run again changed the devices")
	}
	view, err := p.core.Source(t.Context(), "acme", "lab")
	must(t, err)
	if view.Stats.TotalSyncs != 1 || view.Stats.LastDeviceCount != 300 {
		t.Errorf("the same run again shows %+v", view.Stats)
	}
	p.restart()
	if after := p.ids("acme"); !slices.Equal(first, after) {
		t.Error("a restart lost devices")
	}
}

func TestR27_ChurnKeepsDevicesAndTwoSourcesMakeOne(t *testing.T) {
	t.Parallel()
	p, e, source := site(t)
	other := p.source("acme", "office", "hq")
	must(t, e.push(stream{source: source.ID, runID: "r1", mode: payload.ModeSnapshot, chunks: fleet(source.ID, 100, 50, 1)}))
	before := p.ids("acme")
	must(t, e.push(stream{source: source.ID, runID: "r2", mode: payload.ModeSnapshot, chunks: fleet(source.ID, 100, 50, 2)}))
	if after := p.ids("acme"); !slices.Equal(before, after) {
		t.Error("a change of every address changed the devices")
	}
	// The office names fifty of the same things by their MAC, under ids of its own.
	var same []payload.Update
	for i := range 50 {
		same = append(same, update(other.ID, fmt.Sprint(1000+i), fmt.Sprintf("00:1b:21:00:00:%02x", i), ""))
	}
	must(t, e.push(stream{source: other.ID, runID: "r3", chunks: [][]payload.Update{same}}))
	if after := p.ids("acme"); !slices.Equal(before, after) {
		t.Errorf("a second source of the same things made %d devices of %d", len(after), len(before))
	}
	// Its own first native id is another thing than the lab's first.
	must(t, e.push(stream{source: other.ID, runID: "r4", chunks: [][]payload.Update{{update(other.ID, "1", "00:1b:21:ff:00:01", "")}}}))
	if n := p.count("acme"); n != 101 {
		t.Errorf("%d devices, want 101: native ids of two sources were taken for one", n)
	}
}
