package admin

import (
	"google.golang.org/grpc"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// Watch implements adminv1.AdminServer.
func (s *Server) Watch(req *adminv1.WatchRequest, stream grpc.ServerStreamingServer[adminv1.WatchUpdate]) error {
	query := core.WatchQuery{Tenant: req.GetTenant(), Events: int(req.GetEvents())}
	who, _ := callerOf(stream.Context())
	return s.core.Watch(stream.Context(), query, func(update core.WatchUpdate) error {
		message := watchMessage(update)
		if update.Platform != nil && who.operator != nil {
			message.Caller = operatorMessage(*who.operator)
		}
		return stream.Send(message)
	})
}

func watchMessage(u core.WatchUpdate) *adminv1.WatchUpdate {
	m := &adminv1.WatchUpdate{
		Time: at(u.Time), RemovedTenants: u.Removed,
		PlatformServicesChanged: u.SharedChanged, EventsMissed: u.EventsMissed,
	}
	if u.Platform != nil {
		m.Platform = platformMessage(*u.Platform)
	}
	for _, summary := range u.Tenants {
		m.Tenants = append(m.Tenants, summaryMessage(summary))
	}
	for _, service := range u.Shared {
		message, _ := serviceMessage(service, nil)
		m.PlatformServices = append(m.PlatformServices, message)
	}
	for _, event := range u.Events {
		m.Events = append(m.Events, eventMessage(event))
	}
	return m
}

func summaryMessage(s core.Summary) *adminv1.TenantSummary {
	tenant, _ := tenantMessage(s.Tenant, nil)
	m := &adminv1.TenantSummary{Tenant: tenant, DeviceCount: s.Devices, UpdatesReceived: s.Updates}
	for _, service := range s.Services {
		message, _ := serviceMessage(service, nil)
		m.Services = append(m.Services, message)
	}
	for _, source := range s.Sources {
		message, _ := sourceMessage(source, nil)
		m.Sources = append(m.Sources, message)
	}
	return m
}
