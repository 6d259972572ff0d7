package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/store/backup"
	"edgesync/store/dump"
)

// Kept is a place for a store with what its kind has for backups.
type Kept interface {
	Open(t testing.TB) Dumper
	Snapshot(ctx context.Context) (backup.Snapshot, error)
	Blank(ctx context.Context) (Blank, error)
}

// Dumper is a store that hands out its tables and looks after them.
type Dumper interface {
	core.Store
	Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error
	Check(ctx context.Context, tenant uuid.UUID) ([]string, error)
}

// Blank is a store that is being filled.
type Blank interface {
	Load(ctx context.Context, part dump.Part, from dump.Source) (dump.Sums, error)
	Open(ctx context.Context) (core.Store, error)
	Commit(ctx context.Context) error
	Discard() error
}

// RunBackup takes backups of a kind of store and restores them. Each call of place
// makes a place of its own.
func RunBackup(t *testing.T, place func(t testing.TB) Kept) {
	t.Run("OneMoment", func(t *testing.T) { testOneMoment(t, place(t)) })
	t.Run("Elsewhere", func(t *testing.T) { RestoreElsewhere(t, place(t), place(t)) })
	t.Run("WholeOrNothing", func(t *testing.T) { testWholeOrNothing(t, place(t), place(t)) })
	t.Run("OlderVersion", func(t *testing.T) { testOlderVersion(t, place(t)) })
	t.Run("OlderSightings", func(t *testing.T) { testOlderSightings(t, place(t)) })
}

// kept fills a place with a platform of some tenants.
func kept(t testing.TB, place Kept, slugs ...string) (Dumper, map[string]core.TenantStore) {
	t.Helper()
	store := place.Open(t)
	t.Cleanup(func() { check(t, store.Close()) })
	tenants := map[string]core.TenantStore{}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		for i, slug := range slugs {
			tenant := core.Tenant{ID: uuid.New(), Slug: slug, Name: slug, State: core.TenantActive, IsPlatform: i == 0, CreatedAt: at(i)}
			check(t, tx.PutTenant(ctx, tenant))
			made, err := store.CreateTenant(ctx, tenant.ID)
			check(t, err)
			tenants[slug] = made
			if i == 0 {
				check(t, tx.PutPlatform(ctx, core.Platform{TenantID: tenant.ID, Slug: slug, TrustDomain: "edgesync.local", CreatedAt: at(0)}))
			}
		}
		return nil
	}))
	return store, tenants
}

// testOneMoment has somebody change one tenant, then another, then the platform,
// over and over: what is a snapshot's is of one moment of all three.
func testOneMoment(t *testing.T, place Kept) {
	store, tenants := kept(t, place, "platform", "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			event := func(ctx context.Context, tx core.TenantTx) error {
				return tx.AppendEvents(ctx, core.Event{ID: uuid.New(), Time: at(1), Type: "x"})
			}
			for _, slug := range []string{"a", "b"} {
				if err := tenants[slug].Update(t.Context(), func(tx core.TenantTx) error { return event(t.Context(), tx) }); err != nil {
					written <- err
					return
				}
			}
			err := store.Platform().Update(t.Context(), func(tx core.PlatformTx) error {
				return tx.PutRevocation(t.Context(), core.Revocation{TenantID: uuid.New(), Serial: uuid.NewString(), NotAfter: at(9)})
			})
			if err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	last := int64(0)
	for range 12 {
		counts := momentOf(t, place)
		a, b, platform := counts["a"]["event"], counts["b"]["event"], counts["platform/"]["revocation"]
		if a < b || b < platform || platform < a-1 {
			t.Errorf("%d, %d and %d changes are of more than one moment", a, b, platform)
		}
		if platform < last {
			t.Errorf("%d changes after %d", platform, last)
		}
		last = platform
	}
	cancel()
	check(t, <-written)
	if last == 0 {
		t.Error("nothing was written meanwhile")
	}
}

