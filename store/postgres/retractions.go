package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/dire"
)

// sourceNumber is what rows name a source by; none has 0.
const sourceNumber = `coalesce((SELECT id FROM name WHERE value = $1), 0)`

func (t tenantTx) CountRun(ctx context.Context, source string, run dire.Run) (int64, error) {
	var n int64
	err := t.s.one(ctx, `
		SELECT count(*) FROM standing WHERE source = `+sourceNumber+` AND run_id = $2 AND run_started IS NOT DISTINCT FROM $3`,
		[]any{source, run.ID, micros(run.Started)}, &n)
	if err != nil {
		return 0, fmt.Errorf("count assertions of run %q of %s: %w", run.ID, source, err)
	}
	return n, nil
}

func (t tenantTx) CountLiving(ctx context.Context, source string, before time.Time) (living, absent int64, err error) {
	err = t.s.one(ctx, `
		SELECT count(*), count(*) FILTER (WHERE coalesce(run_started < $2, true)) FROM standing
		WHERE source = `+sourceNumber+` AND NOT retracted`,
		[]any{source, before.UnixMicro()}, &living, &absent)
	if err != nil {
		return 0, 0, fmt.Errorf("count living assertions of %s: %w", source, err)
	}
	return living, absent, nil
}

func (t tenantTx) Absent(ctx context.Context, source string, before time.Time) ([]string, error) {
	keys, err := all(ctx, t.s, func(row scanner) (key string, err error) {
		err = row.Scan(&key)
		return key, err
	}, `
		SELECT a.key FROM standing s JOIN assertion a ON a.id = s.assertion
		WHERE s.source = `+sourceNumber+` AND NOT s.retracted AND coalesce(s.run_started < $2, true)
		ORDER BY a.key`, source, before.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("list absent assertions of %s: %w", source, err)
	}
	return keys, nil
}

func (t tenantTx) Snapshots(ctx context.Context, source uuid.UUID, limit int) ([]core.Run, error) {
	runs, err := all(ctx, t.s, scanRun,
		selectRun+`WHERE source_id = $1 AND counted ORDER BY started_at DESC, id DESC LIMIT $2`, id(source), limitOr(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list snapshots of source %s: %w", source, err)
	}
	return runs, nil
}

func (t tenantTx) DiscountRuns(ctx context.Context, source uuid.UUID, upTo time.Time) error {
	_, err := t.s.exec(ctx, `UPDATE run SET counted = false WHERE source_id = $1 AND counted AND started_at <= $2`,
		id(source), micros(upTo))
	if err != nil {
		return fmt.Errorf("discount runs of source %s: %w", source, err)
	}
	return nil
}

func (t tenantTx) Holds(ctx context.Context, source string) ([]core.Hold, error) {
	holds, err := all(ctx, t.s, func(row scanner) (h core.Hold, err error) {
		err = row.Scan(&h.Source, &h.Kind, &h.Run.ID, timeColumn{&h.Run.Started}, timeColumn{&h.At}, &h.Retractions, &h.Living)
		return h, err
	}, `
		SELECT source, kind, run_id, run_started, at, retractions, living FROM hold
		WHERE $1 = '' OR source = $1 ORDER BY source, kind`, source)
	if err != nil {
		return nil, fmt.Errorf("list held retractions: %w", err)
	}
	return holds, nil
}

func (t tenantTx) PutHold(ctx context.Context, h core.Hold) error {
	_, err := t.s.exec(ctx, `
		INSERT INTO hold (source, kind, run_id, run_started, at, retractions, living)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (source, kind) DO UPDATE SET run_id = excluded.run_id, run_started = excluded.run_started,
			at = excluded.at, retractions = excluded.retractions, living = excluded.living`,
		h.Source, h.Kind, h.Run.ID, micros(h.Run.Started), micros(h.At), h.Retractions, h.Living)
	if err != nil {
		return fmt.Errorf("hold retractions of %s: %w", h.Source, err)
	}
	return nil
}

func (t tenantTx) DeleteHold(ctx context.Context, source string, kind core.HoldKind) error {
	if _, err := t.s.exec(ctx, `DELETE FROM hold WHERE source = $1 AND kind = $2`, source, kind); err != nil {
		return fmt.Errorf("delete held retractions of %s: %w", source, err)
	}
	return nil
}

func (t tenantTx) Pending(ctx context.Context, source string) ([]dire.Retraction, error) {
	pending, err := all(ctx, t.s, func(row scanner) (r dire.Retraction, err error) {
		err = row.Scan(&r.Key, timeColumn{&r.At})
		return r, err
	}, `SELECT key, at FROM pending WHERE source = $1 ORDER BY key`, source)
	if err != nil {
		return nil, fmt.Errorf("list pending deletions of %s: %w", source, err)
	}
	return pending, nil
}

func (t tenantTx) PutPending(ctx context.Context, source string, retractions []dire.Retraction) error {
	rows := make([][]any, len(retractions))
	for i, r := range retractions {
		rows[i] = []any{source, r.Key, micros(r.At)}
	}
	err := t.s.batch(ctx, `INSERT INTO pending (source, key, at) SELECT DISTINCT ON (source, key) * FROM `,
		[]column{{"source", text}, {"key", text}, {"at", number}}, rows, ` ON CONFLICT (source, key) DO UPDATE SET at = excluded.at`)
	if err != nil {
		return fmt.Errorf("put pending deletions of %s: %w", source, err)
	}
	return nil
}

func (t tenantTx) DeletePending(ctx context.Context, source string) error {
	if _, err := t.s.exec(ctx, `DELETE FROM pending WHERE source = $1`, source); err != nil {
		return fmt.Errorf("delete pending deletions of %s: %w", source, err)
	}
	return nil
}
