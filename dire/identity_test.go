package dire_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edgesync/dire"
	"edgesync/dire/diretest"
)

const (
	macA = "00:1b:21:00:00:0a"
	macB = "00:1b:21:00:00:0b"
	macC = "00:1b:21:00:00:0c"
)

// of returns the device an assertion is part of.
func of(t diretest.T, m *diretest.Memory, source, key string) dire.Device {
	t.Helper()
	a, ok := m.Rows[dire.Ref{Source: source, Key: key}]
	if !ok {
		t.Fatalf("%s does not assert %s", source, key)
	}
	d, ok := m.Devices[a.DeviceID]
	if !ok {
		t.Fatalf("%s of %s is of no device", key, source)
	}
	return d
}

func named(native string, macs ...string) dire.Update {
	return dire.Update{NativeID: native, MACs: macs}
}

func swept(ip string) dire.Update { return dire.Update{IPs: []string{ip}} }

func TestNativeIDsAreTheirSourcesOwn(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1")))
	m.Ingest(t, batch("netbox a", 1, named("1")))
	m.Ingest(t, batch("netbox b", 1, named("1")))
	if len(m.Devices) != 3 {
		t.Errorf("device 1 of three sources is %d devices, want 3", len(m.Devices))
	}
}

func TestAnyMACOfSeveralLinks(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA, macB)))
	m.Ingest(t, batch("netbox", 2, named("device:9", macC, macB)))
	d := of(t, m, "netbox", "id:device:9")
	if len(m.Devices) != 1 || !slices.Equal(d.Sources, []string{"armis", "netbox"}) || len(d.MACs) != 3 {
		t.Errorf("devices are %+v", m.Devices)
	}
	if d.ID != m.Rows[dire.Ref{Source: "armis", Key: "id:1"}].HomeID {
		t.Error("the device lost the id of its oldest member")
	}
}

func TestSameThingsInTwoPartitionsAreTwo(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA)))
	b := batch("netbox", 1, named("1", macA))
	b.Partition = "p2"
	m.Ingest(t, b)
	if len(m.Devices) != 2 {
		t.Errorf("devices are %+v", m.Devices)
	}
}

func TestAddressesThatMoveMoveNobody(t *testing.T) {
	m := diretest.NewMemory(0)
	with := func(native, mac, ip string) dire.Update {
		return dire.Update{NativeID: native, MACs: []string{mac}, IPs: []string{ip}}
	}
	m.Ingest(t, batch("armis", 1, with("1", macA, "10.0.0.1"), with("2", macB, "10.0.0.2")))
	one, two := of(t, m, "armis", "id:1").ID, of(t, m, "armis", "id:2").ID
	m.Ingest(t, batch("sweep", 1, swept("10.0.0.1")))
	if got := of(t, m, "sweep", "ip:10.0.0.1").ID; got != one {
		t.Errorf("the sweep's 10.0.0.1 is %s, want %s", got, one)
	}
	m.Ingest(t, batch("armis", 2, with("1", macA, "10.0.0.2"), with("2", macB, "10.0.0.1")))
	if of(t, m, "armis", "id:1").ID != one || of(t, m, "armis", "id:2").ID != two || len(m.Devices) != 2 {
		t.Errorf("devices are %+v", m.Devices)
	}
	if got := of(t, m, "sweep", "ip:10.0.0.1").ID; got != two {
		t.Errorf("the sweep's 10.0.0.1 is %s, want %s", got, two)
	}
}

func TestAWeakAssertionStandsAloneUnlessOneDeviceHasItsAddress(t *testing.T) {
	m := diretest.NewMemory(0)
	// It was there first, and still gives nobody its id.
	m.Ingest(t, batch("sweep", 1, swept("10.0.0.1")))
	home := of(t, m, "sweep", "ip:10.0.0.1").ID
	at := func(native, mac string, deleted bool) dire.Update {
		return dire.Update{NativeID: native, MACs: []string{mac}, IPs: []string{"10.0.0.1"}, Deleted: deleted}
	}
	m.Ingest(t, batch("armis", 2, at("1", macA, false)))
	if d, _ := m.Device(home); len(m.Devices) != 1 || d.ID == home || len(d.Sources) != 2 {
		t.Errorf("devices are %+v", m.Devices)
	}
	m.Ingest(t, batch("armis", 3, at("2", macB, false)))
	if of(t, m, "sweep", "ip:10.0.0.1").ID != home || len(m.Devices) != 3 {
		t.Errorf("with two holders of the address, devices are %+v", m.Devices)
	}
	m.Ingest(t, batch("armis", 4, at("2", macB, true)))
	if of(t, m, "sweep", "ip:10.0.0.1").ID != of(t, m, "armis", "id:1").ID {
		t.Errorf("with one holder left, devices are %+v", m.Devices)
	}
}