// momentOf counts the rows of each table of each part in a snapshot.
func momentOf(t testing.TB, place Kept) map[string]map[string]int64 {
	t.Helper()
	snapshot, err := place.Snapshot(t.Context())
	check(t, err)
	defer func() { check(t, snapshot.Close()) }()
	counts := map[string]map[string]int64{}
	// The order of reading is not that of writing.
	parts := snapshot.Parts()
	for i := range parts {
		part := parts[len(parts)-1-i]
		name := part.Slug
		if part.Tenant == uuid.Nil {
			name += "/"
		}
		counts[name] = map[string]int64{}
		check(t, snapshot.Dump(t.Context(), part.Tenant, func(table dump.Table) error {
			sum, err := dump.Of(table)
			counts[name][table.Name] = sum.Rows
			return err
		}))
	}
	return counts
}

const passphrase = "correct horse battery"

// write takes a backup that opens with passphrase.
func write(t testing.TB, place Kept) ([]byte, backup.Summary) {
	t.Helper()
	snapshot, err := place.Snapshot(t.Context())
	check(t, err)
	defer func() { check(t, snapshot.Close()) }()
	var out bytes.Buffer
	summary, err := backup.Write(t.Context(), &out, backup.QuickLock(passphrase), backup.Contents{
		Header: backup.Header{Program: "test", TakenAt: at(5), Store: "any"}, Snapshot: snapshot,
		Keyset: []byte("the keys"), Files: []backup.File{{Name: "a/b", Content: []byte("c")}},
	})
	check(t, err)
	return out.Bytes(), summary
}

func read(t testing.TB, from io.Reader) *backup.Reader {
	t.Helper()
	key, err := backup.KeyPassphrase(passphrase)
	check(t, err)
	reader, err := backup.Open(t.Context(), from, key)
	check(t, err)
	t.Cleanup(reader.Close)
	return reader
}

// loadAll reads every part into a blank store.
func loadAll(ctx context.Context, reader *backup.Reader, blank Blank) error {
	for {
		err := reader.Part(func(part dump.Part, from dump.Source) (dump.Sums, error) { return blank.Load(ctx, part, from) })
		if errors.Is(err, io.EOF) {
			_, err = reader.End()
			return err
		}
		if err != nil {
			return err
		}
	}
}

// RestoreElsewhere fills a store with everything there is, takes a backup
// and restores it: every row is the same there, and it goes on where it was.
func RestoreElsewhere(t *testing.T, from, into Kept) {
	store, tenants := kept(t, from, "platform", "acme", "empty")
	acme := tenants["acme"]
	for run := range 3 {
		for _, batch := range scenario(400/slowdown, run) {
			update(t, acme, func(ctx context.Context, tx core.TenantTx) error {
				(&transaction{ctx, tx}).Ingest(t, batch)
				return nil
			})
		}
	}
	update(t, acme, func(ctx context.Context, tx core.TenantTx) error {
		check(t, tx.PutService(ctx, aService("edge")))
		check(t, tx.PutSource(ctx, aSource("lab")))
		check(t, tx.AddJoinToken(ctx, aJoinToken(uuid.NewString(), "edge", 3)))
		return tx.AppendEvents(ctx, core.Event{ID: uuid.New(), Time: at(1), Type: "x", Message: "it's ünïcode", Details: map[string]string{"a": "b"}})
	})
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutAuthority(ctx, core.Authority{KeyID: "00ff", Kind: core.AuthorityRoot, Certificate: []byte{0, 1}, State: core.AuthorityEnded}))
		return tx.PutRestoration(ctx, core.Restoration{ID: uuid.New(), BackupAt: at(1), RestoredAt: at(2)})
	}))
	data, summary := write(t, from)
	if bytes.Contains(data, []byte("the keys")) || bytes.Contains(data, []byte("it's ünïcode")) {
		t.Error("the backup can be read")
	}
	reader := read(t, bytes.NewReader(data))
	equal(t, "keyset", string(reader.Keyset), "the keys")
	equal(t, "files", reader.Files, []backup.File{{Name: "a/b", Content: []byte("c")}})
	equal(t, "header", reader.Header, summary.Header)
	blank, err := into.Blank(t.Context())
	check(t, err)
	check(t, loadAll(t.Context(), reader, blank))
	check(t, blank.Commit(t.Context()))
	check(t, blank.Discard())

	restored := into.Open(t)
	defer func() { check(t, restored.Close()) }()
	for i, part := range summary.Parts {
		sent, err := dump.SumsOf(func(visit func(dump.Table) error) error { return store.Dump(t.Context(), part.Tenant, visit) })
		check(t, err)
		arrived, err := dump.SumsOf(func(visit func(dump.Table) error) error { return restored.Dump(t.Context(), part.Tenant, visit) })
		check(t, err)
		check(t, sent.Compare(arrived))
		equal(t, "sum of "+part.Name(), summary.Sums[i], arrived.Total())
		if problems, err := restored.Check(t.Context(), part.Tenant); err != nil || len(problems) > 0 {
			t.Errorf("check of %s: %q, %v", part.Name(), problems, err)
		}
	}
	if summary.Rows < 2000/slowdown {
		t.Errorf("only %d rows", summary.Rows)
	}
	// What was stored is known, and what is new gets numbers of its own.
	for _, part := range summary.Parts {
		if part.Slug != "acme" {
			continue
		}
		tenant, err := restored.Tenant(t.Context(), part.Tenant)
		check(t, err)
		update(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
			check(t, tx.AppendEvents(ctx, core.Event{ID: uuid.New(), Time: at(2), Type: "y"}))
			before, err := tx.CountDevices(ctx, core.DeviceFilter{})
			check(t, err)
			(&transaction{ctx, tx}).Ingest(t, scenario(400/slowdown, 2)[0])
			after, err := tx.CountDevices(ctx, core.DeviceFilter{})
			check(t, err)
			equal(t, "devices after the same again", after, before)
			return nil
		})
	}
	if _, err := into.Blank(t.Context()); !errors.Is(err, core.ErrConflict) {
		t.Errorf("a second restore: %v", err)
	}
}

