package relational

import (
	"context"
	"fmt"
	"time"

	"edgesync/core"
)

// EventsAfter implements core.EventTx. A tenant has one writer at a time, whatever
// process it is in, so that sequence numbers are given out in the order of the
// commits.
func (t Tenant) EventsAfter(ctx context.Context, sequence int64, limit int) ([]core.NumberedEvent, error) {
	scan := func(row Row) (core.NumberedEvent, error) {
		var e core.NumberedEvent
		err := row.Scan(&e.Sequence, idColumn{&e.ID}, timeColumn{&e.Time}, &e.Type, &e.Severity, &e.Actor.Name, &e.Actor.Origin,
			idColumn{&e.SourceID}, idColumn{&e.ServiceID}, &e.Message, asJSON(&e.Details))
		return e, err
	}
	events, err := All(ctx, t.s, scan, `
		SELECT seq, id, at, type, severity, actor_name, actor_origin, source_id, service_id, message, details
		FROM event WHERE seq > ? ORDER BY seq LIMIT ?`, sequence, t.s.Dialect().Limit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("read events after %d: %w", sequence, err)
	}
	return events, nil
}

// PruneEvents implements core.EventTx.
func (t Tenant) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := t.s.Exec(ctx, `
		DELETE FROM event WHERE seq IN (
			SELECT seq FROM event WHERE at < ? AND seq < (SELECT max(seq) FROM event) ORDER BY at LIMIT ?)`,
		before.UnixMicro(), t.s.Dialect().Limit(int64(limit)))
	if err != nil {
		return 0, fmt.Errorf("prune events: %w", err)
	}
	return int(n), nil
}
