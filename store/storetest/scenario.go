package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"edgesync/core"
	"edgesync/dire"
	"edgesync/dire/diretest"
)

const (
	// scenarioDevices is how many Armis devices the scenario has, unless
	// EDGESYNC_SCENARIO says otherwise: 50000 is its full size.
	scenarioDevices = 1_000
	scenarioRuns    = 20
	scenarioChunk   = 5_000
)

// testScenario is an Armis whose devices change their addresses with every run,
// two NetBox servers whose ids collide with each other's and with Armis's, and
// all that glued strangers together elsewhere: shared MACs, junk serial numbers,
// VRRP, locally administered MACs, and a sweep that knows addresses only. After
// each few runs the store holds what a brute-force oracle of the rules says.
func testScenario(t *testing.T, place Place) {
	n := number(t, "EDGESYNC_SCENARIO", scenarioDevices/slowdown)
	store := open(t, place)
	tenant := createTenant(t, store)
	rules := diretest.NewOracle()
	number := 0
	for run := range scenarioRuns {
		for _, batch := range scenario(n, run) {
			for from := 0; from < len(batch.Updates); from += scenarioChunk {
				chunk := batch
				chunk.Updates = batch.Updates[from:min(from+scenarioChunk, len(batch.Updates))]
				rules.Hear(t, chunk, number)
				number++
				update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
					(&transaction{ctx, tx}).Ingest(t, chunk)
					return nil
				})
			}
		}
		if run%5 == 4 && run+1 < scenarioRuns {
			view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
				diretest.Check(t, &transaction{ctx, tx}, rules)
				return nil
			})
		}
	}
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		living, err := tx.CountDevices(ctx, core.DeviceFilter{State: "active"})
		check(t, err)
		// Armis's own are never merged with each other; every second of the NetBox
		// devices is one of them.
		if living < int64(n) || living > int64(2*n) {
			t.Errorf("%d Armis devices made %d devices", n, living)
		}
		diretest.Simulates(t, diretest.Check(t, &transaction{ctx, tx}, rules), nil)
		return nil
	})
}

// scenario is what every source says in one run: a function of size and run.
func scenario(n, run int) []dire.Batch {
	started := at(0).Add(time.Duration(run) * time.Hour)
	batch := func(source string, confidence int) dire.Batch {
		return dire.Batch{
			Source: source, SourceType: source, Confidence: confidence, Partition: "default",
			Run:      dire.Run{ID: fmt.Sprintf("%s-%d", source, run), Started: started},
			Received: started.Add(time.Minute),
		}
	}
	armis, first, second, sweep := batch("armis", 7), batch("netbox-1", 8), batch("netbox-2", 8), batch("sweep", 3)
	for i := range n {
		armis.Updates = append(armis.Updates, armisDevice(n, i, run))
		if i%4 == 0 {
			first.Updates = append(first.Updates, netboxDevice(i/4, i, run))
		}
		if i%4 == 1 {
			second.Updates = append(second.Updates, netboxDevice(i/4, i, run))
		}
		if i%10 == 0 {
			sweep.Updates = append(sweep.Updates, dire.Update{IPs: []string{address(i)}, Hostname: fmt.Sprintf("swept-%d", run%3)})
		}
	}
	return []dire.Batch{armis, first, second, sweep}
}

func globalMAC(i int) string {
	return fmt.Sprintf("00:1b:21:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)
}

func address(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }

// armisDevice is device i with the address it has in a run, and with what makes
// trouble: a dock's MAC, a router's virtual one, a private one, a serial number
// nobody filled in.
func armisDevice(n, i, run int) dire.Update {
	u := dire.Update{
		NativeID: fmt.Sprint(i + 1), MACs: []string{globalMAC(i)}, IPs: []string{address((i + run*7919) % n)},
		Hostname: fmt.Sprintf("host-%d", i), Manufacturer: "Dell", SerialNumber: fmt.Sprintf("SN-%07d", i), Available: true,
	}
	switch i % 10 {
	case 2:
		// A docking station that goes round.
		u.MACs = append(u.MACs, globalMAC(1<<23+(i+run*10)/50))
	case 3:
		u.MACs = append(u.MACs, fmt.Sprintf("00:00:5e:00:01:%02x", i%7))
	case 4:
		u.MACs = []string{fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)}
		u.SerialNumber = ""
	case 5:
		u.SerialNumber = "Default string"
	case 6:
		u.SerialNumber, u.MACs = "To be filled by O.E.M.", nil
	case 7:
		if run%6 == 5 {
			u.Deleted = true
		}
	}
	return u
}

// netboxDevice is what NetBox has under an id of its own: the Armis device i, by
// one of its MACs or by its serial number, or a thing Armis does not know.
func netboxDevice(id, i, run int) dire.Update {
	u := dire.Update{
		NativeID: fmt.Sprintf("device:%d", id+1), Hostname: fmt.Sprintf("nb-%d", i), Site: "hq", Manufacturer: "DELL",
		IPs: []string{address(1<<22 + i)},
	}
	switch id % 6 {
	case 0, 1:
		u.MACs = []string{globalMAC(i)}
	case 2:
		u.SerialNumber = fmt.Sprintf("sn-%07d", i)
	case 3:
		u.SerialNumber = "0123456789"
		u.MACs = []string{"00:00:5e:00:01:01"}
	case 4:
		// Two interfaces, one of which came from its neighbour and goes back.
		u.MACs = []string{globalMAC(i)}
		if run%4 > 1 {
			u.MACs = append(u.MACs, globalMAC(i+4))
		}
	}
	return u
}