// testWholeOrNothing restores what is not whole, and what another restore left.
func testWholeOrNothing(t *testing.T, from, into Kept) {
	_, tenants := kept(t, from, "platform", "acme")
	update(t, tenants["acme"], func(ctx context.Context, tx core.TenantTx) error {
		(&transaction{ctx, tx}).Ingest(t, scenario(2000/slowdown, 0)[0])
		return nil
	})
	data, _ := write(t, from)
	for _, broken := range []struct {
		name string
		data []byte
	}{
		{"cut at its end", data[:len(data)-1]},
		{"changed", append(append(bytes.Clone(data[:len(data)/2]), data[len(data)/2]^1), data[len(data)/2+1:]...)},
	} {
		blank, err := into.Blank(t.Context())
		check(t, err)
		key, err := backup.KeyPassphrase(passphrase)
		check(t, err)
		reader, err := backup.Open(t.Context(), bytes.NewReader(broken.data), key)
		if err == nil {
			err = loadAll(t.Context(), reader, blank)
			reader.Close()
		}
		if !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", broken.name, err)
		}
		check(t, blank.Discard())
	}
	// One that was cut short by a kill is begun anew.
	blank, err := into.Blank(t.Context())
	check(t, err)
	check(t, loadAll(t.Context(), read(t, bytes.NewReader(data)), blank))
	again, err := into.Blank(t.Context())
	check(t, err)
	check(t, loadAll(t.Context(), read(t, bytes.NewReader(data)), again))
	store, err := again.Open(t.Context())
	check(t, err)
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		return tx.PutRestoration(ctx, core.Restoration{ID: uuid.New(), RestoredAt: at(7)})
	}))
	check(t, again.Commit(t.Context()))
	restored := into.Open(t)
	defer func() { check(t, restored.Close()) }()
	platformView(t, restored, func(ctx context.Context, tx core.PlatformTx) error {
		all, err := tx.Restorations(ctx)
		equal(t, "restorations", len(all), 1)
		return err
	})
	// A part that arrives otherwise is refused.
	reader := read(t, bytes.NewReader(data))
	err = reader.Part(func(_ dump.Part, from dump.Source) (dump.Sums, error) {
		sums, err := dump.SumsOf(from)
		delete(sums, "assertion")
		return sums, err
	})
	if err == nil || !strings.Contains(err.Error(), "assertion") {
		t.Errorf("a table that did not arrive: %v", err)
	}
	if _, err := reader.End(); err == nil {
		t.Error("a backup of which a part failed ended well")
	}
}

func testRestorations(t *testing.T, place Place) {
	store := open(t, place)
	second := core.Restoration{ID: uuid.New(), BackupAt: at(3), RestoredAt: at(8)}
	first := core.Restoration{ID: uuid.New(), BackupAt: at(1), RestoredAt: at(2), SettledAt: at(3), SettledBy: "local:0"}
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutRestoration(ctx, second))
		check(t, tx.PutRestoration(ctx, core.Restoration{ID: first.ID, BackupAt: at(1), RestoredAt: at(2)}))
		return tx.PutRestoration(ctx, first)
	}))
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		all, err := tx.Restorations(ctx)
		equal(t, "restorations", all, []core.Restoration{first, second})
		return err
	})
}

