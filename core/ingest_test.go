package core_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/proto/payload"
)

// edge is a tenant with one edge service and one Armis source.
func edge(t *testing.T) (*world, certs.Peer, core.SourceView) {
	t.Helper()
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.onboard("acme", "hq")
	w.hello(peer)
	return w, peer, w.source("acme", "armis", "hq")
}

func (w *world) devices(source core.SourceView, from, to int) []payload.Update {
	var updates []payload.Update
	for i := from; i < to; i++ {
		updates = append(updates, w.device(source, fmt.Sprint(i), fmt.Sprintf("00:1a:2b:00:%02x:%02x", i/256, i%256), fmt.Sprintf("10.0.%d.%d", i/256, i%256)))
	}
	return updates
}

func stream(source core.SourceView, run string) payload.Stream {
	return payload.Stream{SourceID: source.ID.String(), RunID: run, Mode: payload.ModeSnapshot, TotalDevices: -1}
}

func TestIngestStoresAndRepeatsWithoutEffect(t *testing.T) {
	w, peer, source := edge(t)
	first, second := w.devices(source, 0, 30), w.devices(source, 30, 50)
	for range 2 {
		if err := w.ingest(peer, stream(source, "run-1"), first, second); err != nil {
			t.Fatal(err)
		}
		if n := w.count("acme"); n != 50 {
			t.Fatalf("%d devices", n)
		}
		w.clock.advance(time.Minute)
	}
	got, err := w.Source(t.Context(), "acme", "armis")
	if err != nil || got.Stats.TotalSyncs != 1 || got.Stats.LastDeviceCount != 50 || got.Stats.LastResult != payload.ResultSuccess {
		t.Errorf("stats are %+v, %v", got.Stats, err)
	}
	var views []core.DeviceView
	err = w.Devices(t.Context(), core.DeviceQuery{Tenant: "acme", Source: "armis", Limit: 7}, func(d core.DeviceView) error {
		views = append(views, d)
		return nil
	})
	if err != nil || len(views) != 7 || fmt.Sprint(views[0].SourceNames) != "[armis]" {
		t.Errorf("listed %d devices, %+v, %v", len(views), views, err)
	}
	detail, err := w.Device(t.Context(), "acme", views[0].ID)
	if err != nil || len(detail.Assertions) != 1 || detail.Assertions[0].SourceName != "armis" || detail.Assertions[0].Run.ID != "run-1" {
		t.Errorf("device is %+v, %v", detail, err)
	}
}

func TestIngestRefusesWhatIsNotAssigned(t *testing.T) {
	w, peer, source := edge(t)
	w.tenant("umbrella")
	lab := w.onboard("umbrella", "lab")
	w.hello(lab)
	foreign := w.source("umbrella", "secret", "lab")
	w.onboard("acme", "branch")
	sibling := w.source("acme", "sibling", "branch")
	absent := core.SourceView{}
	absent.ID = uuid.New()
	texts := map[string]bool{}
	for name, other := range map[string]core.SourceView{"another tenant's": foreign, "a sibling's": sibling, "nobody's": absent} {
		t.Run(name, func(t *testing.T) {
			mixed := append(w.devices(source, 0, 1), w.devices(other, 1, 2)...)
			for _, head := range []payload.Stream{{RunID: "r"}, stream(other, "r")} {
				updates := mixed
				if head.SourceID != "" {
					updates = w.devices(other, 1, 2)
				}
				err := w.ingest(peer, head, updates)
				wantCode(t, err, codes.PermissionDenied)
				texts[strings.ReplaceAll(err.Error(), other.ID.String(), "ID")] = true
			}
		})
	}
	if len(texts) != 1 {
		t.Errorf("absent and foreign sources are told apart: %v", texts)
	}
	for _, tenant := range []string{"acme", "umbrella"} {
		if n := w.count(tenant); n != 0 {
			t.Errorf("%s has %d devices", tenant, n)
		}
	}
	if !hasEvent(w.events("acme", "security."), "security.not_assigned") {
		t.Error("no security event was kept")
	}
	if len(w.events("umbrella", "security.")) != 0 {
		t.Error("another tenant has the event")
	}
}

func TestIngestIgnoresWhatAnUpdateClaims(t *testing.T) {
	w, peer, source := edge(t)
	update := w.device(source, "1", "00:1a:2b:3c:4d:5e", "10.0.0.1")
	update.Partition, update.Confidence, update.Source, update.AgentID = "elsewhere", 10, "netbox", "somebody"
	head := stream(source, "r")
	head.TenantID = uuid.NewString()
	if err := w.ingest(peer, head, []payload.Update{update}); err != nil {
		t.Fatal(err)
	}
	err := w.Devices(t.Context(), core.DeviceQuery{Tenant: "acme"}, func(d core.DeviceView) error {
		if d.Partition != "default" {
			t.Errorf("device is in partition %s", d.Partition)
		}
		detail, err := w.Device(t.Context(), "acme", d.ID)
		if err != nil || detail.Assertions[0].Facts.SourceType != "armis" || detail.Assertions[0].Facts.Confidence != 7 {
			t.Errorf("asserted %+v, %v", detail.Assertions, err)
		}
		return nil
	})
	if err != nil || w.count("acme") != 1 {
		t.Errorf("devices: %v", err)
	}
}

