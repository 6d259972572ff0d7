package relational

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"edgesync/dire"
)

func (w *writer) dropDevices(ctx context.Context) error {
	if len(w.plan.Gone) == 0 {
		return nil
	}
	ids := NewInts("id", len(w.plan.Gone))
	for _, id := range w.plan.Gone {
		ids.Add(w.homes[id])
	}
	for _, table := range []string{"device", "device_text"} {
		if _, err := w.s.Exec(ctx, `DELETE FROM `+table+` WHERE id IN (SELECT b.id FROM rows(?) b)`, NewRows(ids)); err != nil {
			return fmt.Errorf("drop devices: %w", err)
		}
	}
	return nil
}

// deviceRows are rows of device.
type deviceRows struct {
	id, partition, firstSeen *Ints
	retracted, available     *Truths

	ip, mac, hostname, ips, macs, serialNumber, manufacturer, model, os, deviceType, site, tags, sources *Texts
}

func newDeviceRows(n int) *deviceRows {
	return &deviceRows{
		id: NewInts("id", n), partition: NewInts("partition", n), firstSeen: NewInts("first_seen", n),
		retracted: NewTruths("retracted", n), available: NewTruths("available", n),
		ip: NewTexts("ip", n), mac: NewTexts("mac", n), hostname: NewTexts("hostname", n), ips: NewTexts("ips", n),
		macs: NewTexts("macs", n), serialNumber: NewTexts("serial_number", n), manufacturer: NewTexts("manufacturer", n),
		model: NewTexts("model", n), os: NewTexts("os", n), deviceType: NewTexts("device_type", n), site: NewTexts("site", n),
		tags: NewTexts("tags", n), sources: NewTexts("sources", n),
	}
}

func (r *deviceRows) rows() *Rows {
	return NewRows(r.id, r.partition, r.firstSeen, r.retracted, r.available, r.ip, r.mac, r.hostname, r.ips, r.macs,
		r.serialNumber, r.manufacturer, r.model, r.os, r.deviceType, r.site, r.tags, r.sources)
}

func (r *deviceRows) add(id, partition int64, d *dire.Device) {
	r.id.Add(id)
	r.partition.Add(partition)
	r.firstSeen.addMicros(d.FirstSeen)
	r.retracted.Add(d.Retracted)
	r.available.Add(d.Available)
	r.ip.Add(d.IP)
	r.mac.Add(d.MAC)
	r.hostname.Add(d.Hostname)
	r.ips.Add(jsonList(d.IPs))
	r.macs.Add(jsonList(d.MACs))
	r.serialNumber.Add(d.SerialNumber)
	r.manufacturer.Add(d.Manufacturer)
	r.model.Add(d.Model)
	r.os.Add(d.OS)
	r.deviceType.Add(d.DeviceType)
	r.site.Add(d.Site)
	r.tags.Add(jsonList(d.Tags))
	r.sources.Add(jsonList(d.Sources))
}

// textRows are rows of device_text.
type textRows struct {
	id   *Ints
	text *Texts
}

func newTextRows(n int) *textRows { return &textRows{NewInts("id", n), NewTexts("text", n)} }

func (r *textRows) rows() *Rows { return NewRows(r.id, r.text) }

func (w *writer) putDevices(ctx context.Context) error {
	n := len(w.plan.Devices)
	fresh, stored := newDeviceRows(n), newDeviceRows(0)
	freshText, storedText := newTextRows(n), newTextRows(0)
	for i := range w.plan.Devices {
		d := &w.plan.Devices[i]
		id := w.homes[d.ID]
		records, texts := stored, storedText
		if w.isNew(id) {
			records, texts = fresh, freshText
		}
		records.add(id, w.names.number[d.Partition], d)
		texts.id.Add(id)
		texts.text.Add(searchText(d))
	}
	err := w.s.Insert(ctx, "device", fresh.rows())
	if err == nil {
		err = w.s.Insert(ctx, "device_text", freshText.rows())
	}
	if err == nil && stored.id.Len() > 0 {
		err = w.replaceDevices(ctx, stored.rows(), storedText.rows())
	}
	if err != nil {
		return fmt.Errorf("put devices: %w", err)
	}
	return nil
}

// replaceDevices writes records whose numbers may have one already.
func (w *writer) replaceDevices(ctx context.Context, records, texts *Rows) error {
	names, sets, values := make([]string, 0, len(records.Columns)), make([]string, 0, len(records.Columns)), make([]string, 0, len(records.Columns))
	for _, c := range records.Columns {
		names, values = append(names, c.Name()), append(values, "b."+c.Name())
		sets = append(sets, c.Name()+" = excluded."+c.Name())
	}
	_, err := w.s.Exec(ctx, `
		INSERT INTO device (`+strings.Join(names, ", ")+`) SELECT `+strings.Join(values, ", ")+` FROM rows(?) b WHERE true
		ON CONFLICT (id) DO UPDATE SET `+strings.Join(sets[1:], ", "), records)
	if err == nil {
		_, err = w.s.Exec(ctx, `
			INSERT INTO device_text (id, text) SELECT b.id, b.text FROM rows(?) b WHERE true
			ON CONFLICT (id) DO UPDATE SET text = excluded.text WHERE device_text.text <> excluded.text`, texts)
	}
	return err
}

// searchText is what a search looks in: each value on a line of its own, so that
// no search matches across two of them.
func searchText(d *dire.Device) string {
	values := append([]string{d.ID, d.Hostname, d.IP, d.MAC}, d.IPs...)
	values = append(values, d.MACs...)
	size := 0
	for _, value := range values {
		size += len(value) + 1
	}
	text := make([]byte, 0, size)
	for i, value := range values {
		if value == "" || slices.Contains(values[:i], value) {
			continue
		}
		text = append(append(text, searchTerm(value)...), '\n')
	}
	return string(text)
}

// searchTerm folds case, and line ends, which separate values.
func searchTerm(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "\n", "\x1e")
}