// oneRow is a source of tables with one row each, by their columns.
func oneRow(tables map[string]map[string]any) dump.Source {
	rows := make(map[string][]map[string]any, len(tables))
	for name, row := range tables {
		rows[name] = []map[string]any{row}
	}
	return rowsOf(rows)
}

// rowsOf is a source of tables with some rows each, which have the same columns.
func rowsOf(tables map[string][]map[string]any) dump.Source {
	return func(visit func(dump.Table) error) error {
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			rows := tables[name]
			columns := slices.Sorted(maps.Keys(rows[0]))
			err := visit(dump.Table{Name: name, Columns: columns, Next: func() ([]any, error) {
				if len(rows) == 0 {
					return nil, nil
				}
				next := make([]any, len(columns))
				for i, column := range columns {
					next[i] = rows[0][column]
				}
				rows = rows[1:]
				return next, nil
			}})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// olderPlatform is the platform's part in the first version there was, of one tenant.
func olderPlatform(tenant uuid.UUID) map[string]map[string]any {
	return map[string]map[string]any{
		"platform":  {"id": int64(1), "tenant_id": tenant.String(), "slug": "platform", "trust_domain": "x", "gateway_addr": "", "ca_addr": "", "created_at": nil},
		"tenant":    {"id": tenant.String(), "slug": "platform", "name": "", "is_platform": int64(1), "state": "active", "platform_sync": int64(0), "created_at": nil},
		"authority": {"key_id": "00", "kind": "root", "tenant_id": "", "certificate": []byte{1, 2}, "sealed_key": []byte{}, "state": "active", "created_at": nil},
	}
}

// testOlderVersion restores parts of the first version there was: they are brought
// up to date as if they had been there all the while.
func testOlderVersion(t *testing.T, place Kept) {
	blank, err := place.Blank(t.Context())
	check(t, err)
	id, service := uuid.New(), uuid.New()
	load := func(part dump.Part, tables map[string]map[string]any) {
		t.Helper()
		sums, err := blank.Load(t.Context(), part, oneRow(tables))
		check(t, err)
		for name := range tables {
			equal(t, "rows of "+name, sums[name].Rows, 1)
		}
	}
	tables := olderRows(t)
	tables["service"] = map[string]any{
		"id": service.String(), "name": "s", "component_id": "s", "partition": "default", "type": "on_prem", "is_platform_sync": int64(1),
		"endpoint": "", "state": "active", "version": "", "capabilities": "[]", "hostname": "", "os": "", "arch": "",
		"cert_serial": "77", "cert_expires_at": at(100).UnixMicro(), "first_hello_at": nil, "last_heartbeat_at": nil, "created_at": at(1).UnixMicro(),
	}
	load(dump.Part{Tenant: id, Slug: "platform", Version: 1}, tables)
	load(dump.Part{Version: 1}, olderPlatform(id))
	// What is not of the version is refused.
	_, err = blank.Load(t.Context(), dump.Part{Tenant: uuid.New(), Slug: "x", Version: 1}, oneRow(map[string]map[string]any{"certificate": {"serial": "1"}}))
	if err == nil {
		t.Error("a table that the version did not have was loaded")
	}
	check(t, blank.Commit(t.Context()))
	store := place.Open(t)
	defer func() { check(t, store.Close()) }()
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		authorities, err := tx.Authorities(ctx)
		check(t, err)
		equal(t, "authorities", len(authorities), 1)
		equal(t, "its certificate", authorities[0].Certificate, []byte{1, 2})
		_, err = tx.Restorations(ctx)
		return err
	})
	tenant, err := store.Tenant(t.Context(), id)
	check(t, err)
	view(t, tenant, func(ctx context.Context, tx core.TenantTx) error {
		certificate, err := tx.Certificate(ctx, "77")
		equal(t, "component of the certificate that a migration recorded", certificate.Component, "s")
		return err
	})
	checkOlder(t, tenant)
	problems, err := store.Check(t.Context(), id)
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %q, %v", problems, err)
	}
}
