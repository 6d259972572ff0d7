package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/dire"
	"edgesync/store/dump"
)

// beforeSightings is the version in which an assertion's row said when it was seen.
const beforeSightings = 170

// testOlderSightings restores assertions of that version, which were seen by many
// runs, next to each other and far apart.
func testOlderSightings(t *testing.T, place Kept) {
	type thing struct {
		number, device int64
		dire.Assertion
		deviceSeen time.Time
	}
	var things []thing
	for i, number := range []int64{1, 2, 3, 62, 63, 64, 65, 127, 130, 1000} {
		a := thing{number: number, device: number, deviceSeen: at(i + 1)}
		a.Source, a.Key, a.Run, a.LastSeen = "s1", fmt.Sprintf("id:%d", number), dire.Run{ID: "run", Started: at(5), Chunk: 1}, at(i)
		switch i {
		case 1: // By another source.
			a.Source, a.Run.Chunk = "s2", 2
		case 2: // By a run of which little is known.
			a.Run = dire.Run{}
		case 3: // By a run whose id takes more bytes than letters, and retracted.
			a.Run.ID, a.RetractedAt = "rün's", at(7)
		case 4: // Never.
			a.LastSeen, a.deviceSeen = time.Time{}, time.Time{}
		case 6: // Part of the device before it.
			a.device, a.deviceSeen = 64, time.Time{}
		}
		things = append(things, a)
	}
	home := func(number int64) (id uuid.UUID) {
		binary.BigEndian.PutUint64(id[8:], uint64(number))
		return id
	}
	tables := map[string][]map[string]any{"name": {
		{"id": int64(1), "value": "s1"}, {"id": int64(2), "value": "s2"}, {"id": int64(3), "value": "default"},
	}}
	stored := func(at time.Time) any {
		if at.IsZero() {
			return nil
		}
		return at.UnixMicro()
	}
	for _, a := range things {
		id := home(a.number)
		tables["assertion"] = append(tables["assertion"], map[string]any{
			"id": a.number, "source": int64(a.Source[1] - '0'), "partition": int64(3), "device": a.device, "home": id[:], "hash": make([]byte, 32),
			"key": a.Key, "run_id": a.Run.ID, "run_started": stored(a.Run.Started), "chunk": int64(a.Run.Chunk), "last_seen": stored(a.LastSeen),
			"device_last_seen": stored(a.deviceSeen), "retracted_at": stored(a.RetractedAt),
		})
		tables["fact"] = append(tables["fact"], map[string]any{
			"assertion": a.number, "first_seen": nil, "changed": nil, "identifiers": "", "facts": "{}",
		})
		if a.device != a.number {
			continue
		}
		tables["device"] = append(tables["device"], map[string]any{
			"id": a.number, "partition": int64(3), "retracted": int64(0), "available": int64(0), "ip": "", "mac": "", "hostname": "", "ips": "",
			"macs": "", "serial_number": "", "manufacturer": "", "model": "", "os": "", "device_type": "", "site": "", "tags": "", "sources": "",
			"first_seen": nil,
		})
		tables["device_text"] = append(tables["device_text"], map[string]any{"id": a.number, "text": ""})
	}
	blank, err := place.Blank(t.Context())
	check(t, err)
	id := uuid.New()
	_, err = blank.Load(t.Context(), dump.Part{Tenant: id, Slug: "x", Version: beforeSightings}, rowsOf(tables))
	check(t, err)
	_, err = blank.Load(t.Context(), dump.Part{Version: 1}, oneRow(olderPlatform(id)))
	check(t, err)
	check(t, blank.Commit(t.Context()))
	store := place.Open(t)
	defer func() { check(t, store.Close()) }()
	problems, err := store.Check(t.Context(), id)
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %q, %v", problems, err)
	}
	tenant, err := store.Tenant(t.Context(), id)
	check(t, err)
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		found := map[dire.Ref]dire.Assertion{}
		err := tx.Assertions(ctx, func(a dire.Assertion) error {
			found[dire.Ref{Source: a.Source, Key: a.Key}] = a
			return nil
		})
		check(t, err)
		equal(t, "assertions", len(found), len(things))
		for _, want := range things {
			got := found[dire.Ref{Source: want.Source, Key: want.Key}]
			equal(t, "who saw "+want.Key, got.Run, want.Run)
			equal(t, "when "+want.Key+" was seen and retracted", []time.Time{got.LastSeen, got.RetractedAt}, []time.Time{want.LastSeen, want.RetractedAt})
		}
		return nil
	})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		seen := map[string]time.Time{}
		err := tx.Devices(ctx, core.DeviceFilter{}, func(d dire.Device) error {
			seen[d.ID] = d.LastSeen
			return nil
		})
		check(t, err)
		equal(t, "devices", len(seen), len(things)-1)
		for _, want := range things {
			if want.device == want.number {
				equal(t, "when the device of "+want.Key+" was seen", seen["sr:"+home(want.number).String()], want.deviceSeen)
			}
		}
		return nil
	})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		living, absent, err := tx.CountLiving(ctx, "s1", at(5))
		equal(t, "living, and of these not seen since", []int64{living, absent}, []int64{8, 1})
		return err
	})
}
