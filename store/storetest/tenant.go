package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

func aService(name string) core.SyncService {
	return core.SyncService{
		ID: uuid.New(), Name: name, ComponentID: name, Partition: "default", Type: core.ServiceOnPrem,
		State: core.ServiceActive, Version: "1.2.3", Capabilities: []string{"armis", "net\"box"},
		Hostname: "edge-7", OS: "linux", Arch: "arm64", CertSerial: "123456789012345678901234567890",
		CertExpiresAt: at(100), FirstHelloAt: at(1), LastHeartbeatAt: at(2), CreatedAt: at(0),
		ConfigVersion: "c0ffee", ConfigAppliedAt: at(3), OutboxBytes: 5 << 30, OutboxRuns: 3,
	}
}

func testServices(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a, b := aService("a"), core.SyncService{ID: uuid.New(), Name: "b", ComponentID: "b", Type: core.ServiceSaaS, IsPlatformSync: true, Endpoint: "x:1", State: core.ServiceRemoved}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		check(t, tx.PutService(ctx, b))
		return tx.PutService(ctx, a)
	})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		all, err := tx.Services(ctx)
		check(t, err)
		equal(t, "services in order of name", all, []core.SyncService{a, b})
		one, err := tx.Service(ctx, b.ID)
		check(t, err)
		equal(t, "service by id", one, b)
		one, err = tx.ServiceByComponent(ctx, "a")
		check(t, err)
		equal(t, "service by component", one, a)
		_, err = tx.Service(ctx, uuid.New())
		wantError(t, "read unknown service", err, core.ErrNotFound)
		_, err = tx.ServiceByComponent(ctx, "' OR 1=1 --")
		wantError(t, "read unknown component", err, core.ErrNotFound)
		called, err := tx.ServicesCalled(ctx, "b", "a")
		check(t, err)
		equal(t, "services by name or component", called, []core.SyncService{a, b})
		called, err = tx.ServicesCalled(ctx, "' OR 1=1 --", "B")
		check(t, err)
		equal(t, "services called by what nobody is", len(called), 0)
		return nil
	})
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		wantError(t, "heartbeat of an unknown service", tx.Heartbeat(ctx, uuid.New(), core.Beat{At: at(9)}), core.ErrNotFound)
		wantError(t, "configuration of an unknown service", tx.ConfigApplied(ctx, uuid.New(), "v", at(9)), core.ErrNotFound)
		check(t, tx.ConfigApplied(ctx, a.ID, "v2", at(8)))
		return tx.Heartbeat(ctx, a.ID, core.Beat{At: at(9), OutboxBytes: 7, OutboxRuns: 1})
	})
	a.LastHeartbeatAt, a.ConfigVersion, a.ConfigAppliedAt = at(9), "v2", at(8)
	a.OutboxBytes, a.OutboxRuns = 7, 1
	b.Name, b.Capabilities = "renamed", []string{"faker"}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PutService(ctx, b) })
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		all, err := tx.Services(ctx)
		equal(t, "services after changes", all, []core.SyncService{a, b})
		return err
	})
	err := tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.PutService(t.Context(), aService("a")) })
	wantError(t, "put service with a component id that is taken", err, core.ErrConflict)
}

func aSource(name string) core.Source {
	return core.Source{
		ID: uuid.New(), Name: name, Type: "armis", Endpoint: "https://x/?a=1&b='", Enabled: true,
		SyncServiceID: uuid.New(), Partition: "default", PollInterval: 5 * time.Minute,
		DiscoveryInterval: 6 * time.Hour, SweepInterval: time.Nanosecond, PageSize: 500, BatchSize: 1000,
		NetworkBlacklist: []string{"10.0.0.0/8"}, CustomField: "f",
		Queries:            []core.Query{{Label: "all", Query: `in:devices "x"`, SweepModes: []string{"icmp"}}, {Label: "b"}},
		Settings:           map[string]string{"k": "v", "": "empty"},
		InsecureSkipVerify: true, Confidence: 7,
		Credentials: map[string][]byte{"api_key": {0, 255, 1}, "other": []byte("x")},
		CreatedAt:   at(1), UpdatedAt: at(2),
	}
}

func testSources(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	a, b := aSource("a"), core.Source{ID: uuid.New(), Name: "b", Type: "netbox"}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		check(t, tx.PutSource(ctx, b))
		return tx.PutSource(ctx, a)
	})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		all, err := tx.Sources(ctx)
		check(t, err)
		equal(t, "sources in order of name", all, []core.Source{a, b})
		one, err := tx.Source(ctx, a.ID)
		check(t, err)
		equal(t, "source by id", one, a)
		one, err = tx.SourceByName(ctx, "b")
		check(t, err)
		equal(t, "source by name", one, b)
		_, err = tx.Source(ctx, uuid.New())
		wantError(t, "read unknown source", err, core.ErrNotFound)
		_, err = tx.SourceByName(ctx, "%")
		wantError(t, "read unknown name", err, core.ErrNotFound)
		return nil
	})
	err := tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.PutSource(t.Context(), aSource("a")) })
	wantError(t, "put source with a name that is taken", err, core.ErrConflict)

	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		wantError(t, "delete unknown source", tx.DeleteSource(ctx, uuid.New()), core.ErrNotFound)
		check(t, tx.PutRun(ctx, core.Run{ID: "r", SourceID: a.ID}))
		check(t, tx.PutRun(ctx, core.Run{ID: "r", SourceID: b.ID}))
		return tx.DeleteSource(ctx, a.ID)
	})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		_, err := tx.Source(ctx, a.ID)
		wantError(t, "read deleted source", err, core.ErrNotFound)
		_, err = tx.Run(ctx, a.ID, "r")
		wantError(t, "read run of a deleted source", err, core.ErrNotFound)
		_, err = tx.Run(ctx, b.ID, "r")
		return err
	})
}

