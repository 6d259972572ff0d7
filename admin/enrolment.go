package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// CreateJoinToken implements adminv1.AdminServer.
func (s *Server) CreateJoinToken(ctx context.Context, req *adminv1.CreateJoinTokenRequest) (*adminv1.CreateJoinTokenResponse, error) {
	minted, err := s.core.MintToken(ctx, actor(ctx), core.TokenInput{
		Tenant: req.GetTenant(), Name: req.GetName(), Partition: req.GetPartition(),
		GatewayAddr: req.GetGatewayAddr(), Life: req.GetTtl().AsDuration(),
	})
	if err != nil {
		return nil, err
	}
	service, _ := serviceMessage(minted.Service, nil)
	return &adminv1.CreateJoinTokenResponse{
		JoinToken: tokenMessage(core.TenantToken{JoinToken: minted.JoinToken, Tenant: minted.Service.Tenant, State: core.TokenGood}),
		Service:   service, Token: minted.Text,
		GatewayAddr: minted.GatewayAddr, GatewayServerName: minted.GatewayServerName,
		CaUrl: minted.CAURL, RootFingerprint: minted.RootFingerprint,
	}, nil
}

// ListJoinTokens implements adminv1.AdminServer.
func (s *Server) ListJoinTokens(ctx context.Context, req *adminv1.ListJoinTokensRequest) (*adminv1.ListJoinTokensResponse, error) {
	tokens, err := s.core.JoinTokens(ctx, req.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListJoinTokensResponse{}
	for _, token := range tokens {
		answer.Tokens = append(answer.Tokens, tokenMessage(token))
	}
	return answer, nil
}

// CancelJoinToken implements adminv1.AdminServer.
func (s *Server) CancelJoinToken(ctx context.Context, req *adminv1.CancelJoinTokenRequest) (*adminv1.JoinToken, error) {
	token, err := s.core.CancelToken(ctx, actor(ctx), req.GetTenant(), req.GetId())
	if err != nil {
		return nil, err
	}
	return tokenMessage(token), nil
}

// IssueEnrolmentCA implements adminv1.AdminServer.
func (s *Server) IssueEnrolmentCA(ctx context.Context, req *adminv1.IssueEnrolmentCARequest) (*adminv1.IssuedCertificate, error) {
	issued, err := s.core.IssueCA(ctx, actor(ctx), req.GetCsr())
	if err != nil {
		return nil, err
	}
	return certificateMessage(issued), nil
}

func tokenMessage(t core.TenantToken) *adminv1.JoinToken {
	return &adminv1.JoinToken{
		Id: t.ID, Tenant: t.Tenant.Slug, TenantId: t.Tenant.ID.String(),
		ComponentId: t.Component, Partition: t.Partition, ServiceId: t.ServiceID.String(),
		State: string(t.State), CreatedBy: t.CreatedBy,
		CreatedAt: at(t.CreatedAt), ExpiresAt: at(t.ExpiresAt), UsedAt: at(t.UsedAt), CancelledAt: at(t.CancelledAt),
	}
}
