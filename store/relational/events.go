package relational

import (
	"context"
	"fmt"
	"slices"

	"edgesync/core"
)

// AppendEvents is one statement for any number of events: a batch of updates
// may raise thousands.
func (t Tenant) AppendEvents(ctx context.Context, events ...core.Event) error {
	if len(events) == 0 {
		return nil
	}
	n := len(events)
	place, at := NewInts("place", n), NewInts("at", n)
	eventID, kind, severity, actor, origin := NewTexts("id", n), NewTexts("type", n), NewTexts("severity", n), NewTexts("actor_name", n), NewTexts("actor_origin", n)
	source, service, message, details := NewTexts("source_id", n), NewTexts("service_id", n), NewTexts("message", n), NewTexts("details", n)
	for i := range events {
		e := &events[i]
		place.Add(int64(i))
		at.Add(e.Time.UnixMicro())
		eventID.Add(id(e.ID))
		kind.Add(e.Type)
		severity.Add(string(e.Severity))
		actor.Add(e.Actor.Name)
		origin.Add(e.Actor.Origin)
		source.Add(id(e.SourceID))
		service.Add(id(e.ServiceID))
		message.Add(e.Message)
		details.Add(jsonMap(e.Details))
	}
	// Sorted, so that they are numbered in the order they were given.
	_, err := t.s.Exec(ctx, `
		INSERT INTO event (id, at, type, severity, actor_name, actor_origin, source_id, service_id, message, details)
		SELECT b.id, b.at, b.type, b.severity, b.actor_name, b.actor_origin, b.source_id, b.service_id, b.message, b.details
		FROM rows(?) b ORDER BY b.place`,
		NewRows(place, at, eventID, kind, severity, actor, origin, source, service, message, details))
	if err != nil {
		return fmt.Errorf("append %d events: %w", len(events), err)
	}
	t.s.Note(core.Signal{Topic: core.TopicEvents})
	return nil
}

func scanEvent(row Row) (core.Event, error) {
	var e core.Event
	err := row.Scan(idColumn{&e.ID}, timeColumn{&e.Time}, &e.Type, &e.Severity, &e.Actor.Name, &e.Actor.Origin,
		idColumn{&e.SourceID}, idColumn{&e.ServiceID}, &e.Message, asJSON(&e.Details))
	return e, err
}

func (t Tenant) Events(ctx context.Context, filter core.EventFilter) ([]core.Event, error) {
	where, args := `at >= ?`, []any{int64(-1 << 63)}
	if !filter.Since.IsZero() {
		args[0] = filter.Since.UnixMicro()
	}
	if filter.TypePrefix != "" {
		where += ` AND substr(type, 1, length(?)) = ?`
		args = append(args, filter.TypePrefix, filter.TypePrefix)
	}
	args = append(args, t.s.Dialect().Limit(int64(filter.Limit)))
	events, err := All(ctx, t.s, scanEvent, `
		SELECT id, at, type, severity, actor_name, actor_origin, source_id, service_id, message, details
		FROM event WHERE `+where+` ORDER BY at DESC, seq DESC LIMIT ?`, args...)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	slices.Reverse(events)
	return events, nil
}
