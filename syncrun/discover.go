package syncrun

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"edgesync/proto/payload"
	"edgesync/proto/shell"
	"edgesync/proto/tracing"
	"edgesync/syncrun/outbox"
	"edgesync/syncrun/source"
)

// errRunTimeout ends a run that reads for too long.
var errRunTimeout = errors.New("the run took longer than it may")

// progressStep is how many devices lie between two Discovered events.
const progressStep = 250

// discover is one run of a source: from the adapter to the outbox. It returns
// when the source comes round again.
func (r *Runtime) discover(ctx context.Context, id string) time.Time {
	if r.noRoom() {
		return r.options.Now().Add(fullPause())
	}
	runCtx, cancel, this, ok := r.loops.start(ctx, id)
	if !ok {
		return time.Time{}
	}
	defer cancel()
	reading := &reading{runtime: r, run: this, head: r.head(this)}
	if r.once != nil {
		r.once.began(reading.head)
	}
	reading.tell(Event{Kind: RunStarted, Total: -1})
	spanCtx, span := r.options.Tracer.Start(tracing.OfRun(runCtx, reading.head.ID), "run")
	describe(span, reading.head)
	taken, err := reading.toOutbox(spanCtx)
	span.Count("devices", taken.Updates)
	span.End(err)
	switch {
	case err == nil:
		r.deliveries.set(id, this.definition.fairTenant(), r.options.Now())
		if !r.loops.has(id) {
			// It was taken away while its last run was being put down.
			r.outbox.DropSource(id)
		}
	case abandoned(runCtx):
		// Nobody waits for the end of this run any more: the runtime or
		// the source is on its way out.
		this.abandon()
		return time.Time{}
	default:
		reading.failed(runCtx, err)
	}
	return r.loops.finish(id, this, taken, err)
}

// describe says of a span whose run it is.
func describe(span tracing.Span, head outbox.Head) {
	span.Text("run_id", head.ID)
	span.Text("source", head.Name)
	span.Text("source_id", head.SourceID)
	span.Text("tenant", head.Tenant)
}

// abandoned tells a run that was stopped from one that ran out of time.
func abandoned(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), errRunTimeout)
}

func (r *Runtime) head(this run) outbox.Head {
	d := this.definition
	partition := d.source.Partition
	setDefault(&partition, r.options.Config.Partition)
	// Whose a tenant's own service is says its certificate.
	tenantID := ""
	if d.platform {
		tenantID = d.source.TenantID
	}
	return outbox.Head{
		ID: uuid.NewString(), Source: d.id, Name: d.key, Tenant: d.source.TenantSlug, Type: d.source.Type, TenantID: tenantID,
		SourceID: d.source.IntegrationSourceID, ServiceID: d.serviceID, Share: d.fairTenant(), Partition: partition, Started: this.started.UTC().Round(0),
	}
}

// reading is a run on its way into the outbox.
type reading struct {
	runtime *Runtime
	run     run
	head    outbox.Head
	writer  *outbox.Writer
	// emitted is what the adapter handed on, refused what of it is not valid.
	emitted, refused int64
	// firstRefusal is why the first invalid update is none.
	firstRefusal error
}

func (r *reading) toOutbox(ctx context.Context) (outbox.Run, error) {
	if r.run.invalid != nil {
		return outbox.Run{}, r.run.invalid
	}
	writer, err := r.runtime.outbox.Begin(r.head)
	if err != nil {
		return outbox.Run{}, err
	}
	r.writer = writer
	defer func() { r.runtime.superseded(writer.Abort()) }()
	discovery, err := r.read(ctx)
	m := r.runtime.metrics
	m.found.Add(float64(discovery.Blacklisted + discovery.Unnamed))
	m.count(fateBlacklisted, discovery.Blacklisted)
	m.count(fateUnnamed, discovery.Unnamed)
	m.count(fateRefused, r.refused)
	queued := int64(0)
	defer func() {
		m.count(fateQueued, queued)
		m.count(fateFailed, r.emitted-r.refused-queued)
	}()
	if err != nil {
		return outbox.Run{}, err
	}
	run, replaced, err := writer.Commit(ctx, r.outcome(discovery))
	r.runtime.superseded(replaced)
	if err != nil {
		return outbox.Run{}, err
	}
	queued = run.Updates
	r.runtime.options.Logger.Debug("source read", "source", r.head.Name, "run_id", r.head.ID, "trace_id", tracing.Text(r.head.ID), "devices", run.Updates, "total", discovery.Total,
		"blacklisted", discovery.Blacklisted, "unnamed", discovery.Unnamed, "refused", r.refused, "lacks", discovery.Lacks, "mode", run.Mode, "chunks", run.Chunks, "bytes", run.Bytes)
	r.tell(Event{Kind: Spooled, Devices: run.Updates, Refused: r.refused, Total: discovery.Total})
	return run, nil
}

