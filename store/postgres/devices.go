package postgres

import (
	"context"
	"fmt"
	"strings"

	"edgesync/dire"
)

func (w *writer) dropDevices(ctx context.Context) error {
	rows := make([][]any, len(w.plan.Gone))
	for i, id := range w.plan.Gone {
		rows[i] = []any{w.homes[id]}
	}
	for _, table := range []string{"device", "device_text"} {
		err := w.s.batch(ctx, `DELETE FROM `+table+` t USING `, []column{{"id", number}}, rows, ` WHERE t.id = b.id`)
		if err != nil {
			return fmt.Errorf("drop devices: %w", err)
		}
	}
	return nil
}

var deviceRecord = []column{
	{"id", number}, {"partition", number}, {"first_seen", number}, {"retracted", truth}, {"available", truth},
	{"device_id", text}, {"ip", text}, {"mac", text}, {"hostname", text}, {"ips", text}, {"macs", text},
	{"serial_number", text}, {"manufacturer", text}, {"model", text}, {"os", text}, {"device_type", text},
	{"site", text}, {"tags", text}, {"sources", text},
}

func (w *writer) putDevices(ctx context.Context) error {
	n := len(w.plan.Devices)
	records, texts := make([][]any, n), make([][]any, n)
	var seen [][]any
	for i := range w.plan.Devices {
		d := &w.plan.Devices[i]
		id := w.homes[d.ID]
		records[i] = []any{
			id, w.names.number[d.Partition], micros(d.FirstSeen), d.Retracted, d.Available,
			d.ID, d.IP, d.MAC, d.Hostname, jsonList(d.IPs), jsonList(d.MACs),
			d.SerialNumber, d.Manufacturer, d.Model, d.OS, d.DeviceType,
			d.Site, jsonList(d.Tags), jsonList(d.Sources),
		}
		texts[i] = []any{id, searchText(d)}
		if !w.written[id] {
			seen = append(seen, []any{id, micros(d.LastSeen)})
		}
	}
	err := w.write(ctx, "device", deviceRecord, records)
	if err == nil {
		err = w.write(ctx, "device_text", []column{{"id", number}, {"text", text}}, texts)
	}
	if err == nil {
		err = w.s.batch(ctx, `UPDATE standing SET device_last_seen = b.at FROM `, []column{{"device", number}, {"at", number}}, seen,
			` WHERE standing.assertion = b.device AND standing.device_last_seen IS DISTINCT FROM b.at`)
	}
	if err != nil {
		return fmt.Errorf("put devices: %w", err)
	}
	return nil
}

// searchText is what a search looks in: each value on a line of its own, so that
// no search matches across two of them.
func searchText(d *dire.Device) string {
	values := append([]string{d.ID, d.Hostname, d.IP, d.MAC}, d.IPs...)
	values = append(values, d.MACs...)
	var text strings.Builder
	written := map[string]bool{"": true}
	for _, value := range values {
		if written[value] {
			continue
		}
		written[value] = true
		text.WriteString(searchTerm(value))
		text.WriteByte('\n')
	}
	return text.String()
}

// searchTerm folds case, and line ends, which separate values.
func searchTerm(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "\n", "\x1e")
}
