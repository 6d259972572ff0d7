package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// TraceDevice implements adminv1.AdminServer.
func (s *Server) TraceDevice(ctx context.Context, req *adminv1.TraceDeviceRequest) (*adminv1.DeviceTrace, error) {
	trace, err := s.core.TraceDevice(ctx, actor(ctx), core.TraceQuery{
		Tenant: req.GetTenant(), Query: req.GetQuery(), By: req.GetBy(), Source: req.GetSource(), Stored: req.GetStoredOnly(),
	})
	if err != nil {
		return nil, err
	}
	answer := &adminv1.DeviceTrace{
		Tenant: trace.Tenant.Slug, TenantId: trace.Tenant.ID.String(), Query: trace.Query, By: trace.By,
		Verdict: string(trace.Verdict), Reason: string(trace.Reason), Summary: trace.Summary, Next: trace.Next,
	}
	for _, device := range trace.Devices {
		answer.Devices = append(answer.Devices, deviceMessage(device))
	}
	for _, one := range trace.Sources {
		answer.Sources = append(answer.Sources, sourceTraceMessage(one))
	}
	return answer, nil
}

func sourceTraceMessage(t core.SourceTrace) *adminv1.SourceTrace {
	message := &adminv1.SourceTrace{
		Source: t.Source.Name, SourceId: t.Source.ID.String(), SourceType: t.Source.Type,
		Service: t.Service.Name, ServiceId: optionalID(t.Service.ID), ServiceStatus: string(t.Service.Status),
		Verdict: string(t.Verdict), Reason: string(t.Reason), Summary: t.Summary, Next: t.Next, RunId: t.RunID, TraceId: t.TraceID,
	}
	for _, step := range t.Steps {
		message.Steps = append(message.Steps, &adminv1.TraceStep{
			Stage: string(step.Stage), State: string(step.State), Text: step.Text, At: at(step.At), List: step.List,
			Page: count(step.Page), Place: count(step.Place), Chunk: count(step.Chunk), Chunks: count(step.Chunks),
		})
	}
	return message
}