func TestASharedHardwareIDLinksNobodyWhileItIsShared(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA)))
	m.Ingest(t, batch("netbox", 1, named("7", macA)))
	plan := m.Ingest(t, batch("armis", 2, named("2", macA)))
	if len(m.Devices) != 3 || len(refusals(plan)) != 1 {
		t.Fatalf("findings are %+v, devices %+v", refusals(plan), m.Devices)
	}
	f := refusals(plan)[0]
	if f.Kind != dire.DecisionAmbiguous || f.Partition != "p1" || len(f.Assertions) != 3 ||
		!slices.Equal(f.Identifiers, []dire.Identifier{{Kind: dire.IdentifierMAC, Value: macA}}) {
		t.Errorf("finding is %+v", f)
	}
	if plan := m.Ingest(t, batch("armis", 3, named("3", macA))); len(refusals(plan)) > 0 || len(m.Devices) != 4 {
		t.Errorf("a third holder gives findings %+v, devices %+v", refusals(plan), m.Devices)
	}
	m.Ingest(t, batch("armis", 4, named("2", macB), named("3", macC)))
	if of(t, m, "armis", "id:1").ID != of(t, m, "netbox", "id:7").ID || len(m.Devices) != 3 {
		t.Errorf("no longer shared, devices are %+v", m.Devices)
	}
}

func TestAChainBetweenTwoNativeIDsKeepsAllApart(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA), named("2", macB)))
	one, two := of(t, m, "armis", "id:1").ID, of(t, m, "armis", "id:2").ID
	plan := m.Ingest(t, batch("netbox", 2, named("7", macA, macB)))
	if len(m.Devices) != 3 || len(refusals(plan)) != 1 || refusals(plan)[0].Kind != dire.DecisionChain {
		t.Fatalf("findings are %+v, devices %+v", refusals(plan), m.Devices)
	}
	if f := refusals(plan)[0]; len(f.Identifiers) != 2 || len(f.Assertions) != 3 {
		t.Errorf("evidence is %+v", f)
	}
	if plan := m.Ingest(t, batch("netbox", 3, dire.Update{NativeID: "7", MACs: []string{macA, macB}, Hostname: "dock"})); len(refusals(plan)) > 0 {
		t.Errorf("the chain is told again: %+v", refusals(plan))
	}
	m.Ingest(t, batch("netbox", 4, named("7", macA)))
	if of(t, m, "netbox", "id:7").ID != one || of(t, m, "armis", "id:2").ID != two || len(m.Devices) != 2 {
		t.Errorf("without the chain, devices are %+v", m.Devices)
	}
}

func TestASplitLeavesIDsWithTheirMembers(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA)))
	m.Ingest(t, batch("netbox", 2, named("7", macA)))
	plan := m.Ingest(t, batch("netbox", 3, named("7", macB)))
	armis, netbox := of(t, m, "armis", "id:1"), of(t, m, "netbox", "id:7")
	if armis.ID != m.Rows[dire.Ref{Source: "armis", Key: "id:1"}].HomeID || netbox.ID == armis.ID || len(plan.Gone) > 0 {
		t.Errorf("devices are %+v, gone %v", m.Devices, plan.Gone)
	}
	if slices.Contains(armis.MACs, macB) || slices.Contains(armis.Sources, "netbox") {
		t.Errorf("the record kept what left it: %+v", armis)
	}
}

func TestADeletionRetractsUntilALaterRun(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA)))
	id := of(t, m, "armis", "id:1").ID
	m.Ingest(t, batch("armis", 3, dire.Update{NativeID: "1", Deleted: true}))
	if d := m.Devices[id]; !d.Retracted || d.Available || d.MAC != macA {
		t.Errorf("deleted, the device is %+v", d)
	}
	if plan := m.Ingest(t, batch("armis", 2, named("1", macB))); plan.Stats.Stored != 1 || !m.Devices[id].Retracted {
		t.Errorf("an older run gives %+v", plan)
	}
	m.Ingest(t, batch("armis", 4, named("1", macA)))
	if d := m.Devices[id]; d.Retracted || len(m.Devices) != 1 {
		t.Errorf("seen again, the device is %+v", d)
	}
}

