package relational

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"edgesync/core"
	"edgesync/dire"
)

var deviceColumns = `h.home, d.partition, d.retracted, d.ip, d.mac, d.hostname, d.ips, d.macs,
	d.serial_number, d.manufacturer, d.model, d.os, d.device_type, d.site, d.tags, d.available,
	d.sources, d.first_seen, ` + deviceSeen("d.id")

// heads adds to a device d the assertion whose number and home it has.
const heads = ` STRAIGHT_JOIN assertion h ON h.id = d.id`

// scanDevice scans deviceColumns.
func (n *names) scanDevice(row Row) (dire.Device, error) {
	var d dire.Device
	err := row.Scan(homeColumn{&d.ID}, n.column(&d.Partition), &d.Retracted, &d.IP, &d.MAC, &d.Hostname, asJSON(&d.IPs), asJSON(&d.MACs),
		&d.SerialNumber, &d.Manufacturer, &d.Model, &d.OS, &d.DeviceType, &d.Site, asJSON(&d.Tags), &d.Available,
		asJSON(&d.Sources), timeColumn{&d.FirstSeen}, seenColumn{&d.LastSeen})
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
	q.text.WriteString(text)
	q.args = append(q.args, args...)
}

const (
	// byID is the order of devices by their ids.
	byID = `h.home`
	// byFound is that in which a search finds them, so that a limit ends the
	// reading early.
	byFound = `f.id`
)

// candidates adds where devices d that a filter can match are read from, and
// returns what they are listed in the order of. Reading starts at what narrows
// most: the search; the few that are retracted; the assertions of a source that
// has few. Else devices are met in the order of their ids, so that a limit ends
// the reading early.
func (t Tenant) candidates(ctx context.Context, q *query, filter core.DeviceFilter) (order string, err error) {
	if filter.Search != "" {
		table, args := t.s.Dialect().Search(searchTerm(filter.Search))
		q.add(`FROM (`+table+`) f STRAIGHT_JOIN device d ON d.id = f.id WHERE true`, args...)
		return byFound, nil
	}
	if filter.Source != "" {
		var n int
		err := One(ctx, t.s, `
			SELECT count(*) FROM (
				SELECT 1 FROM assertion WHERE source = (SELECT id FROM name WHERE value = ?) LIMIT ?) a`,
			[]any{filter.Source, sparse + 1}, &n)
		if err != nil || n <= sparse {
			q.add(`FROM (
				SELECT DISTINCT m.device FROM assertion m WHERE m.source = (SELECT id FROM name WHERE value = ?)
			) t STRAIGHT_JOIN device d ON d.id = t.device`+heads+` WHERE true`, filter.Source)
			return byID, err
		}
	}
	if filter.State == "retracted" {
		q.add(`FROM device d` + heads + ` WHERE true`)
		return byID, nil
	}
	q.add(`FROM assertion h STRAIGHT_JOIN device d ON d.id = h.id WHERE true`)
	return byID, nil
}

// conditions adds those of a filter that hold of a device d.
func (t Tenant) conditions(q *query, filter core.DeviceFilter) {
	switch filter.State {
	case "":
	case "retracted":
		q.add(` AND d.retracted`)
	default:
		q.add(` AND NOT d.retracted`)
	}
	if filter.Source != "" {
		// The indexes narrow the devices down to those the source has ever been part
		// of; the record says whether it still is.
		const number = `(SELECT id FROM name WHERE value = ?)`
		q.add(`
			AND (EXISTS (SELECT 1 FROM assertion m WHERE m.id = d.id AND m.device = m.id AND m.source = `+number+`)
				OR EXISTS (SELECT 1 FROM assertion m WHERE m.device = d.id AND m.device <> m.id AND m.source = `+number+`))
			AND `+t.s.Dialect().Holds(`d.sources`), filter.Source, filter.Source, filter.Source)
	}
}

// impossible tells that no stored text can hold what a filter looks for: there is
// no NUL in any.
func impossible(filter core.DeviceFilter) bool {
	return strings.Contains(filter.Search, "\x00") || strings.Contains(filter.Source, "\x00")
}

