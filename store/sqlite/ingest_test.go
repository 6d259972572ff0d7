package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/dire"
	"edgesync/store/sqlite"
)

var started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// inventory is updates from to to of one source, as of an epoch: each epoch has
// other addresses.
func inventory(from, to, epoch int) []dire.Update {
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

// ingest is what core does with a batch, in one transaction.
func ingest(ctx context.Context, tenant core.TenantStore, source string, run int, updates []dire.Update) (stats dire.Stats, err error) {
	rules := dire.DefaultRules()
	at := started.Add(time.Duration(run) * time.Hour)
	probe, err := rules.ProbeFor(dire.Batch{
		Source: source, SourceType: "armis", Confidence: 5, Partition: "default",
		Run: dire.Run{ID: uuid.NewSHA1(uuid.Nil, []byte{byte(run)}).String(), Started: at}, Received: at.Add(time.Minute), Updates: updates,
	})
	if err != nil {
		return dire.Stats{}, err
	}
	err = tenant.Update(ctx, func(tx core.TenantTx) error {
		probe, err := tx.Touch(ctx, probe)
		if err != nil {
			return err
		}
		near, err := tx.Neighbourhood(ctx, probe)
		if err != nil {
			return err
		}
		plan, err := rules.Plan(probe, near)
		if err != nil {
			return err
		}
		stats = plan.Stats
		return tx.Apply(ctx, plan)
	})
	return stats, err
}

const (
	armis  = "8c5f2f0e-97a4-4b1e-9f43-0d1b53b1a001"
	netbox = "8c5f2f0e-97a4-4b1e-9f43-0d1b53b1a002"
)

// statementLog records statements while it is on.
type statementLog struct {
	mu         sync.Mutex
	on         bool
	statements []string
}

func (l *statementLog) add(query string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.on {
		l.statements = append(l.statements, query)
	}
}

func (l *statementLog) during(fn func()) []string {
	l.mu.Lock()
	l.on, l.statements = true, nil
	l.mu.Unlock()
	fn()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = false
	return slices.Clone(l.statements)
}

// TestStatementsOfABatchAreConstant runs 50 and 5,000 updates through the same
// stages and compares what was sent to the file.
func TestStatementsOfABatchAreConstant(t *testing.T) {
	var log statementLog
	store := open(t, t.TempDir(), sqlite.Options{}.Observe(log.add))
	defer store.Close()
	stages := func(n int) (sent map[string][]string) {
		tenant, err := store.CreateTenant(t.Context(), uuid.New())
		if err != nil {
			t.Fatal(err)
		}
		sent = map[string][]string{}
		stage := func(name, source string, run int, updates []dire.Update, want dire.Stats) {
			sent[name] = log.during(func() {
				got, err := ingest(t.Context(), tenant, source, run, updates)
				if err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Fatalf("%s of %d: got %+v, want %+v", name, n, got, want)
				}
			})
		}
		stage("fresh", armis, 1, inventory(0, n, 0), dire.Stats{Stored: n})
		stage("unchanged", armis, 2, inventory(0, n, 0), dire.Stats{Unchanged: n})
		stage("changed", armis, 3, inventory(0, n, 1), dire.Stats{Stored: n})
		stage("merged", netbox, 3, inventory(0, n, 1), dire.Stats{Stored: n})
		stage("split", armis, 4, inventory(n, 2*n, 1), dire.Stats{Stored: n})
		sent["events"] = log.during(func() {
			events := make([]core.Event, n)
			for i := range events {
				events[i] = core.Event{ID: uuid.New(), Time: started, Type: "dire.ambiguous"}
			}
			if err := tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.AppendEvents(t.Context(), events...) }); err != nil {
				t.Fatal(err)
			}
		})
		return sent
	}
	few, lots := stages(50), stages(manyUpdates)
	for name := range few {
		if !slices.Equal(few[name], lots[name]) {
			t.Errorf("%s: 50 updates took %d statements, %d took %d: %q", name, len(few[name]), manyUpdates, len(lots[name]), lots[name])
		}
		t.Logf("%s: %d statements", name, len(few[name]))
	}
}
