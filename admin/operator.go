package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// AddOperator implements adminv1.AdminServer.
func (s *Server) AddOperator(ctx context.Context, req *adminv1.AddOperatorRequest) (*adminv1.AddOperatorResponse, error) {
	operator, certificate, err := s.core.AddOperator(ctx, actor(ctx), core.OperatorInput{
		Name: req.GetName(), Role: core.Role(req.GetRole()), Tenant: req.GetTenant(), CSR: req.GetCsr(),
	})
	if err != nil {
		return nil, err
	}
	info, err := s.core.PlatformInfo(ctx)
	if err != nil {
		return nil, err
	}
	return &adminv1.AddOperatorResponse{
		Operator: operatorMessage(operator), Certificate: certificateMessage(certificate), ServerName: info.GatewayServerName,
		CaUrl: "https://" + info.CAAddr,
	}, nil
}

// ListOperators implements adminv1.AdminServer.
func (s *Server) ListOperators(ctx context.Context, req *adminv1.ListOperatorsRequest) (*adminv1.ListOperatorsResponse, error) {
	operators, err := s.core.Operators(ctx, req.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListOperatorsResponse{}
	for _, operator := range operators {
		answer.Operators = append(answer.Operators, operatorMessage(operator))
	}
	return answer, nil
}

// RevokeOperator implements adminv1.AdminServer.
func (s *Server) RevokeOperator(ctx context.Context, req *adminv1.RevokeOperatorRequest) (*adminv1.Operator, error) {
	operator, err := s.core.RevokeOperator(ctx, actor(ctx), req.GetTenant(), req.GetName())
	if err != nil {
		return nil, err
	}
	return operatorMessage(operator), nil
}

func operatorMessage(o core.OperatorView) *adminv1.Operator {
	return &adminv1.Operator{
		Name: o.Name, Role: string(o.Role), Tenant: o.Tenant, State: string(o.State),
		CertSerial: o.CertSerial, CertExpiresAt: at(o.CertExpiresAt), CreatedAt: at(o.CreatedAt),
	}
}