func TestADeviceOutlivesOneOfItsSources(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA)))
	m.Ingest(t, batch("netbox", 2, named("7", macA)))
	first := of(t, m, "armis", "id:1").ID
	m.Ingest(t, batch("armis", 3, dire.Update{NativeID: "1", Deleted: true}))
	d := of(t, m, "netbox", "id:7")
	if d.Retracted || d.ID == first || !slices.Equal(d.Sources, []string{"netbox"}) || len(m.Devices) != 1 {
		t.Errorf("devices are %+v", m.Devices)
	}
	if old, ok := m.Device(first); !ok || old.ID != d.ID {
		t.Errorf("the former id leads to %+v", old)
	}
	m.Ingest(t, batch("netbox", 4, dire.Update{NativeID: "7", Deleted: true}))
	if again := m.Devices[d.ID]; !again.Retracted || len(m.Devices) != 1 {
		t.Errorf("asserted by nobody, devices are %+v", m.Devices)
	}
}

func TestAnOldRunOverwritesNothing(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 5, dire.Update{NativeID: "1", Hostname: "new"}))
	plan := m.Ingest(t, batch("armis", 4, dire.Update{NativeID: "1", Hostname: "old"}))
	if plan.Stats.Superseded != 1 || of(t, m, "armis", "id:1").Hostname != "new" {
		t.Errorf("stats are %+v, devices %+v", plan.Stats, m.Devices)
	}
}

func TestTimesFromTheFutureAreThoseOfReceipt(t *testing.T) {
	m := diretest.NewMemory(0)
	b := batch("armis", 1, dire.Update{NativeID: "1", Hostname: "early", SeenAt: minutes(9999)})
	b.Run.Started = minutes(9999)
	m.Ingest(t, b)
	a := m.Rows[dire.Ref{Source: "armis", Key: "id:1"}]
	if !a.Run.Started.Equal(minutes(1)) || !a.LastSeen.Equal(minutes(1)) || !a.FirstSeen.Equal(minutes(1)) {
		t.Errorf("the assertion is %+v", a)
	}
	m.Ingest(t, batch("armis", 2, dire.Update{NativeID: "1", Hostname: "late"}))
	if got := of(t, m, "armis", "id:1").Hostname; got != "late" {
		t.Errorf("after a later run the host is %s", got)
	}
}

func TestATakenHomeIsNotReused(t *testing.T) {
	m := diretest.NewMemory(0)
	home := assertion(t, named("1")).HomeID
	squatter := assertion(t, named("2", macA))
	squatter.HomeID, squatter.DeviceID = home, home
	m.Rows[diretest.RefOf(&squatter)] = squatter
	m.Devices[home] = dire.Device{ID: home, Partition: "p1"}
	m.Ingest(t, batch("s", 2, named("1")))
	a := m.Rows[dire.Ref{Source: "s", Key: "id:1"}]
	if a.HomeID == home || !strings.HasPrefix(a.HomeID, "sr:") || a.DeviceID != a.HomeID {
		t.Errorf("the assertion is %+v", a)
	}
}

func TestHomesAreVersion8UUIDs(t *testing.T) {
	seen := map[string]bool{}
	for i := range 64 {
		home := assertion(t, named(fmt.Sprint(i))).HomeID
		if len(home) != 39 || home[17] != '8' || !strings.ContainsRune("89ab", rune(home[22])) || seen[home] {
			t.Errorf("home is %s", home)
		}
		seen[home] = true
	}
}

func TestASourceThatMovesTakesItsThingsAlong(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA)))
	m.Ingest(t, batch("netbox", 2, named("7", macA)))
	id := of(t, m, "armis", "id:1").ID
	b := batch("armis", 3, named("1", macA))
	b.Partition = "p2"
	m.Ingest(t, b)
	armis, netbox := of(t, m, "armis", "id:1"), of(t, m, "netbox", "id:7")
	if armis.ID != id || armis.Partition != "p2" || netbox.ID == id || netbox.Partition != "p1" || len(m.Devices) != 2 {
		t.Errorf("devices are %+v", m.Devices)
	}
}

func TestFieldsComeFromTheMostConfidentThenTheLatestNews(t *testing.T) {
	m := diretest.NewMemory(0)
	say := func(source string, run, confidence int, host, model, os string) {
		b := batch(source, run, dire.Update{NativeID: "1", MACs: []string{macA}, Hostname: host, Model: model, OS: os})
		b.Confidence = confidence
		m.Ingest(t, b)
	}
	say("armis", 1, 5, "armis", "", "w10")
	say("netbox", 2, 8, "netbox", "x1", "")
	want := func(host, model, os string) {
		t.Helper()
		if d := of(t, m, "armis", "id:1"); d.Hostname != host || d.Model != model || d.OS != os {
			t.Errorf("the device is %+v", d)
		}
	}
	want("netbox", "x1", "w10")
	say("armis", 3, 8, "news", "", "w11")
	want("news", "x1", "w11")
	// The same again is no news: two that disagree do not take turns.
	say("netbox", 4, 8, "netbox", "x1", "")
	want("news", "x1", "w11")
	if d := of(t, m, "armis", "id:1"); !d.LastSeen.Equal(minutes(4)) || !d.FirstSeen.Equal(minutes(1)) {
		t.Errorf("the device was seen from %s to %s", d.FirstSeen, d.LastSeen)
	}
}

