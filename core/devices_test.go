package core_test

import (
	"slices"
	"testing"

	"edgesync/core"
)

func TestDevicesAreListedInPagesWithoutGapOrRepeat(t *testing.T) {
	w, peer, source := edge(t)
	const n = 2500
	if err := w.ingest(peer, stream(source, "r"), w.devices(source, 0, n)); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{0, 1, 1000, 1500, n, n + 1} {
		var ids []string
		err := w.Devices(t.Context(), core.DeviceQuery{Limit: limit}, func(d core.DeviceView) error {
			ids = append(ids, d.ID)
			return nil
		})
		want := n
		if limit > 0 {
			want = int(min(limit, n))
		}
		if err != nil || len(ids) != want || !slices.IsSorted(ids) || len(slices.Compact(ids)) != want {
			t.Errorf("limit %d: %d devices, sorted %v, %v", limit, len(ids), slices.IsSorted(ids), err)
		}
	}
}

func TestASlowReaderOfDevicesDelaysNobody(t *testing.T) {
	w, peer, source := edge(t)
	if err := w.ingest(peer, stream(source, "r"), w.devices(source, 0, 1200)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := w.Devices(t.Context(), core.DeviceQuery{}, func(core.DeviceView) error {
		if seen++; seen == 1 {
			return w.RemoveTenant(t.Context(), operator, "acme")
		}
		return nil
	})
	if err != nil || seen != 1000 {
		t.Errorf("%d devices were seen, %v", seen, err)
	}
}

func TestDevicesAreSearchedByStateAndText(t *testing.T) {
	w, peer, source := edge(t)
	if err := w.ingest(peer, stream(source, "r"), w.devices(source, 0, 30)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		query core.DeviceQuery
		want  int64
	}{
		{core.DeviceQuery{Search: "HOST-1"}, 11},
		{core.DeviceQuery{Search: "10.0.0.29"}, 1},
		{core.DeviceQuery{Tenant: "acme", Source: "armis", State: core.DeviceAny}, 30},
		{core.DeviceQuery{State: core.DeviceRetracted}, 0},
		{core.DeviceQuery{Tenant: "platform"}, 0},
	} {
		got, err := w.CountDevices(t.Context(), test.query)
		var listed int64
		listing := w.Devices(t.Context(), test.query, func(core.DeviceView) error { listed++; return nil })
		if err != nil || listing != nil || got != test.want || listed != test.want {
			t.Errorf("%+v: counted %d, listed %d, want %d (%v, %v)", test.query, got, listed, test.want, err, listing)
		}
	}
}
