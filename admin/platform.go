package admin

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// Bootstrap implements adminv1.AdminServer.
func (s *Server) Bootstrap(ctx context.Context, req *adminv1.BootstrapRequest) (*adminv1.BootstrapResponse, error) {
	info, created, err := s.core.Bootstrap(ctx, actor(ctx), core.BootstrapInput{
		PlatformSlug: req.GetPlatformSlug(), TrustDomain: req.GetTrustDomain(),
		GatewayAddr: req.GetGatewayAddr(), CAAddr: req.GetCaAddr(),
	})
	if err != nil {
		return nil, err
	}
	return &adminv1.BootstrapResponse{Platform: platformMessage(info), Created: created}, nil
}

// GetPlatform implements adminv1.AdminServer.
func (s *Server) GetPlatform(ctx context.Context, _ *adminv1.GetPlatformRequest) (*adminv1.Platform, error) {
	info, err := s.core.PlatformInfo(ctx)
	if err != nil {
		return nil, err
	}
	return platformMessage(info), nil
}

func platformMessage(p core.PlatformInfo) *adminv1.Platform {
	return &adminv1.Platform{
		PlatformTenantId: p.TenantID.String(), PlatformSlug: p.Slug, TrustDomain: p.TrustDomain,
		GatewayAddr: p.GatewayAddr, CaAddr: p.CAAddr,
		RootFingerprint: p.RootFingerprint, RootPem: string(p.RootPEM),
		GatewayServerName: p.GatewayServerName, CreatedAt: at(p.CreatedAt),
	}
}

// IssueGateway implements adminv1.AdminServer.
func (s *Server) IssueGateway(ctx context.Context, req *adminv1.IssueGatewayRequest) (*adminv1.IssuedCertificate, error) {
	issued, err := s.core.IssueGateway(ctx, actor(ctx), req.GetCsr())
	if err != nil {
		return nil, err
	}
	return certificateMessage(issued), nil
}

func certificateMessage(c core.IssuedCertificate) *adminv1.IssuedCertificate {
	return &adminv1.IssuedCertificate{
		CertificateChainPem: string(c.ChainPEM), CaChainPem: string(c.CAChainPEM),
		Serial: c.Serial, NotAfter: timestamppb.New(c.NotAfter),
	}
}

// CreateTenant implements adminv1.AdminServer.
func (s *Server) CreateTenant(ctx context.Context, req *adminv1.CreateTenantRequest) (*adminv1.Tenant, error) {
	return tenantMessage(s.core.CreateTenant(ctx, actor(ctx), core.TenantInput{
		Slug: req.GetSlug(), Name: req.GetName(), NoPlatformSync: req.GetNoPlatformSync(),
	}))
}

// ListTenants implements adminv1.AdminServer.
func (s *Server) ListTenants(ctx context.Context, _ *adminv1.ListTenantsRequest) (*adminv1.ListTenantsResponse, error) {
	tenants, err := s.core.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListTenantsResponse{}
	only := onlyTenant(ctx)
	for _, tenant := range tenants {
		if only != "" && tenant.Slug != only {
			continue
		}
		message, _ := tenantMessage(tenant, nil)
		answer.Tenants = append(answer.Tenants, message)
	}
	return answer, nil
}

// GetTenant implements adminv1.AdminServer.
func (s *Server) GetTenant(ctx context.Context, req *adminv1.GetTenantRequest) (*adminv1.Tenant, error) {
	return tenantMessage(s.core.Tenant(ctx, req.GetSlug()))
}

// SuspendTenant implements adminv1.AdminServer.
func (s *Server) SuspendTenant(ctx context.Context, req *adminv1.SuspendTenantRequest) (*adminv1.Tenant, error) {
	return tenantMessage(s.core.SuspendTenant(ctx, actor(ctx), req.GetSlug(), req.GetResume()))
}

// RemoveTenant implements adminv1.AdminServer.
func (s *Server) RemoveTenant(ctx context.Context, req *adminv1.RemoveTenantRequest) (*adminv1.RemoveTenantResponse, error) {
	if err := s.core.RemoveTenant(ctx, actor(ctx), req.GetSlug()); err != nil {
		return nil, err
	}
	return &adminv1.RemoveTenantResponse{}, nil
}

func tenantMessage(t core.Tenant, err error) (*adminv1.Tenant, error) {
	if err != nil {
		return nil, err
	}
	return &adminv1.Tenant{
		Id: t.ID.String(), Slug: t.Slug, Name: t.Name, IsPlatform: t.IsPlatform,
		State: string(t.State), PlatformSync: t.PlatformSync, CreatedAt: at(t.CreatedAt),
	}, nil
}
