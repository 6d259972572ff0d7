package relational

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
	"edgesync/dire"
)

// CountRun counts what a run was the latest to assert.
func (t Tenant) CountRun(ctx context.Context, source string, run dire.Run) (int64, error) {
	var n int64
	started := microsOf(run.Started)
	err := t.eachSighting(ctx, source, func(_ int64, s *sighting) {
		if s.by.started == started && s.by.run == run.ID {
			n++
		}
	})
	if err != nil {
		return 0, fmt.Errorf("count assertions of run %q of %s: %w", run.ID, source, err)
	}
	return n, nil
}

// CountLiving counts the living assertions of a source.
func (t Tenant) CountLiving(ctx context.Context, source string, before time.Time) (living, absent int64, err error) {
	limit := before.UnixMicro()
	err = t.eachSighting(ctx, source, func(_ int64, s *sighting) {
		if s.retracted {
			return
		}
		living++
		if s.by.started < limit {
			absent++
		}
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count living assertions of %s: %w", source, err)
	}
	return living, absent, nil
}

// Absent are the keys of what lives and was last asserted before a time.
func (t Tenant) Absent(ctx context.Context, source string, before time.Time) ([]string, error) {
	numbers, limit := NewInts("id", 0), before.UnixMicro()
	err := t.eachSighting(ctx, source, func(number int64, s *sighting) {
		if !s.retracted && s.by.started < limit {
			numbers.Add(number)
		}
	})
	var keys []string
	if err == nil && numbers.Len() > 0 {
		keys, err = All(ctx, t.s, func(row Row) (key string, err error) { return key, row.Scan(&key) },
			`SELECT a.key FROM rows(?) b LOOKUP assertion a ON a.id = b.id ORDER BY a.key`, NewRows(numbers))
	}
	if err != nil {
		return nil, fmt.Errorf("list absent assertions of %s: %w", source, err)
	}
	return keys, nil
}

// Snapshots are the latest runs of a source that count.
func (t Tenant) Snapshots(ctx context.Context, source uuid.UUID, limit int) ([]core.Run, error) {
	runs, err := All(ctx, t.s, scanRun,
		selectRun+`WHERE source_id = ? AND counted ORDER BY started_at DESC, id DESC LIMIT ?`, id(source), t.s.Dialect().Limit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list snapshots of source %s: %w", source, err)
	}
	return runs, nil
}

// DiscountRuns has runs no longer count.
func (t Tenant) DiscountRuns(ctx context.Context, source uuid.UUID, upTo time.Time) error {
	_, err := t.s.Exec(ctx, `UPDATE run SET counted = false WHERE source_id = ? AND counted AND started_at <= ?`,
		id(source), micros(upTo))
	if err != nil {
		return fmt.Errorf("discount runs of source %s: %w", source, err)
	}
	return nil
}

// Holds are the retractions that wait for an operator.
func (t Tenant) Holds(ctx context.Context, source string) ([]core.Hold, error) {
	holds, err := All(ctx, t.s, func(row Row) (h core.Hold, err error) {
		err = row.Scan(&h.Source, &h.Kind, &h.Run.ID, timeColumn{&h.Run.Started}, timeColumn{&h.At}, &h.Retractions, &h.Living)
		return h, err
	}, `
		SELECT source, kind, run_id, run_started, at, retractions, living FROM hold
		WHERE source = ? OR ? = '' ORDER BY source, kind`, source, source)
	if err != nil {
		return nil, fmt.Errorf("list held retractions: %w", err)
	}
	return holds, nil
}

// PutHold replaces that of the same source and kind.
func (t Tenant) PutHold(ctx context.Context, h core.Hold) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO hold (source, kind, run_id, run_started, at, retractions, living)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (source, kind) DO UPDATE SET run_id = excluded.run_id, run_started = excluded.run_started,
			at = excluded.at, retractions = excluded.retractions, living = excluded.living`,
		h.Source, h.Kind, h.Run.ID, micros(h.Run.Started), micros(h.At), h.Retractions, h.Living)
	if err != nil {
		return fmt.Errorf("hold retractions of %s: %w", h.Source, err)
	}
	return nil
}

// DeleteHold forgets a hold, if there is one.
func (t Tenant) DeleteHold(ctx context.Context, source string, kind core.HoldKind) error {
	if _, err := t.s.Exec(ctx, `DELETE FROM hold WHERE source = ? AND kind = ?`, source, kind); err != nil {
		return fmt.Errorf("delete held retractions of %s: %w", source, err)
	}
	return nil
}

// Pending are the deletions of a source that are held.
func (t Tenant) Pending(ctx context.Context, source string) ([]dire.Retraction, error) {
	pending, err := All(ctx, t.s, func(row Row) (r dire.Retraction, err error) {
		err = row.Scan(&r.Key, timeColumn{&r.At})
		return r, err
	}, `SELECT key, at FROM pending WHERE source = ? ORDER BY key`, source)
	if err != nil {
		return nil, fmt.Errorf("list pending deletions of %s: %w", source, err)
	}
	return pending, nil
}

// PutPending replaces those of the same keys.
func (t Tenant) PutPending(ctx context.Context, source string, retractions []dire.Retraction) error {
	if len(retractions) == 0 {
		return nil
	}
	keys, at := NewTexts("key", len(retractions)), NewInts("at", len(retractions))
	// Of two with one key the last counts.
	latest := make(map[string]time.Time, len(retractions))
	for _, r := range retractions {
		latest[r.Key] = r.At
	}
	for _, r := range retractions {
		if when, ok := latest[r.Key]; ok {
			keys.Add(r.Key)
			at.addMicros(when)
			delete(latest, r.Key)
		}
	}
	_, err := t.s.Exec(ctx, `
		INSERT INTO pending (source, key, at) SELECT ?, b.key, b.at FROM rows(?) b WHERE true
		ON CONFLICT (source, key) DO UPDATE SET at = excluded.at`, source, NewRows(keys, at))
	if err != nil {
		return fmt.Errorf("put pending deletions of %s: %w", source, err)
	}
	return nil
}

// DeletePending forgets those of a source.
func (t Tenant) DeletePending(ctx context.Context, source string) error {
	if _, err := t.s.Exec(ctx, `DELETE FROM pending WHERE source = ?`, source); err != nil {
		return fmt.Errorf("delete pending deletions of %s: %w", source, err)
	}
	return nil
}
