package admin

import (
	"context"

	adminv1 "edgesync/proto/admin/v1"
)

// ListRetractions implements adminv1.AdminServer.
func (s *Server) ListRetractions(ctx context.Context, req *adminv1.ListRetractionsRequest) (*adminv1.ListRetractionsResponse, error) {
	holds, err := s.core.Retractions(ctx, req.GetTenant(), req.GetSource())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListRetractionsResponse{}
	for _, h := range holds {
		answer.Retractions = append(answer.Retractions, &adminv1.HeldRetractions{
			Tenant: h.Tenant.Slug, Source: h.SourceName, SourceId: h.Source, Kind: string(h.Kind),
			RunId: h.Run.ID, RunStarted: at(h.Run.Started), HeldAt: at(h.At), Retractions: h.Retractions, Living: h.Living,
		})
	}
	return answer, nil
}

// ReleaseRetractions implements adminv1.AdminServer.
func (s *Server) ReleaseRetractions(ctx context.Context, req *adminv1.SettleRetractionsRequest) (*adminv1.SettleRetractionsResponse, error) {
	return settled(s.core.ReleaseRetractions(ctx, actor(ctx), req.GetTenant(), req.GetSource()))
}

// RejectRetractions implements adminv1.AdminServer.
func (s *Server) RejectRetractions(ctx context.Context, req *adminv1.SettleRetractionsRequest) (*adminv1.SettleRetractionsResponse, error) {
	return settled(s.core.RejectRetractions(ctx, actor(ctx), req.GetTenant(), req.GetSource()))
}

func settled(n int, err error) (*adminv1.SettleRetractionsResponse, error) {
	if err != nil {
		return nil, err
	}
	return &adminv1.SettleRetractionsResponse{Retractions: int64(n)}, nil
}
