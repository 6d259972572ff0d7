package postgres

import (
	"context"
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
	at := make([]int64, len(events))
	var texts [9][]string
	for i, e := range events {
		at[i] = e.Time.UnixMicro()
		for column, text := range []string{
			id(e.ID), e.Type, string(e.Severity), e.Actor.Name, e.Actor.Origin, id(e.SourceID), id(e.ServiceID),
			e.Message, jsonMap(e.Details),
		} {
			texts[column] = append(texts[column], text)
		}
	}
	// Sorted, so that they are numbered in the order they were given.
	_, err := t.s.exec(ctx, `
		INSERT INTO event (at, id, type, severity, actor_name, actor_origin, source_id, service_id, message, details)
		SELECT at, id, type, severity, actor_name, actor_origin, source_id, service_id, message, details
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::text[]) WITH ORDINALITY
			e (at, id, type, severity, actor_name, actor_origin, source_id, service_id, message, details, place)
		ORDER BY place`,
		at, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], texts[7], texts[8])
	if err != nil {
		return fmt.Errorf("append %d events: %w", len(events), err)
	}
	t.s.note(core.Signal{Topic: core.TopicEvents})
	return nil
}

func scanEvent(row scanner) (core.Event, error) {
	var e core.Event
	err := row.Scan(idColumn{&e.ID}, timeColumn{&e.Time}, &e.Type, &e.Severity, &e.Actor.Name, &e.Actor.Origin,
		idColumn{&e.SourceID}, idColumn{&e.ServiceID}, &e.Message, asJSON(&e.Details))
	return e, err
}

func (t tenantTx) Events(ctx context.Context, filter core.EventFilter) ([]core.Event, error) {
	since := int64(-1 << 63)
	if !filter.Since.IsZero() {
		since = filter.Since.UnixMicro()
	}
	events, err := all(ctx, t.s, scanEvent, `
		SELECT id, at, type, severity, actor_name, actor_origin, source_id, service_id, message, details
		FROM event WHERE at >= $1 AND starts_with(type, $2) ORDER BY at DESC, seq DESC LIMIT $3`,
		since, filter.TypePrefix, limitOr(int64(filter.Limit)))
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	slices.Reverse(events)
	return events, nil
}

// limitOr is a limit as PostgreSQL takes it: NULL for none.
func limitOr(limit int64) *int64 {
	if limit <= 0 {
		return nil
	}
	return &limit
}
