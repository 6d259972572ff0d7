package core

import (
	"context"
	"errors"
	"slices"
	"time"

	"edgesync/dire"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
)

// runHead is what is said of a run.
type runHead struct {
	dire.Run
	mode string
}

// run is the run the updates of a group are part of, as the head of the stream
// says, else as the first of them that says anything.
func (in *ingestion) run(g *group) runHead {
	stream := in.stream
	id, mode, started := stream.RunID, stream.Mode, stream.RunStarted
	i := slices.IndexFunc(g.updates, func(u payload.Update) bool { return u.SyncMeta != nil })
	if i >= 0 {
		meta := g.updates[i].SyncMeta
		if id == "" && validRunID(meta.SyncRunID) {
			id = meta.SyncRunID
		}
		if mode == "" {
			mode = meta.Mode
		}
		if started.IsZero() && meta.RunStarted != nil {
			started = *meta.RunStarted
		}
	}
	return runHead{dire.Run{ID: id, Started: past(started, in.began)}, validMode(mode)}
}

// noteRun keeps how far a run has come. A stream that is sent again counts anew,
// and changes nothing of a run that was complete.
func (w *chunkWriter) noteRun(ctx context.Context, tx TenantTx, now time.Time, source Source, g *group, stats dire.Stats) error {
	of := w.in.run(g)
	if of.ID == "" {
		return nil
	}
	run, err := findRun(ctx, tx, source.ID, of.ID)
	if err != nil || run.Complete {
		return err
	}
	if w.seen[source.ID] == "" {
		w.seen[source.ID], run.Received, run.Deleted, run.Refused = of.ID, 0, 0, 0
		run.Superseded, run.Held = 0, 0
	}
	run.Received += int64(stats.Stored + stats.Unchanged)
	run.Refused += int64(stats.Refused)
	run.Superseded += int64(stats.Superseded)
	run.Held += int64(stats.Held)
	run.Deleted += deletions(g)
	run.Retracted = max(run.Retracted, w.retracted[source.ID.String()])
	run.Mode, run.Started, run.Total = of.mode, of.Started, w.in.stream.TotalDevices
	run.ServiceID, run.TraceID = w.in.service.ID, tracing.Current(ctx, of.ID)
	run.Chunks, run.TotalChunks, run.StoredAt = w.chunk.Index+1, w.chunk.Total, now
	return tx.PutRun(ctx, run)
}

// deletions counts the updates of a group that say a thing is gone.
func deletions(g *group) int64 {
	n := int64(0)
	for _, update := range g.updates {
		if deleted(update) {
			n++
		}
	}
	return n
}

// endRuns marks the runs that a stream's last chunk completes, and judges those
// that are snapshots. What a runtime reported of a run stands; a run nobody has
// reported ended well.
func (w *chunkWriter) endRuns(ctx context.Context, tx TenantTx, events *eventLog) error {
	for id, runID := range w.seen {
		source, err := w.source(ctx, tx, id)
		if err != nil {
			return err
		}
		run, err := tx.Run(ctx, id, runID)
		if errors.Is(err, ErrNotFound) {
			continue // Its source was removed in mid-stream and made anew.
		}
		if err != nil {
			return err
		}
		if run.Complete {
			continue
		}
		if err := w.complete(ctx, tx, events, source, run); err != nil {
			return err
		}
	}
	return nil
}

func (w *chunkWriter) complete(ctx context.Context, tx TenantTx, events *eventLog, source Source, run Run) error {
	before := run
	var err error
	if run.Counted, err = counts(ctx, tx, source, run); err != nil {
		return err
	}
	run.Complete = true
	if run.Finished.IsZero() {
		run.Finished, run.Result, run.Devices = events.now, payload.ResultSuccess, run.Received
		err = w.core.endRun(ctx, tx, events, source, before, run)
	} else {
		err = tx.PutRun(ctx, run)
	}
	if err != nil || !run.Counted {
		return err
	}
	return w.core.judgeSnapshots(ctx, tx, events, source)
}
