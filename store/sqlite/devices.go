package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"edgesync/core"
	"edgesync/dire"
)

func (w *writer) dropDevices(ctx context.Context) error {
	rows := make([][]driver.Value, len(w.plan.Gone))
	for i, id := range w.plan.Gone {
		rows[i] = []driver.Value{w.homes[id]}
	}
	for _, table := range []string{"device", "device_text"} {
		err := w.s.insert(ctx, rows, `DELETE FROM `+table+` WHERE id IN (SELECT c0 FROM batch(?))`)
		if err != nil {
			return fmt.Errorf("drop devices: %w", err)
		}
	}
	return nil
}

func (w *writer) putDevices(ctx context.Context) error {
	rows := make([][]driver.Value, len(w.plan.Devices))
	for i := range w.plan.Devices {
		d := &w.plan.Devices[i]
		rows[i] = []driver.Value{
			w.homes[d.ID], d.ID, w.names.number[d.Partition], d.Retracted, d.IP, d.MAC, d.Hostname,
			jsonList(d.IPs), jsonList(d.MACs), d.SerialNumber, d.Manufacturer, d.Model, d.OS,
			d.DeviceType, d.Site, jsonList(d.Tags), d.Available, jsonList(d.Sources), micros(d.FirstSeen),
			searchText(d), micros(d.LastSeen),
		}
	}
	for _, statement := range []string{`
		INSERT INTO device (id, device_id, partition, retracted, ip, mac, hostname, ips, macs, serial_number,
			manufacturer, model, os, device_type, site, tags, available, sources, first_seen)
		SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18
		FROM batch(?) WHERE true
		ON CONFLICT (id) DO UPDATE SET partition = excluded.partition, retracted = excluded.retracted,
			ip = excluded.ip, mac = excluded.mac, hostname = excluded.hostname, ips = excluded.ips,
			macs = excluded.macs, serial_number = excluded.serial_number,
			manufacturer = excluded.manufacturer, model = excluded.model, os = excluded.os,
			device_type = excluded.device_type, site = excluded.site, tags = excluded.tags,
			available = excluded.available, sources = excluded.sources, first_seen = excluded.first_seen`, `
		INSERT INTO device_text (id, text) SELECT c0, c19 FROM batch(?) WHERE true
		ON CONFLICT (id) DO UPDATE SET text = excluded.text WHERE text <> excluded.text`, `
		UPDATE standing SET device_last_seen = b.c20 FROM batch(?) b WHERE standing.assertion = b.c0`,
	} {
		if err := w.s.insert(ctx, rows, statement); err != nil {
			return fmt.Errorf("put devices: %w", err)
		}
	}
	return nil
}

const deviceColumns = `d.device_id, d.partition, d.retracted, d.ip, d.mac, d.hostname, d.ips, d.macs,
	d.serial_number, d.manufacturer, d.model, d.os, d.device_type, d.site, d.tags, d.available,
	d.sources, d.first_seen, h.device_last_seen`

// deviceJoin adds what deviceColumns needs to a device d.
const deviceJoin = ` CROSS JOIN standing h ON h.assertion = d.id`

// scanDevice scans deviceColumns.
func (n names) scanDevice(row scanner) (dire.Device, error) {
	var d dire.Device
	err := row.Scan(&d.ID, n.column(&d.Partition), &d.Retracted, &d.IP, &d.MAC, &d.Hostname, asJSON(&d.IPs), asJSON(&d.MACs),
		&d.SerialNumber, &d.Manufacturer, &d.Model, &d.OS, &d.DeviceType, &d.Site, asJSON(&d.Tags), &d.Available,
		asJSON(&d.Sources), timeColumn{&d.FirstSeen}, timeColumn{&d.LastSeen})
	return d, err
}

// sparse is how many assertions a source may have to be listed through them.
const sparse = 20_000

// byID is the order of devices that are met in that of their ids.
const byID = `a.home_id`

// candidates is where devices d that a filter can match are read from, and what
// they are listed in the order of. Reading starts at what narrows most: the
// search; the few that are retracted; the assertions of a source that has few.
// Else devices are met in the order of their ids, so that a limit ends the
// reading early.
func (t tenantTx) candidates(ctx context.Context, filter core.DeviceFilter) (from, order string, args []any, err error) {
	if filter.Search != "" {
		from, args = searched(searchTerm(filter.Search))
		return from, byStored, args, nil
	}
	if filter.Source != "" {
		var n int
		err := t.s.one(ctx, `
			SELECT count(*) FROM (
				SELECT 1 FROM assertion WHERE source = (SELECT id FROM name WHERE value = ?) LIMIT ?)`,
			[]any{filter.Source, sparse + 1}, &n)
		if err != nil || n <= sparse {
			return `FROM (
				SELECT DISTINCT s.device FROM assertion m CROSS JOIN standing s ON s.assertion = m.id
				WHERE m.source = (SELECT id FROM name WHERE value = ?)
			) t CROSS JOIN device d ON d.id = t.device WHERE true`, `d.device_id`, []any{filter.Source}, err
		}
	}
	if filter.State == "retracted" {
		return `FROM device d WHERE true`, `d.device_id`, nil, nil
	}
	return `FROM assertion a CROSS JOIN device d ON d.id = a.id WHERE true`, byID, nil, nil
}