func TestIngestOfClientsWithoutSourceIDs(t *testing.T) {
	w, peer, _ := edge(t)
	one := payload.Update{IP: "10.0.0.1", MAC: "00:1a:2b:3c:4d:5e", Source: "sweep", Partition: "lab", Timestamp: w.clock.Now()}
	two := payload.Update{IP: "10.0.0.2", Source: "armis", Timestamp: w.clock.Now(), Metadata: map[string]string{payload.MetaIntegrationID: "7"}}
	if err := w.ingest(peer, payload.Stream{RunID: "r"}, []payload.Update{one, two}); err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	err := w.Devices(t.Context(), core.DeviceQuery{Tenant: "acme"}, func(d core.DeviceView) error {
		sources[d.SourceNames[0]] = d.Partition
		return nil
	})
	if err != nil || fmt.Sprint(sources) != "map[hq/armis:default hq/sweep:lab]" {
		t.Errorf("devices are of %v, %v", sources, err)
	}
	for name, bad := range map[string]payload.Update{
		"type":      {IP: "10.0.0.1", Source: "a/b", Timestamp: w.clock.Now()},
		"no type":   {IP: "10.0.0.1", Timestamp: w.clock.Now()},
		"partition": {IP: "10.0.0.1", Source: "armis", Partition: "A b", Timestamp: w.clock.Now()},
		"source id": {IP: "10.0.0.1", Source: "armis", Metadata: map[string]string{payload.MetaIntegrationSourceID: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, w.ingest(peer, payload.Stream{}, []payload.Update{one, bad}), codes.InvalidArgument)
		})
	}
}

func TestIngestRefusesBadHeads(t *testing.T) {
	w, peer, source := edge(t)
	for name, head := range map[string]payload.Stream{
		"run id":      {RunID: "a\nb"},
		"long run id": {RunID: string(make([]byte, 200))},
		"source id":   {SourceID: "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, w.ingest(peer, head, w.devices(source, 0, 1)), codes.InvalidArgument)
		})
	}
	other := core.SourceView{}
	other.ID = uuid.New()
	wantCode(t, w.ingest(peer, stream(source, "r"), w.devices(other, 0, 1)), codes.InvalidArgument)
	if w.count("acme") != 0 {
		t.Error("something was stored")
	}
}

func TestPlatformStreamsForTenantsThatAssignedItSources(t *testing.T) {
	w := bootstrapped(t)
	acme, umbrella := w.tenant("acme"), w.tenant("umbrella")
	peer := w.platformSync()
	source := w.source("acme", "cloud", "")
	w.onboard("umbrella", "lab")
	w.source("umbrella", "own", "lab")
	head := stream(source, "r")
	wantCode(t, w.ingest(peer, head, w.devices(source, 0, 1)), codes.InvalidArgument)
	for _, id := range []uuid.UUID{umbrella.ID, uuid.New()} {
		head.TenantID = id.String()
		wantCode(t, w.ingest(peer, head, w.devices(source, 0, 1)), codes.PermissionDenied)
		without := payload.Stream{TenantID: id.String()}
		wantCode(t, w.ingest(peer, without, w.devices(core.SourceView{}, 0, 1)), codes.PermissionDenied)
		wantCode(t, w.ingest(peer, without, nil), codes.PermissionDenied)
	}
	if !hasEvent(w.events("platform", "security."), "security.not_assigned") {
		t.Error("no security event was kept")
	}
	head.TenantID = acme.ID.String()
	if err := w.ingest(peer, head, w.devices(source, 0, 3)); err != nil {
		t.Fatal(err)
	}
	if w.count("acme") != 3 || w.count("umbrella") != 0 || w.count("") != 3 {
		t.Error("the devices are not where they belong")
	}
	if err := w.RemoveSource(t.Context(), operator, "acme", "cloud"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.ingest(peer, head, w.devices(source, 0, 3)), codes.PermissionDenied)
}

func TestTheSameThingInTwoTenantsIsTwoDevices(t *testing.T) {
	w, peer, source := edge(t)
	w.tenant("umbrella")
	lab := w.onboard("umbrella", "lab")
	w.hello(lab)
	other := w.source("umbrella", "armis", "lab")
	if err := errors.Join(w.ingest(peer, stream(source, "r"), w.devices(source, 0, 1)), w.ingest(lab, stream(other, "r"), w.devices(other, 0, 1))); err != nil {
		t.Fatal(err)
	}
	if w.count("acme") != 1 || w.count("umbrella") != 1 || w.count("") != 2 {
		t.Error("they are not two devices")
	}
	var id string
	_ = w.Devices(t.Context(), core.DeviceQuery{Tenant: "acme"}, func(d core.DeviceView) error { id = d.ID; return nil })
	if id == "" {
		t.Fatal("no device is listed")
	}
	if _, err := w.Device(t.Context(), "umbrella", id[:len(id)-1]+"x"); err == nil {
		t.Error("a device that is not there is found")
	}
}

