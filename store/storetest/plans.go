package storetest

import (
	"context"
	"testing"

	"edgesync/core"
	"edgesync/dire"
)

func apply(t testing.TB, tenant core.TenantStore, plan dire.Plan) {
	t.Helper()
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.Apply(ctx, plan) })
}

// wantDevice checks a device and its assertions as a lookup by id gives them.
func wantDevice(t *testing.T, tenant core.TenantStore, id string, want dire.Device, members ...*thing) {
	t.Helper()
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		device, assertions, err := tx.Device(ctx, id)
		check(t, err)
		equal(t, "device", device, want)
		wanted := make([]dire.Assertion, len(members))
		for i, m := range members {
			wanted[i] = sortIdentifiers(m.a)
		}
		for i := range assertions {
			assertions[i] = sortIdentifiers(assertions[i])
		}
		equal(t, "assertions in order of source and key", assertions, wanted)
		return nil
	})
}

// testPlans takes one thing through what a plan can do to it.
func testPlans(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	apply(t, tenant, dire.Plan{})
	a, b := full("s1", "id:1"), newThing("s2", "id:1", "site \"a\"").mac("aa:00:00:00:00:0a")
	apply(t, tenant, planOf(a, b))
	wantDevice(t, tenant, a.a.HomeID, a.device(), a)
	wantDevice(t, tenant, b.a.HomeID, b.device(), b)

	// Replaced whole: what is empty now was not merged with what was there.
	changed := newThing("s1", "id:1", "other").ip("10.0.0.11")
	changed.a.HomeID, changed.a.DeviceID = a.a.HomeID, a.a.DeviceID
	changed.a.Run, changed.a.LastSeen = dire.Run{ID: "run-2", Started: at(2), Chunk: 2}, at(3)
	changed = changed.retracted()
	apply(t, tenant, changed.plan())
	wantDevice(t, tenant, a.a.HomeID, changed.device(), changed)
	apply(t, tenant, a.plan())
	wantDevice(t, tenant, a.a.HomeID, a.device(), a)

	// Merged: one record for both.
	merged := a.device()
	merged.Sources, merged.LastSeen = []string{"s1", "s2"}, at(4)
	b.partOf(a)
	apply(t, tenant, dire.Plan{Put: []dire.Assertion{b.a}, Devices: []dire.Device{merged}, Gone: []string{b.a.HomeID}})
	wantDevice(t, tenant, a.a.HomeID, merged, a, b)
	wantDevice(t, tenant, b.a.HomeID, merged, a, b)

	// Seen again: an assertion takes the run's time, its device only a later one.
	see := func(seconds int) {
		a.a.Run, a.a.LastSeen = dire.Run{ID: "run-3", Started: at(seconds), Chunk: 3}, at(seconds)
		apply(t, tenant, dire.Plan{Seen: []dire.Seen{{
			Source: "s1", Key: "id:1", DeviceID: a.a.DeviceID, Run: a.a.Run, LastSeen: a.a.LastSeen,
		}}})
		if merged.LastSeen.Before(at(seconds)) {
			merged.LastSeen = at(seconds)
		}
		wantDevice(t, tenant, a.a.HomeID, merged, a, b)
	}
	see(3)
	see(9)
	see(7)

	// A member that does not head the device moves its last seen, too.
	b.a.Run, b.a.LastSeen = dire.Run{ID: "run-4", Started: at(20)}, at(20)
	merged.LastSeen = at(20)
	apply(t, tenant, dire.Plan{Seen: []dire.Seen{{
		Source: "s2", Key: "id:1", DeviceID: b.a.DeviceID, Run: b.a.Run, LastSeen: b.a.LastSeen,
	}}})
	wantDevice(t, tenant, a.a.HomeID, merged, a, b)

	// Split again: the one that left heads its own device anew.
	b.a.DeviceID = b.a.HomeID
	apply(t, tenant, dire.Plan{Put: []dire.Assertion{b.a}, Devices: []dire.Device{a.device(), b.device()}})
	wantDevice(t, tenant, a.a.HomeID, a.device(), a)
	wantDevice(t, tenant, b.a.HomeID, b.device(), b)
}

// testPlanRefusals checks that a plan which would leave something pointing at
// nothing fails, and that nothing of it is kept.
func testPlanRefusals(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a := newThing("s1", "id:1", "p").mac("aa:00:00:00:00:01")
	apply(t, tenant, a.plan())
	stranger := newThing("s1", "id:9", "p")
	sameHome := newThing("s1", "id:2", "p")
	sameHome.a.HomeID, sameHome.a.DeviceID = a.a.HomeID, a.a.HomeID
	good := newThing("s1", "id:3", "p").plan()
	for name, plan := range map[string]dire.Plan{
		"a home that is taken":               {Put: []dire.Assertion{sameHome.a}},
		"a device that is not there":         {Put: []dire.Assertion{newThing("s1", "id:4", "p").partOf(stranger).a}},
		"an assertion without its device":    {Put: []dire.Assertion{newThing("s1", "id:5", "p").a}},
		"a record nobody's home is":          {Devices: []dire.Device{stranger.device()}},
		"seen but never put":                 {Seen: []dire.Seen{{Source: "s1", Key: "id:6", DeviceID: a.a.HomeID}}},
		"a device gone from under its thing": {Gone: []string{a.a.HomeID}},
	} {
		plan.Put = append(plan.Put, good.Put...)
		plan.Devices = append(plan.Devices, good.Devices...)
		err := tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.Apply(t.Context(), plan) })
		if err == nil {
			t.Fatalf("plan with %s: it was carried out", name)
		}
		if name == "a home that is taken" {
			wantError(t, "plan with "+name, err, core.ErrConflict)
		}
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			n, err := tx.CountDevices(ctx, core.DeviceFilter{})
			equal(t, "devices after a plan with "+name, n, 1)
			return err
		})
		wantDevice(t, tenant, a.a.HomeID, a.device(), a)
	}
}

// testRedirects follows an id through three heads: there is no chain to follow,
// whatever the order of the merges.
func testRedirects(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a, b, c := newThing("s1", "id:1", "p"), newThing("s2", "id:1", "p"), newThing("s3", "id:1", "p")
	apply(t, tenant, planOf(a, b, c))
	c.partOf(b)
	apply(t, tenant, dire.Plan{Put: []dire.Assertion{c.a}, Devices: []dire.Device{b.device()}, Gone: []string{c.a.HomeID}})
	b.partOf(a)
	c.partOf(a)
	apply(t, tenant, dire.Plan{
		Put: []dire.Assertion{b.a, c.a}, Devices: []dire.Device{a.device()}, Gone: []string{b.a.HomeID},
	})
	for _, id := range []string{a.a.HomeID, b.a.HomeID, c.a.HomeID} {
		wantDevice(t, tenant, id, a.device(), a, b, c)
	}
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		for _, id := range []string{"", "sr:", "sr:00000000-0000-0000-0000-000000000000", "' OR '1'='1", a.a.HomeID + " "} {
			_, _, err := tx.Device(ctx, id)
			wantError(t, "read device "+id, err, core.ErrNotFound)
		}
		n, err := tx.CountDevices(ctx, core.DeviceFilter{})
		equal(t, "devices", n, 1)
		return err
	})
}
