package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edgesync/dire"
	"edgesync/proto/payload"
)

// way is what is known of a device's way from one source.
type way struct {
	now    time.Time
	tenant Tenant
	source Source
	// service is nil where none runs the source.
	service *Service
	// assertions are what the source says of the devices that fit, the living
	// first; device is that of the first.
	assertions []dire.Assertion
	device     *storedDevice
	// run is the one that the first was last asserted by, if it is kept.
	run *Run
	// runs are the source's latest, newest first, snapshots the counted of them.
	runs, snapshots []Run
	holds           []Hold
	// pending are the keys of deletions that are held.
	pending   map[string]bool
	decisions []dire.Decision

	// live is what the runtime said, or nil; unheard why it did not.
	live    *payload.DeviceTraceResult
	unheard string
	// wanted is what the runtime is asked for.
	wanted payload.Wanted
}

// storedDevice is a device that fits, with all that is asserted of it.
type storedDevice struct {
	dire.Device
	assertions []dire.Assertion
}

// readWays reads what is stored, of the moment, of the device and of the ways it
// could have come.
func (c *Core) readWays(ctx context.Context, s scope, ref string, trace *DeviceTrace) ([]*way, error) {
	var ways []*way
	err := s.store.View(ctx, func(tx TenantTx) error {
		ways, trace.Devices = nil, nil
		sources, err := tx.Sources(ctx)
		if err != nil {
			return err
		}
		if ref != "" {
			one, err := findSource(ctx, tx, s.tenant, ref)
			if err != nil {
				return err
			}
			sources = []Source{one}
		}
		names, err := namesOf(ctx, tx)
		if err != nil {
			return err
		}
		devices, err := c.findStored(ctx, tx, trace.By, trace.Query, sources)
		if err != nil {
			return err
		}
		for _, d := range devices {
			trace.Devices = append(trace.Devices, names.device(d.Device, s.tenant))
		}
		for _, source := range sources {
			w := &way{now: c.now(), tenant: s.tenant, source: source}
			if err := w.read(ctx, tx, devices); err != nil {
				return err
			}
			w.wanted = wantedOf(trace.By, trace.Query, w.assertions, devices)
			ways = append(ways, w)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, w := range ways {
		owner, err := c.owner(ctx, s, w.source)
		var none *Error
		if errors.As(err, &none) {
			continue
		}
		if err != nil {
			return nil, err
		}
		w.service = &owner
	}
	return ways, nil
}

// read fills in what is stored of a source.
func (w *way) read(ctx context.Context, tx TenantTx, devices []storedDevice) error {
	id := w.source.ID.String()
	for i := range devices {
		for _, a := range devices[i].assertions {
			if a.Source == id {
				w.assertions = append(w.assertions, a)
				if w.device == nil || w.device.Retracted {
					w.device = &devices[i]
				}
			}
		}
	}
	slices.SortStableFunc(w.assertions, func(a, b dire.Assertion) int {
		return a.RetractedAt.Compare(b.RetractedAt) // The zero time is that of the living.
	})
	var err error
	if w.runs, err = tx.Runs(ctx, w.source.ID, tracedRuns); err != nil {
		return err
	}
	if w.snapshots, err = tx.Snapshots(ctx, w.source.ID, 2); err != nil {
		return err
	}
	if w.holds, err = tx.Holds(ctx, id); err != nil {
		return err
	}
	if len(w.holds) > 0 {
		pending, err := tx.Pending(ctx, id)
		if err != nil {
			return err
		}
		w.pending = make(map[string]bool, len(pending))
		for _, one := range pending {
			w.pending[one.Key] = true
		}
	}
	return w.readAsserted(ctx, tx)
}

func (w *way) readAsserted(ctx context.Context, tx TenantTx) error {
	if len(w.assertions) == 0 {
		return nil
	}
	first := w.assertions[0]
	run, err := tx.Run(ctx, w.source.ID, first.Run.ID)
	switch {
	case err == nil:
		w.run = &run
	case !errors.Is(err, ErrNotFound):
		return err
	}
	w.decisions, err = tx.Decisions(ctx, []string{first.HomeID}, tracedRuns)
	return err
}

// findStored finds the devices that fit.
func (c *Core) findStored(ctx context.Context, tx TenantTx, by, query string, sources []Source) ([]storedDevice, error) {
	var ids []string
	add := func(found []string, err error) error {
		for _, id := range found {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return err
	}
	if by == ByID {
		ids = []string{query}
	}
	if by == ByNativeID || by == ByName {
		for _, source := range sources {
			if err := add(c.byNativeID(ctx, tx, source, query)); err != nil {
				return nil, err
			}
		}
	}
	if by == ByMAC || by == ByIP || by == ByHostname || by == ByName {
		if err := add(bySearch(ctx, tx, by, query)); err != nil {
			return nil, err
		}
	}
	var found []storedDevice
	for _, id := range ids[:min(len(ids), maxTraced)] {
		device, assertions, err := tx.Device(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(found, func(d storedDevice) bool { return d.ID == device.ID }) {
			found = append(found, storedDevice{device, assertions})
		}
	}
	return found, nil
}

// nativeKinds are what native ids of a type of source begin with, beside nothing.
var nativeKinds = map[string][]string{payload.TypeNetBox: {"device:", "vm:"}}

// byNativeID finds the devices that a source knows by an id.
func (c *Core) byNativeID(ctx context.Context, tx TenantTx, source Source, id string) ([]string, error) {
	batch := dire.Batch{
		Source: source.ID.String(), SourceType: source.Type, Partition: source.Partition, Received: c.now(),
		Updates: []dire.Update{{NativeID: id}},
	}
	for _, kind := range nativeKinds[source.Type] {
		if !strings.HasPrefix(id, kind) {
			batch.Updates = append(batch.Updates, dire.Update{NativeID: kind + id})
		}
	}
	probe, err := c.rules.ProbeFor(batch)
	if err != nil {
		return nil, fmt.Errorf("probe for a native id: %w", err)
	}
	near, err := tx.Neighbourhood(ctx, probe)
	var found []string
	for _, known := range near.Known {
		found = append(found, known.DeviceID)
	}
	return found, err
}

// bySearch finds the devices that have a MAC, an address or a host name.
func bySearch(ctx context.Context, tx TenantTx, by, query string) ([]string, error) {
	const enough = 10 * maxTraced
	var found []string
	err := tx.Devices(ctx, DeviceFilter{Search: query, Limit: 1_000}, func(d dire.Device) error {
		fits := false
		switch by {
		case ByMAC:
			fits = slices.Contains(d.MACs, query)
		case ByIP:
			fits = slices.Contains(d.IPs, query)
		default:
			fits = sameHost(d.Hostname, query)
		}
		if fits && len(found) < enough {
			found = append(found, d.ID)
		}
		return nil
	})
	return found, err
}

// sameHost compares host names, with and without the domain.
func sameHost(name, query string) bool {
	name, query = strings.ToLower(name), strings.ToLower(query)
	first, _, _ := strings.Cut(name, ".")
	return query != "" && (name == query || first == query)
}

// wantedOf is what a source is asked for: the ids by which it is known to name
// the device, else what the device is looked for by.
func wantedOf(by, query string, assertions []dire.Assertion, devices []storedDevice) payload.Wanted {
	var w payload.Wanted
	for _, a := range assertions {
		if a.Native() {
			w.NativeIDs = append(w.NativeIDs, a.Facts.NativeID)
		}
	}
	if len(w.NativeIDs) > 0 {
		return w
	}
	switch by {
	case ByNativeID:
		w.NativeIDs = []string{query}
	case ByMAC:
		w.MACs = []string{query}
	case ByIP:
		w.IPs = []string{query}
	case ByHostname:
		w.Hostnames = []string{query}
	case ByName:
		w.NativeIDs, w.Hostnames = []string{query}, []string{query}
	}
	// What else it is known by finds it where it goes by another name.
	if by == ByID || len(devices) == 1 {
		for _, d := range devices {
			w.MACs = append(w.MACs, d.MACs...)
			if d.Hostname != "" {
				w.Hostnames = append(w.Hostnames, d.Hostname)
			}
		}
	}
	return w
}

// known tells whether a run is one of those a source lists.
func (w *way) known(run string) *Run {
	i := slices.IndexFunc(w.runs, func(r Run) bool { return r.ID == run })
	if i < 0 {
		return nil
	}
	return &w.runs[i]
}
