package relational

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"edgesync/core"
)

const selectRun = `
	SELECT id, source_id, mode, started_at, finished_at, result, devices, received, total, deleted, refused,
		superseded, held, retracted, complete, counted, error, service_id, trace_id, chunks, total_chunks, stored_at, stage
	FROM run `

func scanRun(row Row) (core.Run, error) {
	var v core.Run
	err := row.Scan(&v.ID, idColumn{&v.SourceID}, &v.Mode, timeColumn{&v.Started}, timeColumn{&v.Finished},
		&v.Result, &v.Devices, &v.Received, &v.Total, &v.Deleted, &v.Refused,
		&v.Superseded, &v.Held, &v.Retracted,
		&v.Complete, &v.Counted, &v.Error, idColumn{&v.ServiceID}, &v.TraceID, &v.Chunks, &v.TotalChunks,
		timeColumn{&v.StoredAt}, &v.Stage)
	return v, err
}

func (t Tenant) Run(ctx context.Context, source uuid.UUID, run string) (core.Run, error) {
	found, err := first(ctx, t.s, scanRun, selectRun+`WHERE source_id = ? AND id = ?`, id(source), run)
	if err != nil {
		return core.Run{}, fmt.Errorf("read run %q of source %s: %w", run, source, err)
	}
	return found, nil
}

func (t Tenant) PutRun(ctx context.Context, v core.Run) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO run (id, source_id, mode, started_at, finished_at, result, devices, received, total,
			deleted, refused, superseded, held, retracted, complete, counted, error, service_id, trace_id, chunks,
			total_chunks, stored_at, stage)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (source_id, id) DO UPDATE SET mode = excluded.mode, started_at = excluded.started_at,
			finished_at = excluded.finished_at, result = excluded.result, devices = excluded.devices,
			received = excluded.received, total = excluded.total, deleted = excluded.deleted,
			refused = excluded.refused, superseded = excluded.superseded, held = excluded.held,
			retracted = excluded.retracted, complete = excluded.complete,
			counted = excluded.counted, error = excluded.error, service_id = excluded.service_id,
			trace_id = excluded.trace_id, chunks = excluded.chunks, total_chunks = excluded.total_chunks,
			stored_at = excluded.stored_at, stage = excluded.stage`,
		v.ID, id(v.SourceID), v.Mode, micros(v.Started), micros(v.Finished), v.Result, v.Devices,
		v.Received, v.Total, v.Deleted, v.Refused, v.Superseded, v.Held, v.Retracted, v.Complete, v.Counted, v.Error,
		id(v.ServiceID), v.TraceID, v.Chunks, v.TotalChunks, micros(v.StoredAt), v.Stage)
	if err != nil {
		return fmt.Errorf("put run %q of source %s: %w", v.ID, v.SourceID, err)
	}
	return nil
}

func (t Tenant) Runs(ctx context.Context, source uuid.UUID, limit int) ([]core.Run, error) {
	runs, err := All(ctx, t.s, scanRun,
		selectRun+`WHERE source_id = ? ORDER BY started_at DESC, id DESC LIMIT ?`, id(source), t.s.Dialect().Limit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list runs of source %s: %w", source, err)
	}
	return runs, nil
}