// conditions are those of a filter that hold of a device d.
func conditions(filter core.DeviceFilter) (where string, args []any) {
	if filter.State != "" {
		where += ` AND d.retracted = ?`
		args = append(args, filter.State == "retracted")
	}
	if filter.Source != "" {
		// The index narrows the devices down to those the source has ever been part
		// of; the record says whether it still is.
		where += `
			AND EXISTS (SELECT 1 FROM standing m WHERE m.device = d.id
				AND m.source = (SELECT id FROM name WHERE value = ?))
			AND EXISTS (SELECT 1 FROM json_each(d.sources) WHERE value = ?)`
		args = append(args, filter.Source, filter.Source)
	}
	return where, args
}

func (t tenantTx) Devices(ctx context.Context, filter core.DeviceFilter, yield func(dire.Device) error) error {
	fail := func(err error) error { return fmt.Errorf("list devices: %w", err) }
	names, err := t.s.names(ctx)
	if err != nil {
		return fail(err)
	}
	from, order, args, err := t.candidates(ctx, filter)
	if err != nil {
		return fail(err)
	}
	where, more := conditions(filter)
	if filter.After != "" {
		after := `?`
		if order == byStored {
			after = `(SELECT id FROM assertion WHERE home_id = ?)`
		}
		where += ` AND ` + order + ` > ` + after
		more = append(more, filter.After)
	}
	args = append(append(args, more...), limitOr(filter.Limit))
	// What has to be sorted are ids, not records: these are read afterwards, in
	// the order in which CROSS JOIN takes them.
	query := `SELECT ` + deviceColumns + ` FROM (SELECT d.id ` + from + where + ` ORDER BY ` + order + ` LIMIT ?) x
		CROSS JOIN device d ON d.id = x.id` + deviceJoin
	err = t.s.each(ctx, query, args, func(row scanner) error {
		d, err := names.scanDevice(row)
		if err != nil {
			return err
		}
		return yield(d)
	})
	if err != nil {
		return fail(err)
	}
	return nil
}

func (t tenantTx) CountDevices(ctx context.Context, filter core.DeviceFilter) (int64, error) {
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("count devices: %w", err) }
	from, order, args, err := t.candidates(ctx, filter)
	if err != nil {
		return fail(err)
	}
	where, more := conditions(filter)
	switch {
	case order == byStored && filter.Source == "":
		from, args = counted(filter)
		where, more = "", nil
	case order == byID:
		from = `FROM device d WHERE true`
	}
	var n int64
	if err := t.s.one(ctx, `SELECT count(*) `+from+where, append(args, more...), &n); err != nil {
		return fail(err)
	}
	return n, nil
}

func (t tenantTx) Device(ctx context.Context, id string) (dire.Device, []dire.Assertion, error) {
	fail := func(err error) (dire.Device, []dire.Assertion, error) {
		return dire.Device{}, nil, fmt.Errorf("read device %q: %w", id, err)
	}
	names, err := t.s.names(ctx)
	if err != nil {
		return fail(err)
	}
	var number int64
	err = t.s.one(ctx, `
		SELECT s.device FROM assertion a CROSS JOIN standing s ON s.assertion = a.id WHERE a.home_id = ?`,
		[]any{id}, &number)
	if err != nil {
		return fail(err)
	}
	device, err := first(ctx, t.s, names.scanDevice,
		`SELECT `+deviceColumns+` FROM device d`+deviceJoin+` WHERE d.id = ?`, number)
	if err != nil {
		return fail(err)
	}
	assertions, err := all(ctx, t.s, names.scanAssertion, selectAssertion+`
		FROM standing s
		CROSS JOIN assertion a ON a.id = s.assertion
		CROSS JOIN name so ON so.id = a.source
		WHERE s.device = ? ORDER BY so.value, a.key`, number)
	if err == nil {
		err = t.identify(ctx, number, assertions)
	}
	if err != nil {
		return fail(err)
	}
	return device, assertions, nil
}

// identify adds the identifiers of a device's assertions to them.
func (t tenantTx) identify(ctx context.Context, device int64, assertions []dire.Assertion) error {
	index := make(map[dire.Ref]*dire.Assertion, len(assertions))
	for i := range assertions {
		index[dire.Ref{Source: assertions[i].Source, Key: assertions[i].Key}] = &assertions[i]
	}
	return t.s.each(ctx, `
		SELECT so.value, a.key, i.kind, i.value
		FROM standing s
		CROSS JOIN identifier i ON i.assertion = s.assertion
		CROSS JOIN assertion a ON a.id = s.assertion
		CROSS JOIN name so ON so.id = a.source
		WHERE s.device = ? ORDER BY i.kind, i.value`, []any{device},
		func(row scanner) error {
			var ref dire.Ref
			var identifier dire.Identifier
			if err := row.Scan(&ref.Source, &ref.Key, &identifier.Kind, &identifier.Value); err != nil {
				return err
			}
			a := index[ref]
			a.Identifiers = append(a.Identifiers, identifier)
			return nil
		})
}
