package dire_test

import (
	"fmt"
	"slices"
	"testing"

	"edgesync/dire"
)

// inventory is a batch of n devices of one source as an adapter maps them.
func inventory(source string, n, run int) dire.Batch {
	b := dire.Batch{
		Source: source, SourceType: source, Confidence: 5, Partition: "default",
		Run: dire.Run{ID: fmt.Sprint("run", run), Started: minutes(run)}, Received: minutes(run + 1),
		Updates: make([]dire.Update, n),
	}
	for i := range b.Updates {
		b.Updates[i] = dire.Update{
			NativeID: fmt.Sprintf("device:%d", i), Hostname: fmt.Sprintf("host-%05d.example.com", i),
			MACs:         []string{fmt.Sprintf("00:1B:21:%02X:%02X:%02X", i>>16, i>>8&0xff, i&0xff)},
			IPs:          []string{fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)},
			SerialNumber: fmt.Sprintf("SN-%08d", i), Manufacturer: "Dell", Model: "Latitude 7440", OS: "Windows 11",
			DeviceType: "laptop", Site: "hq", Available: true, SeenAt: minutes(run),
			Metadata: map[string]string{
				"integration_type": source, "integration_id": fmt.Sprint(i), "query_label": "all",
				"category": "Computers", "risk_level": "3",
			},
		}
	}
	return b
}

const benchBatch = 5000

// plan runs the engine's part of a batch.
func plan(b *testing.B, batch dire.Batch, n dire.Neighbourhood) dire.Plan {
	rules := dire.DefaultRules()
	probe, err := rules.ProbeFor(batch)
	if err != nil {
		b.Fatal(err)
	}
	probe.Reach(n.Known)
	p, err := rules.Plan(probe, n)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func known(p dire.Plan) []dire.Known {
	list := make([]dire.Known, len(p.Put))
	for i, a := range p.Put {
		list[i] = dire.Known{
			Key: a.Key, Partition: a.Partition, Hash: a.Hash, Run: a.Run,
			DeviceID: a.DeviceID, LastSeen: a.LastSeen, RetractedAt: a.RetractedAt,
		}
	}
	return list
}

func reportPerUpdate(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchBatch), "ns/update")
}

func BenchmarkPlanFresh(b *testing.B) {
	batch := inventory("armis", benchBatch, 1)
	b.ReportAllocs()
	for b.Loop() {
		if p := plan(b, batch, dire.Neighbourhood{}); p.Stats.Stored != benchBatch {
			b.Fatal(p.Stats)
		}
	}
	reportPerUpdate(b)
}

func BenchmarkPlanUnchanged(b *testing.B) {
	stored := known(plan(b, inventory("armis", benchBatch, 1), dire.Neighbourhood{}))
	batch := inventory("armis", benchBatch, 2)
	b.ReportAllocs()
	for b.Loop() {
		if p := plan(b, batch, dire.Neighbourhood{Known: stored}); p.Stats.Unchanged != benchBatch {
			b.Fatal(p.Stats)
		}
	}
	reportPerUpdate(b)
}

// BenchmarkPlanJoining is a second source that names the devices of a first.
func BenchmarkPlanJoining(b *testing.B) {
	stored := plan(b, inventory("armis", benchBatch, 1), dire.Neighbourhood{}).Put
	batch := inventory("netbox", benchBatch, 2)
	b.ReportAllocs()
	for b.Loop() {
		if p := plan(b, batch, dire.Neighbourhood{Assertions: stored}); len(p.Devices) != benchBatch || len(p.Gone) > 0 {
			b.Fatal(len(p.Devices), len(p.Gone))
		}
	}
	reportPerUpdate(b)
}

// BenchmarkPlanShared is a source whose things all share one serial, a MAC and an
// address, with as many weak assertions of another that have the address: what
// costs the square of the batch shows here.
func BenchmarkPlanShared(b *testing.B) {
	weak := inventory("sweep", benchBatch, 1)
	for i := range weak.Updates {
		u := &weak.Updates[i]
		*u = dire.Update{IPs: []string{u.IPs[0], "10.255.255.1"}}
	}
	stored := plan(b, weak, dire.Neighbourhood{}).Put
	for _, native := range []bool{true, false} {
		batch := inventory("armis", benchBatch, 2)
		for i := range batch.Updates {
			u := &batch.Updates[i]
			u.SerialNumber, u.IPs = "SHARED-1", []string{"10.255.255.1"}
			u.MACs = append(u.MACs, "00:1b:22:00:00:01")
			if !native {
				u.NativeID = ""
			}
		}
		b.Run(fmt.Sprintf("native=%v", native), func(b *testing.B) {
			for b.Loop() {
				plan(b, batch, dire.Neighbourhood{Assertions: slices.Clone(stored)})
			}
			reportPerUpdate(b)
		})
	}
}

func BenchmarkEncodeFacts(b *testing.B) {
	stored := plan(b, inventory("armis", benchBatch, 1), dire.Neighbourhood{}).Put
	b.ReportAllocs()
	for b.Loop() {
		for i := range stored {
			if _, err := dire.EncodeFacts(&stored[i].Facts); err != nil {
				b.Fatal(err)
			}
		}
	}
	reportPerUpdate(b)
}

func BenchmarkDecodeFacts(b *testing.B) {
	stored := plan(b, inventory("armis", 1, 1), dire.Neighbourhood{}).Put
	data, err := dire.EncodeFacts(&stored[0].Facts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range benchBatch {
			if _, err := dire.DecodeFacts(data); err != nil {
				b.Fatal(err)
			}
		}
	}
	reportPerUpdate(b)
}
