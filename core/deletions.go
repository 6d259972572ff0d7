package core

import (
	"context"
	"fmt"

	"edgesync/dire"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
)

// reconcile plans a batch and carries it out. The deletions of a run that would
// retract too many things are taken out of it, and held.
func (w *chunkWriter) reconcile(ctx context.Context, tx TenantTx, events *eventLog, g *group, source Source, p part) (dire.Plan, error) {
	batch := g.ready.batch
	probe, err := tx.Touch(ctx, p.probe)
	if err != nil {
		return dire.Plan{}, fmt.Errorf("see devices again: %w", err)
	}
	neighbourhood, err := tx.Neighbourhood(ctx, probe)
	if err != nil {
		return dire.Plan{}, fmt.Errorf("read neighbourhood: %w", err)
	}
	known := neighbourhood.Known
	_, span := tracing.Below(ctx, "plan")
	plan, err := w.core.rules.Plan(probe, neighbourhood)
	span.Count("decisions", int64(len(plan.Decisions)))
	span.End(err)
	if err != nil {
		return dire.Plan{}, fmt.Errorf("plan batch: %w", err)
	}
	if plan.Retracted > 0 {
		living, may, err := w.mayRetract(ctx, tx, g, source, batch.Source, int64(plan.Retracted))
		if err != nil {
			return dire.Plan{}, err
		}
		if !may {
			return w.holdDeletions(ctx, tx, events, source, batch, p.updates, known, living)
		}
	}
	if err := tx.Apply(ctx, plan); err != nil {
		return dire.Plan{}, fmt.Errorf("apply plan: %w", err)
	}
	w.retracted[batch.Source] += int64(plan.Retracted)
	return plan, nil
}

// mayRetract tells whether the run may retract so many things more, and how many
// there were when it began.
func (w *chunkWriter) mayRetract(ctx context.Context, tx TenantTx, g *group, source Source, name string, more int64) (living int64, may bool, err error) {
	if _, ok := w.retracted[name]; !ok {
		w.retracted[name] = 0
		if id := w.in.run(g).ID; id != "" && source.Name != "" {
			// What an earlier attempt at the same run retracted counts, too.
			run, err := findRun(ctx, tx, source.ID, id)
			if err != nil {
				return 0, false, err
			}
			w.retracted[name] = run.Retracted
		}
	}
	before := w.retracted[name]
	living, _, err = tx.CountLiving(ctx, name, w.in.began)
	living += before
	return living, !tooMany(before+more, living), err
}

// holdDeletions carries a batch out without the deletions of what lives and no
// later run named, which it keeps for an operator.
func (w *chunkWriter) holdDeletions(ctx context.Context, tx TenantTx, events *eventLog, source Source, batch dire.Batch, updates []payload.Update, known []dire.Known, living int64) (dire.Plan, error) {
	lives := make(map[string]bool, len(known))
	for _, k := range known {
		lives[k.Key] = k.RetractedAt.IsZero() && !batch.Run.Started.Before(k.Run.Started)
	}
	var pending []dire.Retraction
	all := direUpdates(updates, batch.SourceType)
	kept := make([]dire.Update, 0, len(all))
	held := map[string]bool{}
	for i, u := range all {
		if u.Deleted {
			one := batch
			one.Updates = all[i : i+1 : i+1]
			probe, err := w.core.rules.ProbeFor(one)
			if err != nil {
				return dire.Plan{}, fmt.Errorf("probe deletion: %w", err)
			}
			if len(probe.Keys) == 1 && lives[probe.Keys[0]] {
				if !held[probe.Keys[0]] {
					held[probe.Keys[0]] = true
					pending = append(pending, dire.Retraction{Key: probe.Keys[0], At: batch.Run.Started})
				}
				continue
			}
		}
		kept = append(kept, u)
	}
	if err := tx.PutPending(ctx, batch.Source, pending); err != nil {
		return dire.Plan{}, err
	}
	waiting, err := tx.Pending(ctx, batch.Source)
	if err != nil {
		return dire.Plan{}, err
	}
	err = w.core.hold(ctx, tx, events, batch.Source, source, Hold{
		Kind: HoldDeletions, Run: batch.Run, Retractions: int64(len(waiting)), Living: living,
	})
	if err != nil {
		return dire.Plan{}, err
	}
	batch.Updates = kept
	probe, err := w.core.rules.ProbeFor(batch)
	if err != nil {
		return dire.Plan{}, fmt.Errorf("probe batch: %w", err)
	}
	plan, err := w.core.carryOut(ctx, tx, probe)
	plan.Stats.Held = len(all) - len(kept)
	return plan, err
}