// read calls the adapter. A panic of an adapter is the end of its run, not of
// everybody's.
func (r *reading) read(ctx context.Context) (discovery source.Discovery, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.runtime.options.Logger.Error("adapter panicked", "source", r.head.Name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("read source %s: the %s adapter broke down; report it with the log", r.head.Name, r.run.definition.source.Type)
		}
	}()
	discovery, err = r.run.adapter.Discover(ctx, source.Request{Since: r.run.since}, func(u payload.Update) error { return r.emit(ctx, u) })
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return discovery, err
}

// emit takes one device from the adapter.
func (r *reading) emit(ctx context.Context, u payload.Update) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.emitted++
	r.runtime.metrics.found.Inc()
	r.enrich(&u)
	var refusal *payload.UpdateError
	switch err := r.writer.Add(ctx, &u); {
	case errors.As(err, &refusal):
		r.refused++
		if r.firstRefusal == nil {
			r.firstRefusal = err
		}
		return nil
	case err != nil:
		return err
	}
	if n := r.writer.Updates(); n%progressStep == 0 {
		r.tell(Event{Kind: Discovered, Devices: n, Refused: r.refused, Total: -1})
	}
	return nil
}

// enrich says in an update what the runtime knows of it; whose it is and from
// which run the outbox adds.
func (r *reading) enrich(u *payload.Update) {
	u.Source = r.run.definition.source.Type
	u.AgentID = r.runtime.options.Config.AgentID
	u.Partition = r.head.Partition
	if u.Timestamp.IsZero() {
		u.Timestamp = r.run.started.UTC()
	}
}

// attribute says in an update which source it is of, as the outbox does of those
// that a run finds.
func attribute(u *payload.Update, s payload.Source) {
	u.Source = s.Type
	// The map is the adapter's; it may hold one for several devices.
	metadata := make(map[string]string, len(u.Metadata)+2)
	maps.Copy(metadata, u.Metadata)
	metadata[payload.MetaIntegrationType] = s.Type
	if s.IntegrationSourceID != "" {
		metadata[payload.MetaIntegrationSourceID] = s.IntegrationSourceID
	}
	u.Metadata = metadata
}

// outcome is a snapshot only if nothing is missing.
func (r *reading) outcome(d source.Discovery) outbox.Outcome {
	var notes []string
	if d.Partial != "" {
		notes = append(notes, d.Partial)
	}
	if r.refused > 0 {
		notes = append(notes, fmt.Sprintf("%d devices are not valid and were left out, the first because %v", r.refused, r.firstRefusal))
	}
	o := outbox.Outcome{Mode: d.Mode, Note: strings.Join(notes, "; "), Refused: r.refused}
	if o.Note != "" || o.Mode != payload.ModeSnapshot {
		o.Mode = payload.ModeIncremental
	}
	return o
}

// failed reports a run that ended before it reached the outbox.
func (r *reading) failed(ctx context.Context, err error) {
	result := payload.ResultFailed
	if errors.Is(context.Cause(ctx), errRunTimeout) && !errors.Is(err, outbox.ErrFull) {
		result = payload.ResultTimeout
		err = fmt.Errorf("read source %s: %w (%s)", r.head.Name, errRunTimeout, shell.Duration(r.runtime.options.RunTimeout))
	}
	ended := ending{result: result, detail: err.Error(), stage: payload.StageRead, refused: r.refused}
	if errors.Is(err, outbox.ErrFull) || errors.Is(err, outbox.ErrTooLarge) {
		ended.stage = payload.StageOutbox
	}
	if r.writer != nil {
		ended.devices = r.writer.Updates()
	}
	r.runtime.ended(r.head, payload.ModeIncremental, ended)
}

func (r *reading) tell(e Event) { r.runtime.tell(r.head, e) }

// superseded reports runs that a newer one of their source has replaced before
// the gateway took them.
func (r *Runtime) superseded(runs []outbox.Run) {
	for _, run := range runs {
		r.loops.lost(run.Source)
		r.ended(run.Head, run.Mode, ending{result: payload.ResultSuperseded, detail: errSuperseded.Error(), stage: payload.StageSuperseded, devices: run.Updates})
	}
}