func TestAStreamThatBreaksKeepsItsChunksAndIsSentAgain(t *testing.T) {
	w, peer, source := edge(t)
	broken := errors.New("connection reset")
	sent := false
	err := w.Ingest(t.Context(), peer, stream(source, "r"), func(context.Context) (payload.Chunk, error) {
		if sent {
			return payload.Chunk{}, broken
		}
		sent = true
		return payload.Chunk{Index: 0, Total: 2, Updates: w.devices(source, 0, 5)}, nil
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if got, _ := w.Source(t.Context(), "acme", "armis"); got.Stats.TotalSyncs != 0 || w.count("acme") != 5 {
		t.Errorf("after the break: %+v, %d devices", got.Stats, w.count("acme"))
	}
	if err := w.ingest(peer, stream(source, "r"), w.devices(source, 0, 5), w.devices(source, 5, 8)); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.Source(t.Context(), "acme", "armis"); got.Stats.TotalSyncs != 1 || got.Stats.LastDeviceCount != 8 || w.count("acme") != 8 {
		t.Errorf("after the whole: %+v, %d devices", got.Stats, w.count("acme"))
	}
}

func TestARevokedServicesLiveStreamEndsAtTheNextChunk(t *testing.T) {
	w, peer, source := edge(t)
	i := 0
	err := w.Ingest(t.Context(), peer, stream(source, "r"), func(ctx context.Context) (payload.Chunk, error) {
		if i++; i == 2 {
			// This one is asked for while the first is stored.
			for deadline := time.Now().Add(patience); w.count("acme") == 0 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			if _, err := w.RevokeService(ctx, operator, "acme", "hq"); err != nil {
				return payload.Chunk{}, err
			}
		}
		if i > 3 {
			return payload.Chunk{}, io.EOF
		}
		return payload.Chunk{Index: i - 1, Total: 3, Final: i == 3, Updates: w.devices(source, i, i+1)}, nil
	})
	wantCode(t, err, codes.PermissionDenied)
	if n := w.count("acme"); n != 1 {
		t.Errorf("%d devices are stored", n)
	}
}

func TestStreamsOfOneTenantInParallel(t *testing.T) {
	w, peer, source := edge(t)
	done := make(chan error)
	for i := range 8 {
		go func() {
			done <- w.ingest(peer, stream(source, fmt.Sprint("run-", i)), w.devices(source, 0, 20), w.devices(source, 20+i, 40))
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := w.count("acme"); n != 40 {
		t.Errorf("%d devices", n)
	}
	if got, _ := w.Source(t.Context(), "acme", "armis"); got.Stats.TotalSyncs != 8 {
		t.Errorf("stats are %+v", got.Stats)
	}
}

func TestTooManyWaitingStreamsAreSentAway(t *testing.T) {
	w, peer, source := edge(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	slow, err := w.open(&slowStore{Store: w.store, inside: inside, leave: leave})
	if err != nil {
		t.Fatal(err)
	}
	one := func() error {
		i := 0
		return slow.Ingest(background, peer, stream(source, "r"), func(context.Context) (payload.Chunk, error) {
			if i++; i > 1 {
				return payload.Chunk{}, io.EOF
			}
			return payload.Chunk{Total: 1, Final: true, Updates: w.devices(source, 0, 1)}, nil
		})
	}
	const streams = 100
	done := make(chan error)
	go func() { done <- one() }()
	<-inside // By itself: the others wait.
	for range streams - 1 {
		go func() { done <- one() }()
	}
	turned := 0
	for turned < streams-64-1 {
		err := <-done
		wantCode(t, err, codes.ResourceExhausted)
		if details := status.Convert(err).Details(); len(details) != 1 {
			t.Fatalf("it is not told to come back: %v", details)
		}
		turned++
	}
	close(leave)
	go func() {
		for range inside {
		}
	}()
	for range streams - turned {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	close(inside)
}

func TestIngestCountsAddUp(t *testing.T) {
	w, peer, source := edge(t)
	for _, updates := range [][]payload.Update{w.devices(source, 0, 10), w.devices(source, 5, 15)} {
		if err := w.ingest(peer, stream(source, "r"), updates); err != nil {
			t.Fatal(err)
		}
	}
	stranger := core.SourceView{}
	stranger.ID = uuid.New()
	_ = w.ingest(peer, payload.Stream{}, w.devices(stranger, 0, 4))
	counts := gather(t, w.Collector())
	sum := 0.0
	for _, outcome := range []string{"stored", "unchanged", "superseded", "refused", "failed"} {
		sum += counts["edgesync_updates_total/"+outcome]
	}
	if counts["edgesync_updates_received_total"] != 24 || sum != 24 || counts["edgesync_updates_total/stored"] != 15 ||
		counts["edgesync_updates_total/unchanged"] != 5 || counts["edgesync_updates_total/refused"] != 4 {
		t.Errorf("counted %v", counts)
	}
}
