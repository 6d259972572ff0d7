package core

import (
	"context"
	"fmt"
	"slices"
	"time"

	"edgesync/dire"
	"edgesync/proto/payload"
)

const (
	// heldShare is the share of a source's things, one in so many, and heldAbove the
	// number of them that one run may retract without an operator.
	heldShare = 5
	heldAbove = 10
)

// tooMany tells whether so many retractions of so many living things have to
// wait for an operator.
func tooMany(retractions, living int64) bool {
	return retractions > heldAbove && retractions*heldShare > living
}

// counts tells whether a run that was stored to its end is a complete snapshot:
// as many things as it announced, each named once.
func counts(ctx context.Context, tx TenantTx, source Source, run Run) (bool, error) {
	ended := run.Finished.IsZero() || run.Result == payload.ResultSuccess
	if run.Mode != payload.ModeSnapshot || run.Total < 0 || !ended {
		return false, nil
	}
	unique, err := tx.CountRun(ctx, source.ID.String(), dire.Run{ID: run.ID, Started: run.Started})
	return unique+run.Deleted+run.Refused == run.Total, err
}

// judgeSnapshots retracts what the latest two snapshots of a source were without, or holds
// that.
func (c *Core) judgeSnapshots(ctx context.Context, tx TenantTx, events *eventLog, source Source) error {
	latest, err := tx.Snapshots(ctx, source.ID, 2)
	if err != nil || len(latest) < 2 {
		return err
	}
	before := latest[1].Started
	living, absent, err := tx.CountLiving(ctx, source.ID.String(), before)
	if err != nil {
		return err
	}
	deleted := latest[0].Retracted
	if tooMany(absent+deleted, living+deleted) && absent > 0 {
		return c.hold(ctx, tx, events, source.ID.String(), source, Hold{
			Kind: HoldSnapshot, Run: dire.Run{ID: latest[0].ID, Started: latest[0].Started},
			Retractions: absent, Living: living,
		})
	}
	if absent > 0 {
		_, err := c.retractAbsent(ctx, tx, events, source, latest, dire.Retractions{})
		if err != nil {
			return err
		}
	}
	return c.lift(ctx, tx, events, source)
}

// retractAbsent retracts what two snapshots, the latest first, were without.
func (c *Core) retractAbsent(ctx context.Context, tx TenantTx, events *eventLog, source Source, latest []Run, r dire.Retractions) (int, error) {
	keys, err := tx.Absent(ctx, source.ID.String(), latest[1].Started)
	if err != nil {
		return 0, err
	}
	r.Source, r.Rule, r.Runs = source.ID.String(), dire.RuleAbsent, []string{latest[1].ID, latest[0].ID}
	for _, key := range keys {
		r.Things = append(r.Things, dire.Retraction{Key: key, At: latest[0].Started})
	}
	n, err := c.retract(ctx, tx, events, r)
	if n > 0 {
		events.add(dataEngine, Event{
			Type: "source.retracted", SourceID: source.ID, ServiceID: source.SyncServiceID,
			Message: fmt.Sprintf("source %s no longer names %d of its things: two snapshots were without them", source.Name, n),
			Details: map[string]string{"run_id": latest[0].ID, "run_id_before": latest[1].ID},
		})
	}
	return n, err
}

// retract carries retractions out, and returns how many things lived before.
func (c *Core) retract(ctx context.Context, tx TenantTx, events *eventLog, r dire.Retractions) (int, error) {
	actor, retracted := dataEngine, 0
	if r.By != "" {
		actor.Name = r.By
	}
	r.Received = events.now
	var decisions []dire.Decision
	for things := range slices.Chunk(r.Things, maxBatch) {
		part := r
		part.Things = things
		probe, err := c.rules.ProbeForRetractions(part)
		if err != nil {
			return 0, fmt.Errorf("probe retractions: %w", err)
		}
		plan, err := c.carryOut(ctx, tx, probe)
		if err != nil {
			return 0, err
		}
		retracted += plan.Retracted
		decisions = append(decisions, plan.Decisions...)
	}
	tellDecisions(events, actor, decisions)
	return retracted, nil
}

// carryOut plans what a probe asks for, and applies the plan.
func (c *Core) carryOut(ctx context.Context, tx TenantTx, probe dire.Probe) (dire.Plan, error) {
	neighbourhood, err := tx.Neighbourhood(ctx, probe)
	if err != nil {
		return dire.Plan{}, fmt.Errorf("read neighbourhood: %w", err)
	}
	plan, err := c.rules.Plan(probe, neighbourhood)
	if err != nil {
		return dire.Plan{}, fmt.Errorf("plan batch: %w", err)
	}
	if err := tx.Apply(ctx, plan); err != nil {
		return dire.Plan{}, fmt.Errorf("apply plan: %w", err)
	}
	return plan, nil
}

// hold keeps retractions for an operator. It is told when a source comes to be
// held, not with every run that would say the same.
func (c *Core) hold(ctx context.Context, tx TenantTx, events *eventLog, name string, source Source, h Hold) error {
	holds, err := tx.Holds(ctx, name)
	if err != nil {
		return err
	}
	h.Source, h.At = name, events.now
	told := slices.IndexFunc(holds, func(o Hold) bool { return o.Kind == h.Kind })
	if told >= 0 {
		h.At = holds[told].At
	}
	if err := tx.PutHold(ctx, h); err != nil {
		return err
	}
	if told >= 0 {
		return nil
	}
	if source.Name == "" {
		source.Name = name
	}
	why := "two snapshots were without them"
	if h.Kind == HoldDeletions {
		why = "one run says that they are gone"
	}
	events.add(dataEngine, Event{
		Type: "source.retractions_held", Severity: SeverityError, SourceID: source.ID, ServiceID: source.SyncServiceID,
		Message: fmt.Sprintf("source %s is held: it would retract %d of its %d things (%s), more than 20 %%: nothing of that is retracted until an operator releases or rejects it (`edgesync source retractions`)",
			source.Name, h.Retractions, h.Living, why),
		Details: map[string]string{"run_id": h.Run.ID, "kind": string(h.Kind), "run_started": h.Run.Started.Format(time.RFC3339)},
	})
	return nil
}

// lift ends the hold of a snapshot, when a later one is none to hold.
func (c *Core) lift(ctx context.Context, tx TenantTx, events *eventLog, source Source) error {
	holds, err := tx.Holds(ctx, source.ID.String())
	if err != nil || !slices.ContainsFunc(holds, func(h Hold) bool { return h.Kind == HoldSnapshot }) {
		return err
	}
	events.add(dataEngine, Event{
		Type: "source.retractions_lifted", SourceID: source.ID, ServiceID: source.SyncServiceID,
		Message: "source " + source.Name + " is no longer held: its latest snapshot has its things again",
	})
	return tx.DeleteHold(ctx, source.ID.String(), HoldSnapshot)
}
