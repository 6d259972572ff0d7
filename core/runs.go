package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/proto/payload"
	"edgesync/proto/tracing"
)

// The limits of what a report may say.
const (
	maxRunID    = 128
	maxRunError = 1 << 10
	maxReports  = 5_000
)

// Outcomes of a run report.
const (
	reportTaken    = "taken"
	reportRepeated = "repeated"
	reportIgnored  = "ignored"
)

// takeReports takes the run reports of a heartbeat, tenant by tenant.
func (c *Core) takeReports(ctx context.Context, a admission, health []payload.Health) error {
	byTenant := map[uuid.UUID][]payload.RunReport{}
	count := 0
	for _, one := range health {
		for _, report := range one.Sources {
			if count++; count > maxReports {
				c.metrics.reports.WithLabelValues(reportIgnored).Inc()
				continue
			}
			tenant := a.tenant.ID
			if a.service.IsPlatformSync {
				tenant, _ = uuid.Parse(report.TenantID)
			}
			byTenant[tenant] = append(byTenant[tenant], report)
		}
	}
	for id, reports := range byTenant {
		tenant, err := c.tenantByID(ctx, id)
		if errors.Is(err, ErrNotFound) {
			c.metrics.reports.WithLabelValues(reportIgnored).Add(float64(len(reports)))
			continue
		}
		if err != nil {
			return err
		}
		if err := c.takeTenantReports(ctx, tenant, a.service, reports); err != nil {
			return err
		}
	}
	return nil
}

func (c *Core) takeTenantReports(ctx context.Context, tenant Tenant, service SyncService, reports []payload.RunReport) error {
	s, err := c.scopeOf(ctx, tenant)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var outcomes []string
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		outcomes = outcomes[:0]
		for _, report := range reports {
			outcome, err := c.takeReport(ctx, tx, events, service, report)
			if err != nil {
				return fmt.Errorf("record run %s of source %s: %w", report.RunID, report.SourceID, err)
			}
			outcomes = append(outcomes, outcome)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, outcome := range outcomes {
		c.metrics.reports.WithLabelValues(outcome).Inc()
	}
	return nil
}

func (c *Core) takeReport(ctx context.Context, tx TenantTx, events *eventLog, service SyncService, report payload.RunReport) (string, error) {
	id, err := uuid.Parse(report.SourceID)
	if err != nil || !validRunID(report.RunID) || !validResult(report.Result) || report.Devices < 0 {
		return reportIgnored, nil
	}
	source, err := tx.Source(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && source.SyncServiceID != service.ID {
		return reportIgnored, nil
	}
	if err != nil {
		return "", err
	}
	run, err := findRun(ctx, tx, source.ID, report.RunID)
	if err != nil {
		return "", err
	}
	now := c.now()
	before := run
	run.Result, run.Devices, run.Error = report.Result, report.Devices, clean(report.Error, maxRunError)
	run.Stage, run.ServiceID = validStage(report), service.ID
	if run.TraceID == "" {
		run.TraceID = tracing.Text(run.ID)
	}
	if !run.Finished.IsZero() && run.Result == before.Result && run.Devices == before.Devices && run.Error == before.Error {
		return reportRepeated, nil
	}
	run.Finished = past(report.FinishedAt, now)
	// What a run that did not end well was without says nothing.
	run.Counted = run.Counted && run.Result == payload.ResultSuccess
	if run.Mode == "" {
		run.Mode = validMode(report.Mode)
	}
	if run.Started.IsZero() {
		run.Started = past(report.StartedAt, now)
	}
	return reportTaken, c.endRun(ctx, tx, events, source, before, run)
}

// findRun finds a run, or begins the record of one.
func findRun(ctx context.Context, tx TenantTx, source uuid.UUID, id string) (Run, error) {
	run, err := tx.Run(ctx, source, id)
	if errors.Is(err, ErrNotFound) {
		return Run{ID: id, SourceID: source, Total: -1}, nil
	}
	return run, err
}

// endRun records the end of a run and what it makes of the source's stats. A
// run counts once, however often and through whatever its end is told; what the
// source shows is its latest run.
func (c *Core) endRun(ctx context.Context, tx TenantTx, events *eventLog, source Source, before, run Run) error {
	stats := source.Stats
	first := before.Finished.IsZero()
	if first {
		stats.TotalSyncs++
	}
	if latest := !run.Finished.Before(stats.LastSyncAt); latest || !first && before.Finished.Equal(stats.LastSyncAt) {
		failing := stats.ConsecutiveFailures
		stats = outcome(stats, run, first || before.Result != run.Result)
		reportTransition(events, source, run, failing, stats.ConsecutiveFailures)
	}
	if err := tx.PutRun(ctx, run); err != nil {
		return err
	}
	return tx.PutSourceStats(ctx, source.ID, stats)
}

// outcome is what the latest run makes of the stats. A partial run delivered
// what it found, so it is not counted among the failures.
func outcome(stats SourceStats, run Run, count bool) SourceStats {
	stats.LastSyncAt, stats.LastResult = run.Finished, run.Result
	stats.LastDeviceCount, stats.LastError = run.Devices, run.Error
	switch {
	case run.Result == payload.ResultSuperseded:
		// It says nothing of whether the source works.
	case !failed(run.Result):
		stats.ConsecutiveFailures = 0
	case count:
		stats.ConsecutiveFailures++
	}
	return stats
}

// reportTransition tells of the first failure and of the recovery, not of every
// run in between.
func reportTransition(events *eventLog, source Source, run Run, before, after int) {
	event := Event{SourceID: source.ID, ServiceID: source.SyncServiceID, Details: map[string]string{"run_id": run.ID, "result": run.Result}}
	switch {
	case before == 0 && after > 0:
		event.Type, event.Severity = "source.failing", SeverityError
		event.Message = "source " + source.Name + " fails: " + run.Error
	case before > 0 && after == 0:
		event.Type = "source.recovered"
		event.Message = "source " + source.Name + " recovered"
	default:
		return
	}
	events.add(Actor{Name: "core", Origin: "core"}, event)
}

func failed(result string) bool {
	return result == payload.ResultFailed || result == payload.ResultTimeout
}

func validResult(result string) bool {
	switch result {
	case payload.ResultSuccess, payload.ResultPartial, payload.ResultFailed, payload.ResultTimeout, payload.ResultSuperseded:
		return true
	}
	return false
}

// validStage takes the stages there are, of runs that did not end well.
func validStage(report payload.RunReport) string {
	switch report.Stage {
	case payload.StageRead, payload.StageOutbox, payload.StageSuperseded, payload.StageDelivery, payload.StageDamaged:
		if report.Result != payload.ResultSuccess {
			return report.Stage
		}
	}
	return ""
}

// validMode reads a mode; what is not declared a snapshot is incremental.
func validMode(mode string) string {
	if mode == payload.ModeSnapshot {
		return mode
	}
	return payload.ModeIncremental
}

// validRunID takes the ids that runtimes make up, and nothing that could not be
// shown or stored.
func validRunID(id string) bool {
	return id != "" && validText("run id", id, maxRunID) == nil
}

// past is a client's time as it can be believed: not of the future, and now if
// it was not told.
func past(at, now time.Time) time.Time {
	at = at.UTC().Truncate(time.Microsecond)
	if at.Year() < 2000 || at.After(now) {
		return now
	}
	return at
}
