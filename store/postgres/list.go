package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"edgesync/core"
	"edgesync/dire"
)

const deviceColumns = `d.device_id, d.partition, d.retracted, d.ip, d.mac, d.hostname, d.ips, d.macs,
	d.serial_number, d.manufacturer, d.model, d.os, d.device_type, d.site, d.tags, d.available,
	d.sources, d.first_seen, h.device_last_seen`

// deviceJoin adds what deviceColumns needs to a device d.
const deviceJoin = ` JOIN standing h ON h.assertion = d.id`

// scanDevice scans deviceColumns.
func (n *names) scanDevice(row scanner) (dire.Device, error) {
	var d dire.Device
	err := row.Scan(&d.ID, n.column(&d.Partition), &d.Retracted, &d.IP, &d.MAC, &d.Hostname, asJSON(&d.IPs), asJSON(&d.MACs),
		&d.SerialNumber, &d.Manufacturer, &d.Model, &d.OS, &d.DeviceType, &d.Site, asJSON(&d.Tags), &d.Available,
		asJSON(&d.Sources), timeColumn{&d.FirstSeen}, timeColumn{&d.LastSeen})
	return d, err
}

// sparse is how many assertions a source may have to be listed through them.
const sparse = 20_000

// query builds a statement and its parameters together.
type query struct {
	text strings.Builder
	args []any
}

func (q *query) add(text string, args ...any) {
	for _, arg := range args {
		q.args = append(q.args, arg)
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(q.args)), 1)
	}
	q.text.WriteString(text)
}

// candidates adds where devices d that a filter can match are read from, and
// returns whether they come in the order of their ids, which is then a.home_id.
// Reading starts at what narrows most: the search, which reads device_text until
// enough is found; the few that are retracted; the assertions of a source that
// has few. Else devices are met in the order of their ids, so that a limit ends
// the reading early.
func (t tenantTx) candidates(ctx context.Context, q *query, filter core.DeviceFilter) (ordered bool, err error) {
	if filter.Search != "" {
		q.add(`FROM device_text t JOIN device d ON d.id = t.id WHERE strpos(t.text, ?) > 0`, searchTerm(filter.Search))
		return false, nil
	}
	if filter.Source != "" {
		var n int
		err := t.s.one(ctx, `
			SELECT count(*) FROM (
				SELECT FROM assertion WHERE source = (SELECT id FROM name WHERE value = $1) LIMIT $2) a`,
			[]any{filter.Source, sparse + 1}, &n)
		if err != nil || n <= sparse {
			q.add(`FROM (
				SELECT DISTINCT s.device FROM assertion m JOIN standing s ON s.assertion = m.id
				WHERE m.source = (SELECT id FROM name WHERE value = ?)
			) t JOIN device d ON d.id = t.device WHERE true`, filter.Source)
			return false, err
		}
	}
	if filter.State == "retracted" {
		q.add(`FROM device d WHERE true`)
		return false, nil
	}
	q.add(`FROM assertion a JOIN device d ON d.id = a.id WHERE true`)
	return true, nil
}

// conditions adds those of a filter that hold of a device d.
func (q *query) conditions(filter core.DeviceFilter) {
	switch filter.State {
	case "":
	case "retracted":
		q.add(` AND d.retracted`)
	default:
		q.add(` AND NOT d.retracted`)
	}
	if filter.Source != "" {
		// The index narrows the devices down to those the source has ever been part
		// of; the record says whether it still is.
		q.add(`
			AND EXISTS (SELECT FROM standing m WHERE m.device = d.id
				AND m.source = (SELECT id FROM name WHERE value = ?) OFFSET 0)
			AND CASE d.sources WHEN '' THEN false ELSE jsonb_exists(d.sources::jsonb, ?) END`, filter.Source, filter.Source)
	}
}

// impossible tells that no stored text can hold what a filter looks for:
// PostgreSQL keeps no NUL.
func impossible(filter core.DeviceFilter) bool {
	return strings.Contains(filter.Search, "\x00") || strings.Contains(filter.Source, "\x00")
}

func (t tenantTx) Devices(ctx context.Context, filter core.DeviceFilter, yield func(dire.Device) error) error {
	fail := func(err error) error { return fmt.Errorf("list devices: %w", err) }
	if impossible(filter) {
		return nil
	}
	names, err := t.s.names(ctx)
	if err != nil {
		return fail(err)
	}
	var q query
	// What has to be sorted are ids, not records: these are read afterwards.
	q.add(`SELECT ` + deviceColumns + ` FROM (`)
	inner := &query{}
	ordered, err := t.candidates(ctx, inner, filter)
	if err != nil {
		return fail(err)
	}
	order, after := `d.device_id`, `?`
	switch {
	case filter.Search != "":
		order, after = `t.id`, `(SELECT id FROM assertion WHERE home_id = ?)`
	case ordered:
		order = `a.home_id`
	}
	inner.conditions(filter)
	if filter.After != "" {
		inner.add(` AND `+order+` > `+after, filter.After)
	}
	inner.add(` ORDER BY `+order+` LIMIT ?`, limitOr(filter.Limit))
	q.add(`SELECT d.id, ` + order + ` AS place ` + inner.text.String())
	q.add(`) x JOIN device d ON d.id = x.id` + deviceJoin + ` ORDER BY x.place`)
	if err := stream(ctx, t.s, names.scanDevice, yield, q.text.String(), inner.args...); err != nil {
		return fail(err)
	}
	return nil
}

func (t tenantTx) CountDevices(ctx context.Context, filter core.DeviceFilter) (int64, error) {
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("count devices: %w", err) }
	if impossible(filter) {
		return 0, nil
	}
	var from query
	from.add(`SELECT count(*) `)
	ordered, err := t.candidates(ctx, &from, filter)
	if err != nil {
		return fail(err)
	}
	q := &from
	if ordered {
		q = &query{}
		q.add(`SELECT count(*) FROM device d WHERE true`)
	}
	q.conditions(filter)
	var n int64
	if err := t.s.one(ctx, q.text.String(), q.args, &n); err != nil {
		return fail(err)
	}
	return n, nil
}

func (t tenantTx) Device(ctx context.Context, id string) (dire.Device, []dire.Assertion, error) {
	fail := func(err error) (dire.Device, []dire.Assertion, error) {
		return dire.Device{}, nil, fmt.Errorf("read device %q: %w", id, err)
	}
	if strings.Contains(id, "\x00") {
		return fail(core.ErrNotFound)
	}
	names, err := t.s.names(ctx)
	if err != nil {
		return fail(err)
	}
	var number int64
	err = t.s.one(ctx, `SELECT s.device FROM assertion a JOIN standing s ON s.assertion = a.id WHERE a.home_id = $1`,
		[]any{id}, &number)
	if err != nil {
		return fail(err)
	}
	device, err := first(ctx, t.s, names.scanDevice,
		`SELECT `+deviceColumns+` FROM device d`+deviceJoin+` WHERE d.id = $1`, number)
	if err != nil {
		return fail(err)
	}
	assertions, err := all(ctx, t.s, names.scanAssertion, selectAssertion+`
		FROM standing s
		JOIN assertion a ON a.id = s.assertion
		JOIN name so ON so.id = a.source
		WHERE s.device = $1 ORDER BY so.value, a.key`, number)
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
		JOIN identifier i ON i.assertion = s.assertion
		JOIN assertion a ON a.id = s.assertion
		JOIN name so ON so.id = a.source
		WHERE s.device = $1 ORDER BY i.kind, i.value`, []any{device},
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
