package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// OnboardService implements adminv1.AdminServer.
func (s *Server) OnboardService(ctx context.Context, req *adminv1.OnboardServiceRequest) (*adminv1.OnboardServiceResponse, error) {
	done, err := s.core.Onboard(ctx, actor(ctx), core.OnboardInput{
		Tenant: req.GetTenant(), Name: req.GetName(), Partition: req.GetPartition(),
		CSR: req.GetCsr(), GatewayAddr: req.GetGatewayAddr(),
	})
	if err != nil {
		return nil, err
	}
	service, _ := serviceMessage(done.Service, nil)
	return &adminv1.OnboardServiceResponse{
		Service: service, Certificate: certificateMessage(done.Certificate),
		GatewayAddr: done.GatewayAddr, GatewayServerName: done.GatewayServerName,
		CaUrl: done.CAURL, RootFingerprint: done.RootFingerprint,
	}, nil
}

// ListServices implements adminv1.AdminServer.
func (s *Server) ListServices(ctx context.Context, req *adminv1.ListServicesRequest) (*adminv1.ListServicesResponse, error) {
	services, err := s.core.Services(ctx, req.GetTenant(), req.GetAvailable())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListServicesResponse{}
	for _, service := range services {
		message, _ := serviceMessage(service, nil)
		answer.Services = append(answer.Services, message)
	}
	return answer, nil
}

// GetService implements adminv1.AdminServer.
func (s *Server) GetService(ctx context.Context, req *adminv1.GetServiceRequest) (*adminv1.SyncService, error) {
	return serviceMessage(s.core.Service(ctx, req.GetTenant(), req.GetService()))
}

// RenameService implements adminv1.AdminServer.
func (s *Server) RenameService(ctx context.Context, req *adminv1.RenameServiceRequest) (*adminv1.SyncService, error) {
	return serviceMessage(s.core.RenameService(ctx, actor(ctx), req.GetTenant(), req.GetService(), req.GetName()))
}

// RevokeService implements adminv1.AdminServer.
func (s *Server) RevokeService(ctx context.Context, req *adminv1.RevokeServiceRequest) (*adminv1.SyncService, error) {
	return serviceMessage(s.core.RevokeService(ctx, actor(ctx), req.GetTenant(), req.GetService()))
}

// RemoveService implements adminv1.AdminServer.
func (s *Server) RemoveService(ctx context.Context, req *adminv1.RemoveServiceRequest) (*adminv1.RemoveServiceResponse, error) {
	if err := s.core.RemoveService(ctx, actor(ctx), req.GetTenant(), req.GetService()); err != nil {
		return nil, err
	}
	return &adminv1.RemoveServiceResponse{}, nil
}

func serviceMessage(v core.Service, err error) (*adminv1.SyncService, error) {
	if err != nil {
		return nil, err
	}
	return &adminv1.SyncService{
		Id: v.ID.String(), Tenant: v.Tenant.Slug, TenantId: v.Tenant.ID.String(),
		Name: v.Name, ComponentId: v.ComponentID, Partition: v.Partition,
		ServiceType: string(v.Type), IsPlatformSync: v.IsPlatformSync, Endpoint: v.Endpoint,
		Status: string(v.Status), State: string(v.State),
		LastHeartbeatAt: at(v.LastHeartbeatAt), FirstHelloAt: at(v.FirstHelloAt),
		Version: v.Version, Capabilities: v.Capabilities, Hostname: v.Hostname, Os: v.OS, Arch: v.Arch,
		CertExpiresAt: at(v.CertExpiresAt), CertSerial: v.CertSerial, CreatedAt: at(v.CreatedAt),
		SourceCount: int32(v.Sources), FailingSourceCount: int32(v.Failing),
		ConfigVersion: v.ConfigVersion, ConfigAppliedAt: at(v.ConfigAppliedAt),
		OutboxBytes: v.OutboxBytes, OutboxRuns: v.OutboxRuns,
	}, nil
}
