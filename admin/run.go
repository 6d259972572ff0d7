package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// ListRuns implements adminv1.AdminServer.
func (s *Server) ListRuns(ctx context.Context, req *adminv1.ListRunsRequest) (*adminv1.ListRunsResponse, error) {
	runs, err := s.core.Runs(ctx, core.RunQuery{
		Tenant: req.GetTenant(), Source: req.GetSource(), Service: req.GetService(), Limit: int(req.GetLimit()),
	})
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListRunsResponse{}
	for _, run := range runs {
		answer.Runs = append(answer.Runs, &adminv1.Run{
			Id: run.ID, Tenant: run.Tenant.Slug, Source: run.SourceName, SourceId: run.SourceID.String(), Mode: run.Mode,
			StartedAt: at(run.Started), FinishedAt: at(run.Finished), Result: run.Result, Devices: run.Devices,
			Received: run.Received, Total: run.Total, Deleted: run.Deleted, Refused: run.Refused,
			Retracted: run.Retracted, Error: run.Error, Stage: run.Stage, Complete: run.Complete,
			Chunks: count(run.Chunks), TotalChunks: count(run.TotalChunks), StoredAt: at(run.StoredAt),
			ServiceId: optionalID(run.ServiceID), TraceId: run.TraceID,
		})
	}
	return answer, nil
}