func testSourceStats(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	source := aSource("a")
	stats := core.SourceStats{
		LastSyncAt: at(5), LastResult: "failed", LastDeviceCount: 1 << 40, LastError: "x: 'y'\n",
		ConsecutiveFailures: 3, TotalSyncs: 9,
	}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		check(t, tx.PutSource(ctx, source))
		wantError(t, "put stats of an unknown source", tx.PutSourceStats(ctx, uuid.New(), stats), core.ErrNotFound)
		return tx.PutSourceStats(ctx, source.ID, stats)
	})
	// Changing the source says nothing about its runs.
	source.Endpoint = "https://elsewhere"
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error { return tx.PutSource(ctx, source) })
	source.Stats = stats
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		got, err := tx.Source(ctx, source.ID)
		equal(t, "source with stats", got, source)
		return err
	})
}

func testRuns(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	source, other := uuid.New(), uuid.New()
	var runs []core.Run
	for i := range 5 {
		runs = append(runs, core.Run{
			ID: fmt.Sprintf("run-%d", 5-i), SourceID: source, Mode: "snapshot", Started: at(i), Finished: at(i + 1),
			Result: "ok", Devices: int64(i), Received: int64(i), Total: -1, Complete: i%2 == 0, Error: "none",
			Refused: int64(i + 10), Superseded: int64(i + 20), Held: int64(i + 30),
			ServiceID: other, TraceID: "0af7651916cd43dd8448eb211c80319c", Chunks: i, TotalChunks: 5, StoredAt: at(i), Stage: "read",
		})
	}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		for _, run := range runs {
			check(t, tx.PutRun(ctx, core.Run{ID: run.ID, SourceID: source, Started: run.Started}))
			check(t, tx.PutRun(ctx, run))
		}
		return tx.PutRun(ctx, core.Run{ID: "run-1", SourceID: other, Total: 7})
	})
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		one, err := tx.Run(ctx, source, "run-1")
		check(t, err)
		equal(t, "run", one, runs[4])
		one, err = tx.Run(ctx, other, "run-1")
		check(t, err)
		equal(t, "run of the other source", one, core.Run{ID: "run-1", SourceID: other, Total: 7})
		_, err = tx.Run(ctx, source, "run-9")
		wantError(t, "read unknown run", err, core.ErrNotFound)
		latest, err := tx.Runs(ctx, source, 2)
		check(t, err)
		equal(t, "latest runs", latest, []core.Run{runs[4], runs[3]})
		every, err := tx.Runs(ctx, source, 0)
		equal(t, "number of runs", len(every), 5)
		return err
	})
}

func testEvents(t *testing.T, place Place) {
	tenant := openTenant(t, place)
	var events []core.Event
	for i := range 6 {
		events = append(events, core.Event{
			ID: uuid.New(), Time: at(i / 2), Type: fmt.Sprintf("source.%s", []string{"created", "100%_done"}[i%2]),
			Severity: core.SeverityWarning, Actor: core.Actor{Name: "local:0", Origin: "cli"},
			SourceID: uuid.New(), Message: "it's", Details: map[string]string{"n": fmt.Sprint(i)},
		})
	}
	last := core.Event{ID: uuid.New(), Time: at(9), Type: "service.hello", Severity: core.SeverityInfo, ServiceID: uuid.New()}
	update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		check(t, tx.AppendEvents(ctx))
		check(t, tx.AppendEvents(ctx, last))
		return tx.AppendEvents(ctx, events...)
	})
	for name, test := range map[string]struct {
		filter core.EventFilter
		want   []core.Event
	}{
		"all":          {core.EventFilter{}, append(events[:6:6], last)},
		"latest":       {core.EventFilter{Limit: 2}, []core.Event{events[5], last}},
		"since":        {core.EventFilter{Since: at(2)}, []core.Event{events[4], events[5], last}},
		"prefix":       {core.EventFilter{TypePrefix: "source.c", Since: at(1)}, []core.Event{events[2], events[4]}},
		"prefix limit": {core.EventFilter{TypePrefix: "source.", Limit: 1}, []core.Event{events[5]}},
		"hostile":      {core.EventFilter{TypePrefix: "source.1%"}, nil},
		"literal":      {core.EventFilter{TypePrefix: "source.100%_"}, []core.Event{events[1], events[3], events[5]}},
	} {
		view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			got, err := tx.Events(ctx, test.filter)
			equal(t, name+" events", got, test.want)
			return err
		})
	}
	err := tenant.Update(t.Context(), func(tx core.TenantTx) error { return tx.AppendEvents(t.Context(), last) })
	wantError(t, "append an event again", err, core.ErrConflict)
}
