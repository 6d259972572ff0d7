package dire_test

import (
	"testing"

	"pgregory.net/rapid"

	"edgesync/dire"
	"edgesync/dire/diretest"
)

// explained returns why a device is what it is, once every join names members of
// it and all its members are joined.
func explained(t diretest.T, m *diretest.Memory, id string) dire.Explanation {
	t.Helper()
	var homes []string
	group := map[dire.Ref]int{}
	for ref, a := range m.Rows {
		if a.DeviceID == id {
			group[ref] = len(homes)
			homes = append(homes, a.HomeID)
		}
	}
	probe := dire.DefaultRules().ProbeAround(homes...)
	why := dire.DefaultRules().Explain(probe, m.Neighbourhood(&probe))
	parts := len(homes)
	for _, join := range why.Joins {
		for _, ref := range join.Assertions {
			from, member := group[ref]
			if !member {
				t.Fatalf("device %s is said to be joined to %v, which is no part of it: %+v", id, ref, join)
			}
			to := group[join.Assertions[0]]
			if from != to {
				parts--
			}
			for other, at := range group {
				if at == from {
					group[other] = to
				}
			}
		}
	}
	if parts > 1 {
		t.Fatalf("the %d members of device %s are joined by %+v only", len(homes), id, why.Joins)
	}
	return why
}

func TestALinkOfTwoPartitionsExplainsNothing(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1")))
	m.Ingest(t, batch("netbox", 1, named("7")))
	armis, netbox := of(t, m, "armis", "id:1").ID, of(t, m, "netbox", "id:7").ID
	m.Relink(t, dire.LinkChange{At: minutes(2), By: "local:0", Link: []dire.Pair{dire.PairOf(armis, netbox)}})
	if why := explained(t, m, of(t, m, "armis", "id:1").ID); len(why.Joins) != 1 || why.Joins[0].Rule != dire.RuleOperator {
		t.Errorf("in one partition, the reasons are %+v", why.Joins)
	}
	moved := batch("armis", 3, named("1"))
	moved.Partition = "p2"
	m.Ingest(t, moved)
	if why := explained(t, m, of(t, m, "armis", "id:1").ID); len(m.Devices) != 2 || len(why.Joins) != 0 {
		t.Errorf("in two partitions, the reasons are %+v", why.Joins)
	}
}

func TestARetractedMemberBesideAChainIsExplained(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("sweep", 1, dire.Update{MACs: []string{macA, macB, macC}}))
	m.Ingest(t, batch("wifi", 1, dire.Update{MACs: []string{macC}}))
	m.Ingest(t, batch("wifi", 2, dire.Update{MACs: []string{macC}, Deleted: true}))
	m.Ingest(t, batch("armis", 3, named("1", macA), named("2", macB)))
	d := of(t, m, "sweep", "mac:"+macA)
	if len(m.Devices) != 3 || of(t, m, "wifi", "mac:"+macC).ID != d.ID {
		t.Fatalf("devices are %+v", m.Devices)
	}
	why := explained(t, m, d.ID)
	if len(why.Joins) != 1 || why.Joins[0].Identifier.Value != macC || len(why.Refused) != 1 {
		t.Errorf("the reasons are %+v", why)
	}
}

func TestEveryDeviceIsExplained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, s := diretest.NewMemory(rapid.Uint64().Draw(t, "seed")), streamOf(t, true)
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			m.Ingest(t, s.Batch())
			m.Retract(t, s.Retractions(m.Rows))
			m.Relink(t, s.LinkChange(m.Rows))
			for id := range m.Devices {
				explained(t, m, id)
			}
		}
	})
}
