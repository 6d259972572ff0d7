package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"edgesync/core"
	"edgesync/dire"
)

// older is what is stored of one thing that a source has seen.
var older = dire.Update{NativeID: "7", MACs: []string{"00:1b:44:11:3a:07"}, Hostname: "camera-7", SeenAt: at(1)}

// olderRows are the rows that the first version there was kept it in, one a table:
// its partition has the name of its source.
func olderRows(t testing.TB) map[string]map[string]any {
	t.Helper()
	probe := probeFor(t, "s1", "s1", older)
	reach := probe.Reach(nil)
	kind, value := string(reach.Identifiers[0].Kind), reach.Identifiers[0].Value
	hash := probe.Repeats()[0].Hash
	facts, err := dire.EncodeFacts(&dire.Facts{
		NativeID: older.NativeID, MACs: []string{value}, Hostname: older.Hostname, SourceType: "armis", Confidence: 5,
	})
	check(t, err)
	seen := at(1).UnixMicro()
	return map[string]map[string]any{
		"name": {"id": int64(1), "value": "s1"},
		"assertion": {
			"id": int64(1), "source": int64(1), "key": probe.Keys[0], "partition": int64(1), "home_id": reach.Homes[0], "hash": hash[:],
			"first_seen": seen, "changed": seen, "retracted_at": nil, "facts": string(facts),
		},
		"standing": {
			"assertion": int64(1), "device": int64(1), "source": int64(1), "last_seen": seen, "device_last_seen": seen,
			"run_started": seen, "run_id": "run-1",
		},
		"identifier": {"value": value, "kind": kind, "partition": int64(1), "class": int64(2), "source": int64(1), "assertion": int64(1)},
		"device": {
			"id": int64(1), "device_id": reach.Homes[0], "partition": int64(1), "retracted": int64(0), "ip": "", "mac": value,
			"hostname": older.Hostname, "ips": "", "macs": `["` + value + `"]`, "serial_number": "", "manufacturer": "", "model": "", "os": "",
			"device_type": "", "site": "", "tags": "", "available": int64(0), "sources": `["s1"]`, "first_seen": seen,
		},
		"device_text": {"id": int64(1), "text": strings.Join([]string{reach.Homes[0], older.Hostname, value, ""}, "\n")},
	}
}

// checkOlder looks for what olderRows became: the device is found by all that it
// was found by, and its source says nothing new of it.
func checkOlder(t testing.TB, tenant core.TenantStore) {
	t.Helper()
	probe := probeFor(t, "s1", "s1", older)
	home, value := probe.Reach(nil).Homes[0], probe.Reach(nil).Identifiers[0].Value
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		device, assertions, err := tx.Device(ctx, home)
		check(t, err)
		equal(t, "device of an older version", []string{device.ID, device.MAC, device.Hostname}, []string{home, value, older.Hostname})
		equal(t, "when it was seen", []time.Time{device.FirstSeen, device.LastSeen}, []time.Time{at(1), at(1)})
		equal(t, "its assertions", len(assertions), 1)
		equal(t, "what it is known by", fmt.Sprint(assertions[0].Identifiers), fmt.Sprint(probe.Reach(nil).Identifiers))
		n, err := tx.CountDevices(ctx, core.DeviceFilter{Search: "camera-7", Source: "s1"})
		equal(t, "devices found", n, 1)
		return err
	})
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		rest, err := tx.Touch(ctx, probe)
		check(t, err)
		near, err := tx.Neighbourhood(ctx, rest)
		check(t, err)
		plan, err := dire.DefaultRules().Plan(rest, near)
		check(t, err)
		equal(t, "updates that say nothing new", plan.Stats.Unchanged, 1)
		check(t, tx.Apply(ctx, plan))
		// Another source has the same hardware.
		near, err = tx.Neighbourhood(ctx, probeFor(t, "s2", "s1", older))
		equal(t, "assertions near to another source's", len(near.Assertions), 1)
		return err
	})
}
