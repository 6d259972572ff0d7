package admin

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// ListEvents implements adminv1.AdminServer.
func (s *Server) ListEvents(ctx context.Context, req *adminv1.ListEventsRequest) (*adminv1.ListEventsResponse, error) {
	events, err := s.core.Events(ctx, eventQuery(req))
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListEventsResponse{}
	for _, event := range events {
		answer.Events = append(answer.Events, eventMessage(event))
	}
	return answer, nil
}

// TailEvents implements adminv1.AdminServer.
func (s *Server) TailEvents(req *adminv1.ListEventsRequest, stream grpc.ServerStreamingServer[adminv1.Event]) error {
	return s.core.TailEvents(stream.Context(), eventQuery(req), func(event core.TenantEvent) error {
		return stream.Send(eventMessage(event))
	})
}

// ExportEvents implements adminv1.AdminServer.
func (s *Server) ExportEvents(req *adminv1.ExportEventsRequest, stream grpc.ServerStreamingServer[adminv1.ExportedEvents]) error {
	query := core.ExportQuery{Tenant: req.GetTenant(), Follow: req.GetFollow(), After: map[uuid.UUID]int64{}}
	for _, position := range req.GetAfter() {
		id, err := uuid.Parse(position.GetTenantId())
		if err != nil || position.GetSequence() < 0 {
			return status.Error(codes.InvalidArgument, "export events: a position to go on from is none: begin anew, without the cursor")
		}
		query.After[id] = position.GetSequence()
	}
	return s.core.ExportEvents(stream.Context(), query, func(events []core.ExportedEvent) error {
		message := &adminv1.ExportedEvents{}
		for _, event := range events {
			message.Events = append(message.Events, &adminv1.ExportedEvent{Sequence: event.Sequence, Event: eventMessage(event.TenantEvent)})
		}
		return stream.Send(message)
	})
}

func eventQuery(req *adminv1.ListEventsRequest) core.EventQuery {
	return core.EventQuery{
		Tenant: req.GetTenant(), TypePrefix: req.GetType(),
		Since: timeOf(req.GetSince()), Limit: int(req.GetLimit()),
	}
}

func eventMessage(e core.TenantEvent) *adminv1.Event {
	return &adminv1.Event{
		Id: e.ID.String(), Time: at(e.Time), Tenant: e.Tenant.Slug, TenantId: e.Tenant.ID.String(),
		Type: e.Type, Severity: string(e.Severity), Actor: e.Actor.Name, Origin: e.Actor.Origin,
		SourceId: optionalID(e.SourceID), ServiceId: optionalID(e.ServiceID),
		Message: e.Message, Details: e.Details,
	}
}

func optionalID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}
