package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// ListRestorations implements adminv1.AdminServer.
func (s *Server) ListRestorations(ctx context.Context, _ *adminv1.ListRestorationsRequest) (*adminv1.ListRestorationsResponse, error) {
	restorations, err := s.core.Restorations(ctx)
	return restorationsMessage(restorations), err
}

// SettleRestorations implements adminv1.AdminServer.
func (s *Server) SettleRestorations(ctx context.Context, _ *adminv1.SettleRestorationsRequest) (*adminv1.ListRestorationsResponse, error) {
	settled, err := s.core.SettleRestorations(ctx, actor(ctx))
	return restorationsMessage(settled), err
}

func restorationsMessage(restorations []core.Restoration) *adminv1.ListRestorationsResponse {
	answer := &adminv1.ListRestorationsResponse{}
	for _, r := range restorations {
		answer.Restorations = append(answer.Restorations, &adminv1.Restoration{
			Id: r.ID.String(), BackupAt: at(r.BackupAt), RestoredAt: at(r.RestoredAt),
			SettledAt: at(r.SettledAt), SettledBy: r.SettledBy,
		})
	}
	return answer
}
