package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/dire"
)

// Armis and NetBox are the ids of two sources.
const (
	Armis  = "8c5f2f0e-97a4-4b1e-9f43-0d1b53b1a001"
	NetBox = "8c5f2f0e-97a4-4b1e-9f43-0d1b53b1a002"
)

// BatchSize is that of core's largest batch.
const BatchSize = 5000

// Started is when the first run of an Inventory began; each run begins an hour
// after the one before.
var Started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Inventory is updates from to to of one source, as of an epoch: each epoch has
// other addresses.
func Inventory(from, to, epoch int) []dire.Update {
	updates := make([]dire.Update, 0, to-from)
	for i := from; i < to; i++ {
		updates = append(updates, dire.Update{
			NativeID: fmt.Sprintf("device:%d", i),
			MACs:     []string{fmt.Sprintf("00:1b:21:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)},
			IPs:      []string{fmt.Sprintf("10.%d.%d.%d", (i>>16+epoch)&255, i>>8&255, i&255)},
			Hostname: fmt.Sprintf("host-%06d.example.org", i), SerialNumber: fmt.Sprintf("SN%08d", i*7919%100000000),
			Manufacturer: "Dell Inc.", Model: "Latitude 5420", OS: "Windows 11 23H2", DeviceType: "laptop",
			Site: "Head Office", Tags: []string{"corporate", "managed"}, Available: true,
			Metadata: map[string]string{
				"armis_device_id": fmt.Sprint(i), "integration_type": "armis", "risk_level": "3",
				"boundary": "Corporate", "category": "Computers", "purdue_level": "4.0",
			},
		})
	}
	return updates
}

// Ingest is what core does with a batch, in one transaction.
func Ingest(ctx context.Context, tenant core.TenantStore, source string, run int, updates []dire.Update) (stats dire.Stats, err error) {
	probe, err := probeOf(source, run, updates)
	if err != nil {
		return dire.Stats{}, err
	}
	return ingest(ctx, tenant, probe)
}

func ingest(ctx context.Context, tenant core.TenantStore, probe dire.Probe) (stats dire.Stats, err error) {
	err = tenant.Update(ctx, func(tx core.TenantTx) error {
		stats, err = reconcile(ctx, tx, probe)
		return err
	})
	return stats, err
}

// IngestIn is the same in a transaction that is under way.
func IngestIn(ctx context.Context, tx core.TenantTx, source string, run int, updates []dire.Update) (dire.Stats, error) {
	probe, err := probeOf(source, run, updates)
	if err != nil {
		return dire.Stats{}, err
	}
	return reconcile(ctx, tx, probe)
}

func probeOf(source string, run int, updates []dire.Update) (dire.Probe, error) {
	at := Started.Add(time.Duration(run) * time.Hour)
	return defaults.ProbeFor(dire.Batch{
		Source: source, SourceType: "armis", Confidence: 5, Partition: "default",
		Run: dire.Run{ID: uuid.NewSHA1(uuid.Nil, []byte{byte(run)}).String(), Started: at}, Received: at.Add(time.Minute), Updates: updates,
	})
}

func reconcile(ctx context.Context, tx core.TenantTx, probe dire.Probe) (dire.Stats, error) {
	probe, err := tx.Touch(ctx, probe)
	if err != nil {
		return dire.Stats{}, err
	}
	near, err := tx.Neighbourhood(ctx, probe)
	if err != nil {
		return dire.Stats{}, err
	}
	plan, err := defaults.Plan(probe, near)
	if err != nil {
		return dire.Stats{}, err
	}
	return plan.Stats, tx.Apply(ctx, plan)
}

// TimeIngest stores an Inventory in batches as a run of Armis, each made ready while
// the one before is stored, as core does with the chunks of a stream. It returns the
// time of that without making up the updates.
func TimeIngest(b *testing.B, tenant core.TenantStore, run, from, to, epoch int) (took time.Duration) {
	b.Helper()
	for ; from < to; from += streamLength {
		var batches [][]dire.Update
		for at := from; at < min(to, from+streamLength); at += BatchSize {
			batches = append(batches, Inventory(at, at+BatchSize, epoch))
		}
		took += timeStream(b, tenant, run, batches)
	}
	return took
}

// TimeShuffled stores some of the first updates of an Inventory in batches as a run
// of Armis, in another order than they ever came in: a batch meets things from all
// over the store.
func TimeShuffled(b *testing.B, tenant core.TenantStore, run, upTo, some int) time.Duration {
	b.Helper()
	var batches [][]dire.Update
	for batch := range slices.Chunk(rand.New(rand.NewPCG(1, 1)).Perm(upTo)[:some], BatchSize) {
		updates := make([]dire.Update, 0, len(batch))
		for _, i := range batch {
			updates = append(updates, Inventory(i, i+1, 0)...)
		}
		batches = append(batches, updates)
	}
	return timeStream(b, tenant, run, batches)
}

// streamLength bounds how many updates are made up at once.
const streamLength = 20 * BatchSize

func timeStream(b *testing.B, tenant core.TenantStore, run int, batches [][]dire.Update) time.Duration {
	b.Helper()
	begin := time.Now()
	ready := make(chan dire.Probe)
	go func() {
		defer close(ready)
		for _, updates := range batches {
			probe, err := probeOf(Armis, run, updates)
			if err != nil {
				b.Error(err)
				return
			}
			ready <- probe
		}
	}()
	for probe := range ready {
		if _, err := ingest(b.Context(), tenant, probe); err != nil {
			b.Error(err)
		}
	}
	return time.Since(begin)
}

// Costs are the times of as many batches of each kind: of what is new, the same
// again, and with other addresses; and of the rows that the new became, loaded
// without a question asked.
type Costs struct{ Fresh, Unchanged, Shuffled, Changed, Raw time.Duration }

// Report reports what a batch cost, and the shares that are promised.
func (c Costs) Report(b *testing.B, batches int) {
	for name, total := range map[string]time.Duration{
		"fresh": c.Fresh, "unchanged": c.Unchanged, "shuffled": c.Shuffled, "changed": c.Changed, "raw": c.Raw,
	} {
		b.ReportMetric(total.Seconds()*1000/float64(batches), name+"-ms")
	}
	b.ReportMetric(c.Raw.Seconds()/c.Fresh.Seconds(), "raw/fresh")
	b.ReportMetric(c.Fresh.Seconds()/c.Unchanged.Seconds(), "fresh/unchanged")
	b.ReportMetric(float64(batches*BatchSize)/c.Fresh.Seconds(), "fresh/s")
	b.ReportMetric(0, "ns/op")
}

// Statements are those a store was sent while one looked.
type Statements struct {
	mu   sync.Mutex
	on   bool
	sent []string
}

// Add notes a statement.
func (s *Statements) Add(statement string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on {
		s.sent = append(s.sent, statement)
	}
}

// During are the statements that are sent while fn runs.
func (s *Statements) During(fn func()) []string {
	s.mu.Lock()
	s.on, s.sent = true, nil
	s.mu.Unlock()
	fn()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = false
	return slices.Clone(s.sent)
}

// StatementsAreConstant takes 50 and 5,000 updates through the same stages, each
// in a tenant of its own, and compares what the store was sent. The first so many
// statements of a transaction name the tenant.
func StatementsAreConstant(t *testing.T, store core.Store, sent *Statements, naming int) {
	const few, many = 50, BatchSize / slowdown
	one, other := stages(t, store, sent, few), stages(t, store, sent, many)
	for name := range one {
		if len(one[name]) != len(other[name]) || !slices.Equal(one[name][naming:], other[name][naming:]) {
			t.Errorf("%s: %d updates took %d statements, %d took %d: %q", name, few, len(one[name]), many, len(other[name]), other[name])
		}
		t.Logf("%s: %d statements", name, len(one[name]))
	}
}

func stages(t *testing.T, store core.Store, statements *Statements, n int) map[string][]string {
	t.Helper()
	tenant, err := store.CreateTenant(t.Context(), uuid.New())
	check(t, err)
	sent := map[string][]string{}
	stage := func(name, source string, run int, updates []dire.Update, want dire.Stats) {
		t.Helper()
		sent[name] = statements.During(func() {
			got, err := Ingest(t.Context(), tenant, source, run, updates)
			check(t, err)
			equal(t, fmt.Sprintf("%s of %d", name, n), got, want)
		})
	}
	stage("fresh", Armis, 1, Inventory(0, n, 0), dire.Stats{Stored: n})
	stage("unchanged", Armis, 2, Inventory(0, n, 0), dire.Stats{Unchanged: n})
	stage("changed", Armis, 3, Inventory(0, n, 1), dire.Stats{Stored: n})
	stage("merged", NetBox, 3, Inventory(0, n, 1), dire.Stats{Stored: n})
	stage("split", Armis, 4, Inventory(n, 2*n, 1), dire.Stats{Stored: n})
	sent["events"] = statements.During(func() {
		events := make([]core.Event, n)
		for i := range events {
			events[i] = core.Event{ID: uuid.New(), Time: Started, Type: "dire.ambiguous"}
		}
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.AppendEvents(ctx, events...) })
	})
	return sent
}
