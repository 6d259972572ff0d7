package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"edgesync/core"
	"edgesync/dire"
)

// list reads the devices a filter matches, and checks that the count agrees.
func list(t *testing.T, tenant core.TenantStore, filter core.DeviceFilter) []dire.Device {
	t.Helper()
	var found []dire.Device
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		check(t, tx.Devices(ctx, filter, func(d dire.Device) error {
			found = append(found, d)
			return nil
		}))
		filter.Limit = 0
		n, err := tx.CountDevices(ctx, filter)
		if int(n) < len(found) {
			t.Fatalf("count %d of %+v: %d were listed", n, filter, len(found))
		}
		return err
	})
	return found
}

func ids(devices []dire.Device) []string {
	var found []string
	for _, d := range devices {
		found = append(found, d.ID)
	}
	return found
}

func testDevices(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	things := append(many("s1", 50), many("t2", 30)...)
	for i, thing := range things {
		if i%3 == 0 {
			thing.retracted()
		}
	}
	// Two of t2 are part of devices of s1; one of the two no longer says so.
	things[50].partOf(things[1])
	things[51].partOf(things[2])
	plan := planOf(things...)
	for i := range plan.Devices {
		if plan.Devices[i].ID == things[1].a.HomeID {
			plan.Devices[i].Sources = []string{"s1", "t2"}
		}
	}
	apply(t, tenant, plan)
	for name, filter := range map[string]core.DeviceFilter{
		"all":              {},
		"limit":            {Limit: 7},
		"active":           {State: "active"},
		"retracted":        {State: "retracted"},
		"source":           {Source: "t2"},
		"unknown source":   {Source: "%"},
		"source and state": {Source: "s1", State: "active", Limit: 5},
		"search":           {Search: "host-1"},
		"everything":       {Source: "s1", State: "retracted", Search: "HOST-1", Limit: 3},
	} {
		want := matching(plan.Devices, filter)
		total := len(want)
		if filter.Search != "" {
			want = found(t, tenant, filter, want)
		}
		want = limited(want, filter.Limit)
		equal(t, name+" devices in order", list(t, tenant, filter), want)
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			n, err := tx.CountDevices(ctx, filter)
			equal(t, "count of "+name+" devices", int(n), total)
			return err
		})
		all := list(t, tenant, unlimited(filter))
		for i := range want {
			filter.After = want[i].ID
			equal(t, name+" devices after one of them", list(t, tenant, filter), limited(append([]dire.Device(nil), all[i+1:]...), filter.Limit))
		}
	}
	stop := errors.New("enough")
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		calls := 0
		err := tx.Devices(ctx, core.DeviceFilter{}, func(dire.Device) error { calls++; return stop })
		wantError(t, "listing that is stopped", err, stop)
		equal(t, "calls", calls, 1)
		// A listing may look devices up as it goes.
		return tx.Devices(ctx, core.DeviceFilter{Limit: 3}, func(d dire.Device) error {
			_, _, err := tx.Device(ctx, d.ID)
			return err
		})
	})
}

// found are the devices that a search finds in the order in which it tells them,
// which is not that of ids.
func found(t *testing.T, tenant core.TenantStore, filter core.DeviceFilter, want []dire.Device) []dire.Device {
	t.Helper()
	told := list(t, tenant, unlimited(filter))
	sorted := slices.Clone(told)
	slices.SortFunc(sorted, func(a, b dire.Device) int { return strings.Compare(a.ID, b.ID) })
	equal(t, "devices found by a search", sorted, want)
	return told
}

func unlimited(filter core.DeviceFilter) core.DeviceFilter {
	filter.Limit = 0
	return filter
}

func limited(devices []dire.Device, limit int64) []dire.Device {
	if limit > 0 && int(limit) < len(devices) {
		return devices[:limit]
	}
	return devices
}

// matching is what a filter without a limit should find.
func matching(devices []dire.Device, filter core.DeviceFilter) []dire.Device {
	var found []dire.Device
	for _, d := range devices {
		values := append([]string{d.ID, d.Hostname, d.IP, d.MAC}, append(slices.Clone(d.IPs), d.MACs...)...)
		if d.ID <= filter.After {
			continue
		}
		hit := slices.ContainsFunc(values, func(v string) bool {
			return strings.Contains(strings.ToLower(v), strings.ToLower(filter.Search))
		})
		if hit && (filter.Source == "" || slices.Contains(d.Sources, filter.Source)) &&
			(filter.State == "" || d.Retracted == (filter.State == "retracted")) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b dire.Device) int { return strings.Compare(a.ID, b.ID) })
	return found
}

func testSearch(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	names := []string{
		"plain", "100%", "100x", "a_b", "axb", `back\slash`, "it's", `say "hi"`, "ünïcode-ÄÖ", "İstanbul",
		"two words", "tab\there", "semi;colon--", "*star*", "[a-z]", "{json:1}", "日本", "",
	}
	var things []*thing
	for i, name := range names {
		things = append(things, newThing("s", fmt.Sprintf("id:%d", i), "p").host(name).
			mac(fmt.Sprintf("aa:bb:cc:00:00:%02x", i)).ip(fmt.Sprintf("10.0.0.%d", i)).ip(fmt.Sprintf("2001:db8::%x", i)))
	}
	plan := planOf(things...)
	apply(t, tenant, plan)
	searches := append(slices.Clone(names), "%", "_", "'", `"`, `\`, "*", "?", "PLAIN", "Ä", "10.0.0.1", "2001:DB8",
		"AA:BB", "sr:", things[3].a.HomeID[4:12], "plain\n", "\n", "; DROP TABLE device", "nothing like it",
		strings.Repeat("long", 5000), "\x00", "ı", "10.0.0.1\n2001")
	for _, search := range searches {
		filter := core.DeviceFilter{Search: search}
		found(t, tenant, filter, matching(plan.Devices, filter))
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			n, err := tx.CountDevices(ctx, filter)
			equal(t, fmt.Sprintf("count of devices found by %q", search), int(n), len(matching(plan.Devices, filter)))
			return err
		})
	}
	// A change of the record changes what it is found by.
	things[0].a.Facts.Hostname = "renamed"
	apply(t, tenant, things[0].plan())
	equal(t, "devices found by an old name", len(list(t, tenant, core.DeviceFilter{Search: "plain"})), 0)
	equal(t, "devices found by a new name", ids(list(t, tenant, core.DeviceFilter{Search: "Renamed"})), []string{things[0].a.HomeID})
	// And so does a merge.
	equal(t, "devices found before they are merged", len(list(t, tenant, core.DeviceFilter{Search: "100%"})), 1)
	things[1].partOf(things[2])
	apply(t, tenant, dire.Plan{
		Put: []dire.Assertion{things[1].a}, Devices: []dire.Device{things[2].device()}, Gone: []string{things[1].a.HomeID},
	})
	equal(t, "devices found by what they were before", len(list(t, tenant, core.DeviceFilter{Search: "100%"})), 0)
	equal(t, "devices found by what both are", ids(list(t, tenant, core.DeviceFilter{Search: "100x"})), []string{things[2].a.HomeID})
}