func TestOneKeyTwiceInABatch(t *testing.T) {
	say := func(host string) dire.Update { return dire.Update{NativeID: "1", Hostname: host} }
	for _, updates := range [][]dire.Update{
		{say("a"), say("b"), say("a"), say("b")},
		{say("b"), say("b"), say("a"), say("a")},
	} {
		m := diretest.NewMemory(0)
		plan := m.Ingest(t, batch("armis", 1, updates...))
		s := plan.Stats
		if len(plan.Put) != 1 || s.Stored != 1 || s.Superseded == 0 || s.Stored+s.Unchanged+s.Superseded != 4 {
			t.Errorf("stats are %+v, put %+v", s, plan.Put)
		}
		again := m.Ingest(t, batch("armis", 1, updates...))
		if len(again.Put)+len(again.Seen) > 0 || again.Stats.Stored > 0 {
			t.Errorf("repeated, the plan is %+v", again)
		}
	}
}

func TestABatchNeedsASourceAndATime(t *testing.T) {
	for _, b := range []dire.Batch{{Source: "s"}, {Received: diretest.Epoch}} {
		if _, err := dire.DefaultRules().ProbeFor(b); err == nil {
			t.Errorf("%+v is probed", b)
		}
	}
}

func TestANeighbourhoodThatContradictsItselfIsAnError(t *testing.T) {
	rules := dire.DefaultRules()
	stored := assertion(t, named("1"))
	for name, n := range map[string]dire.Neighbourhood{
		"known but absent":  {Known: []dire.Known{{Key: "id:1", DeviceID: "sr:x", Run: dire.Run{Started: diretest.Epoch.Add(-time.Hour)}}}},
		"there but unknown": {Assertions: []dire.Assertion{stored}},
	} {
		probe, err := rules.ProbeFor(batch("s", 2, dire.Update{NativeID: "1", Hostname: "new"}, named("2")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rules.Plan(probe, n); err == nil {
			t.Errorf("%s: there is a plan", name)
		}
	}
}

// A made-up id that a whole inventory shares must not lead from one thing to all
// others.
func TestASharedIDDoesNotMakeTheNeighbourhoodGrow(t *testing.T) {
	m := diretest.NewMemory(0)
	shared := func(i int, host string) dire.Update {
		return dire.Update{NativeID: fmt.Sprint(i), Manufacturer: "Acme", SerialNumber: "SHARED-1", Hostname: host}
	}
	var all []dire.Update
	for i := range 300 {
		all = append(all, shared(i, ""))
	}
	m.Ingest(t, batch("armis", 1, all...))
	rules := dire.DefaultRules()
	probe, err := rules.ProbeFor(batch("armis", 2, shared(7, "new")))
	if err != nil {
		t.Fatal(err)
	}
	n := m.Neighbourhood(&probe)
	if len(n.Assertions) > 3 {
		t.Errorf("%d assertions are read for one update", len(n.Assertions))
	}
	plan, err := rules.Plan(probe, n)
	if err != nil || len(plan.Put) != 1 || len(plan.Devices) != 1 || len(refusals(plan)) > 0 {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
}

// An operator's word on something that is gone says nothing of what lives.
func TestARetractedThingKeptApartTakesNobodyApart(t *testing.T) {
	m := diretest.NewMemory(0)
	m.Ingest(t, batch("armis", 1, named("1", macA)))
	m.Ingest(t, batch("netbox", 1, named("7", macA)))
	armis, netbox := m.Rows[dire.Ref{Source: "armis", Key: "id:1"}].HomeID, m.Rows[dire.Ref{Source: "netbox", Key: "id:7"}].HomeID
	m.Relink(t, dire.LinkChange{At: minutes(2), By: "local:0", Apart: []dire.Pair{dire.PairOf(armis, netbox)}})
	deleted := named("7", macA)
	deleted.Deleted = true
	m.Ingest(t, batch("netbox", 3, deleted))
	m.Ingest(t, batch("sweep", 4, dire.Update{MACs: []string{macA}}))
	if got := of(t, m, "sweep", "mac:"+macA).ID; got != armis || of(t, m, "netbox", "id:7").ID != netbox || len(m.Devices) != 2 {
		t.Errorf("devices are %+v", m.Devices)
	}
}

// refusals are the decisions of a plan not to link.
func refusals(plan dire.Plan) []dire.Decision {
	return slices.DeleteFunc(slices.Clone(plan.Decisions), func(d dire.Decision) bool {
		return d.Kind != dire.DecisionAmbiguous && d.Kind != dire.DecisionChain
	})
}
