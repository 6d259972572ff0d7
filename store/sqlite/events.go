package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"edgesync/core"
)

// AppendEvents is one statement for any number of events: a batch of updates
// may raise thousands.
func (t tenantTx) AppendEvents(ctx context.Context, events ...core.Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([][]driver.Value, len(events))
	for i, e := range events {
		rows[i] = []driver.Value{
			id(e.ID), e.Time.UnixMicro(), e.Type, string(e.Severity), e.Actor.Name, e.Actor.Origin,
			id(e.SourceID), id(e.ServiceID), e.Message, jsonMap(e.Details),
		}
	}
	err := withBatch(rows, func(handle int64) error {
		_, err := t.s.exec(ctx, `
			INSERT INTO event (id, at, type, severity, actor_name, actor_origin, source_id, service_id,
				message, details)
			SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 FROM batch(?)`, handle)
		return err
	})
	if err != nil {
		return fmt.Errorf("append %d events: %w", len(events), err)
	}
	return nil
}

func scanEvent(row scanner) (core.Event, error) {
	var e core.Event
	err := row.Scan(idColumn{&e.ID}, timeColumn{&e.Time}, &e.Type, &e.Severity, &e.Actor.Name, &e.Actor.Origin,
		idColumn{&e.SourceID}, idColumn{&e.ServiceID}, &e.Message, asJSON(&e.Details))
	return e, err
}

func (t tenantTx) Events(ctx context.Context, filter core.EventFilter) ([]core.Event, error) {
	where, args := `at >= ?`, []any{int64(-1 << 63)}
	if !filter.Since.IsZero() {
		args[0] = filter.Since.UnixMicro()
	}
	if filter.TypePrefix != "" {
		where += ` AND substr(type, 1, length(?)) = ?`
		args = append(args, filter.TypePrefix, filter.TypePrefix)
	}
	args = append(args, limitOr(int64(filter.Limit)))
	events, err := all(ctx, t.s, scanEvent, `
		SELECT id, at, type, severity, actor_name, actor_origin, source_id, service_id, message, details
		FROM event WHERE `+where+` ORDER BY at DESC, seq DESC LIMIT ?`, args...)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	slices.Reverse(events)
	return events, nil
}

// limitOr is a limit as SQLite takes it: -1 for none.
func limitOr(limit int64) int64 {
	if limit <= 0 {
		return -1
	}
	return limit
}
