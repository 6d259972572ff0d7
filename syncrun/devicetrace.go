package syncrun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
	"edgesync/syncrun/source"
)

// traceTimeout ends the reading of a source for a trace: one that is large is
// paged through until the device is met.
const traceTimeout = 3 * time.Minute

// traceDevice looks for a device where this runtime has a hand in it: on the
// source's pages, which are read as a run would, and in the outbox. It keeps
// nothing and touches no schedule.
func (r *Runtime) traceDevice(ctx context.Context, c *command, order []byte) {
	trace, err := payload.DecodeDeviceTrace(order)
	if err != nil {
		c.end(false, err.Error(), nil)
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, traceTimeout, errRunTimeout)
	defer cancel()
	stop := r.keepTelling(ctx, c)
	defer stop()
	id := trace.Source.IntegrationSourceID
	if id == "" {
		id = trace.Key
	}
	wanted := newWanted(trace.Wanted)
	result := payload.DeviceTraceResult{At: *moment(r.options.Now()), Schedule: r.loops.standing(id)}
	if err := r.outbox.Full(); err != nil {
		result.OutboxFull = cut(oneLine(err.Error()), maxSaid)
	}
	result.Runs = r.traceRuns(ctx, id, wanted)
	result.Read = r.tracePages(ctx, trace, wanted)
	c.end(true, "", result)
}

// traceRuns looks into the runs of a source that are here.
func (r *Runtime) traceRuns(ctx context.Context, id string, wanted *wanted) []payload.TracedRun {
	kept := r.outbox.Kept(id)
	var runs []payload.TracedRun
	for _, one := range kept[max(0, len(kept)-payload.MaxTracedRuns):] {
		run := payload.TracedRun{
			RunID: one.ID, Started: one.Started, Committed: one.Committed.UTC(), Updates: one.Updates, Chunks: one.Chunks, Sending: one.Sending,
		}
		if last := r.failing.lastOf(id, one.ID); last != nil {
			run.Retrying = cut(oneLine(reason(last)), maxSaid)
		}
		if !one.RefusedAt.IsZero() {
			run.RefusedAt = moment(one.RefusedAt)
		}
		err := r.outbox.Read(ctx, one, func(chunk int, json []byte) bool {
			why, mine := refusalOf(one, chunk)
			if !one.RefusedAt.IsZero() && !mine || !wanted.chunk(json) {
				return true
			}
			run.Chunk, run.Refused = chunk+1, why
			return false
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue // It was delivered meanwhile.
		}
		runs = append(runs, run)
	}
	return runs
}

// refusalOf is why the gateway refused a chunk, if it did.
func refusalOf(run outbox.Kept, chunk int) (why string, refused bool) {
	for _, one := range run.Refusals {
		if one.Chunk == chunk || one.Chunk < 0 {
			return one.Why, true
		}
	}
	return "", false
}

// tracePages pages through the source until the device is met. If it is not, and
// the source has queries, it is looked for among what they do not select.
func (r *Runtime) tracePages(ctx context.Context, trace payload.DeviceTrace, wanted *wanted) payload.TracedRead {
	read := payload.TracedRead{Asked: true}
	r.lookup(ctx, trace, wanted, &read, false)
	if read.Whole && len(read.Sightings) == 0 && len(trace.Source.Queries) > 0 {
		all := payload.TracedRead{}
		r.lookup(ctx, trace, wanted, &all, true)
		if len(all.Sightings) > 0 {
			read.Filtered, read.Sightings = true, all.Sightings
		}
	}
	return read
}

func (r *Runtime) lookup(ctx context.Context, trace payload.DeviceTrace, wanted *wanted, read *payload.TracedRead, unfiltered bool) {
	defer func() {
		if p := recover(); p != nil {
			r.options.Logger.Error("adapter panicked in a trace", "source_type", trace.Source.Type, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			read.Reason, read.Message = testBroken, fmt.Sprintf("the %s adapter broke down; report it with the service's log", trace.Source.Type)
		}
	}()
	adapter, err := r.adapterOf(trace.Source)
	if err == nil {
		_, err = adapter.Discover(ctx, source.Request{Lookup: &source.Lookup{
			Wanted: wanted.device, MACs: len(wanted.macs) > 0, Unfiltered: unfiltered,
			Looked: func(_ string, _, things int) { read.Pages, read.Things = read.Pages+1, read.Things+int64(things) },
			Found: func(s source.Sighting) bool {
				read.Sightings = append(read.Sightings, r.sighting(trace.Source, s))
				// An id is one thing's; an address or a name may be several things'.
				return len(read.Sightings) < payload.MaxSightings && !wanted.native(s.Device.NativeID)
			},
		}}, func(payload.Update) error { return nil })
	}
	switch {
	case err == nil:
		read.Whole = true
	case errors.Is(err, source.ErrEnough):
	default:
		read.Reason, read.Message = explain(ctx, err)
	}
}

// adapterOf makes the reader of a source that need not be configured here.
func (r *Runtime) adapterOf(s payload.Source) (source.Adapter, error) {
	newAdapter, ok := r.options.Adapters[s.Type]
	if !ok {
		return nil, &testError{testSettings, fmt.Errorf("this program has no adapter for type %q", s.Type)}
	}
	adapter, err := newAdapter(s, r.loops.sourceOptions(!r.edge.Load()))
	if err != nil {
		return nil, &testError{testSettings, err}
	}
	return adapter, nil
}

// sighting tells of a device what a run would make of it.
func (r *Runtime) sighting(s payload.Source, at source.Sighting) payload.TraceSighting {
	short := func(text string) string { return cut(oneLine(text), maxSampleText) }
	told := payload.TraceSighting{List: short(at.List), Page: at.Page, Place: at.Place, Fate: string(at.Fate), Why: cut(oneLine(at.Why), maxSaid)}
	if at.Fate == source.FateReported {
		attribute(&at.Update, s)
		told.Device = sampleOf(at.Update)
		at.Update.AgentID, at.Update.Partition = r.options.Config.AgentID, r.options.Config.Partition
		if err := at.Update.Validate(r.options.Now()); err != nil {
			told.Fate, told.Why = payload.FateInvalid, cut(oneLine(err.Error()), maxSaid)
		}
		return told
	}
	d := at.Device
	told.Device = payload.SampleDevice{
		NativeID: short(d.NativeID), Hostname: short(d.Name), DeviceType: short(d.Type), Vendor: short(d.Manufacturer), Model: short(d.Model),
	}
	if len(d.IPs) > 0 {
		told.Device.IP = d.IPs[0].String()
	}
	if len(d.MACs) > 0 {
		told.Device.MAC = short(slices.Min(d.MACs))
	}
	return told
}
