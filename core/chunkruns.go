package core

import (
	"context"
	"errors"
	"slices"

	"edgesync/dire"
	"edgesync/proto/payload"
)

// runHead is what is said of a run.
type runHead struct {
	dire.Run
	mode string
}

// run is the run the updates of a group are part of, as the head of the stream
// says, else as the first of them that says anything.
func (w *chunkWriter) run(g *group) runHead {
	stream := w.in.stream
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
	return runHead{dire.Run{ID: id, Started: past(started, w.in.began)}, validMode(mode)}
}

// noteRun keeps how far a run has come. A stream that is sent again counts anew,
// and changes nothing of a run that was complete.
func (w *chunkWriter) noteRun(ctx context.Context, tx TenantTx, source Source, g *group, stats dire.Stats) error {
	of := w.run(g)
	if of.ID == "" {
		return nil
	}
	run, err := findRun(ctx, tx, source.ID, of.ID)
	if err != nil || run.Complete {
		return err
	}
	if w.seen[source.ID] == "" {
		w.seen[source.ID], run.Received = of.ID, 0
	}
	run.Received += int64(stats.Stored + stats.Unchanged)
	run.Mode, run.Started, run.Total = of.mode, of.Started, w.in.stream.TotalDevices
	return tx.PutRun(ctx, run)
}

// endRuns marks the runs that a stream's last chunk completes. What a runtime
// reported of a run stands; a run nobody has reported ended well.
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
		before := run
		run.Complete = true
		if !run.Finished.IsZero() {
			if err := tx.PutRun(ctx, run); err != nil {
				return err
			}
			continue
		}
		run.Finished, run.Result, run.Devices = events.now, payload.ResultSuccess, run.Received
		if err := w.core.endRun(ctx, tx, events, source, before, run); err != nil {
			return err
		}
	}
	return nil
}
