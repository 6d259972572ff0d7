package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// ImportSources implements adminv1.AdminServer.
func (s *Server) ImportSources(ctx context.Context, req *adminv1.ImportSourcesRequest) (*adminv1.ImportSourcesResponse, error) {
	in := core.ImportInput{Tenant: req.GetTenant(), Service: req.GetService(), DryRun: req.GetDryRun()}
	for _, source := range req.GetSources() {
		in.Sources = append(in.Sources, core.ImportSource{Spec: specOf(source.GetSpec()), Credentials: source.GetCredentials()})
	}
	outcomes, err := s.core.ImportSources(ctx, actor(ctx), in)
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ImportSourcesResponse{}
	for _, outcome := range outcomes {
		answer.Outcomes = append(answer.Outcomes, &adminv1.ImportOutcome{Name: outcome.Name, Result: string(outcome.Result), Reason: outcome.Reason})
	}
	return answer, nil
}