// Devices are listed as core.TenantTx has it.
func (t Tenant) Devices(ctx context.Context, filter core.DeviceFilter, yield func(dire.Device) error) error {
	fail := func(err error) error { return fmt.Errorf("list devices: %w", err) }
	if impossible(filter) {
		return nil
	}
	names, err := namesOf(ctx, t.s)
	if err != nil {
		return fail(err)
	}
	var q query
	order, err := t.candidates(ctx, &q, filter)
	if err != nil {
		return fail(err)
	}
	t.conditions(&q, filter)
	if filter.After != "" {
		after, ok := parseHome(filter.After)
		if !ok {
			return nil
		}
		if order == byFound {
			q.add(` AND `+order+` > (SELECT id FROM assertion WHERE home = ?)`, after)
		} else {
			q.add(` AND `+order+` > ?`, after)
		}
	}
	q.add(` ORDER BY `+order+` LIMIT ?`, t.s.Dialect().Limit(filter.Limit))
	// What has to be sorted are ids, not records: these are read afterwards.
	text := `SELECT ` + deviceColumns + ` FROM (SELECT d.id, ` + order + ` AS place ` + q.text.String() + `) x
		STRAIGHT_JOIN device d ON d.id = x.id` + heads + t.s.Dialect().InPlace
	err = t.s.Stream(ctx, text, q.args, func(row Row) error {
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

// CountDevices counts those that match.
func (t Tenant) CountDevices(ctx context.Context, filter core.DeviceFilter) (int64, error) {
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("count devices: %w", err) }
	if impossible(filter) {
		return 0, nil
	}
	var q query
	q.add(`SELECT count(*) `)
	switch {
	case filter.Search != "" && filter.Source == "":
		t.countFound(&q, filter)
	case filter.Search == "" && filter.Source == "":
		q.add(`FROM device d WHERE true`)
		t.conditions(&q, filter)
	default:
		if _, err := t.candidates(ctx, &q, filter); err != nil {
			return fail(err)
		}
		t.conditions(&q, filter)
	}
	var n int64
	if err := One(ctx, t.s, q.text.String(), q.args, &n); err != nil {
		return fail(err)
	}
	return n, nil
}

// countFound adds a search that reads no record. Few devices are retracted.
func (t Tenant) countFound(q *query, filter core.DeviceFilter) {
	table, args := t.s.Dialect().Search(searchTerm(filter.Search))
	q.add(`FROM (`+table+`) f`, args...)
	switch filter.State {
	case "":
	case "retracted":
		q.add(` WHERE f.id IN (SELECT id FROM device WHERE retracted)`)
	default:
		q.add(` WHERE f.id NOT IN (SELECT id FROM device WHERE retracted)`)
	}
}

// Device finds a device by its id, or by the home of one of its assertions.
func (t Tenant) Device(ctx context.Context, id string) (dire.Device, []dire.Assertion, error) {
	fail := func(err error) (dire.Device, []dire.Assertion, error) {
		return dire.Device{}, nil, fmt.Errorf("read device %q: %w", id, err)
	}
	home, ok := parseHome(id)
	if !ok {
		return fail(core.ErrNotFound)
	}
	names, err := namesOf(ctx, t.s)
	if err != nil {
		return fail(err)
	}
	var number int64
	if err := One(ctx, t.s, `SELECT device FROM assertion WHERE home = ?`, []any{home}, &number); err != nil {
		return fail(err)
	}
	device, err := first(ctx, t.s, names.scanDevice, `SELECT `+deviceColumns+` FROM device d`+heads+` WHERE d.id = ?`, number)
	if err != nil {
		return fail(err)
	}
	assertions, err := t.members(ctx, names, number)
	if err != nil {
		return fail(err)
	}
	return device, assertions, nil
}

// members are the assertions of the device of a number, in order of source and
// key, with their identifiers.
func (t Tenant) members(ctx context.Context, names *names, device int64) ([]dire.Assertion, error) {
	scan := func(row Row) (numbered, error) {
		var text string
		a, err := names.scanAssertion(scanFurther{row, []any{&text}})
		if err == nil {
			a.Identifiers, err = decodeIdentifiers(text)
			slices.SortFunc(a.Identifiers, byKind)
		}
		return a, err
	}
	const more = `, f.identifiers
		FROM (SELECT id FROM assertion WHERE id = ? AND device = id UNION ALL SELECT id FROM assertion WHERE device = ? AND device <> id) m
		STRAIGHT_JOIN assertion a ON a.id = m.id
		STRAIGHT_JOIN fact f ON f.assertion = a.id
		STRAIGHT_JOIN name so ON so.id = a.source
		ORDER BY so.value, a.key`
	found, err := All(ctx, t.s, scan, selectAssertion+more, device, device)
	if err != nil {
		return nil, err
	}
	return sighted(ctx, t.s, sightings{}, found)
}

// scanFurther is a row with further columns at its end.
type scanFurther struct {
	Row
	further []any
}

func (s scanFurther) Scan(into ...any) error { return s.Row.Scan(append(into, s.further...)...) }
