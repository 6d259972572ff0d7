package admin

import (
	"context"

	"google.golang.org/grpc"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// The states of an assertion, as the API spells them.
const (
	assertionCurrent   = "current"
	assertionRetracted = "retracted"
)

// ListDevices implements adminv1.AdminServer.
func (s *Server) ListDevices(req *adminv1.ListDevicesRequest, stream grpc.ServerStreamingServer[adminv1.Device]) error {
	return s.core.Devices(stream.Context(), deviceQuery(req), func(device core.DeviceView) error {
		return stream.Send(deviceMessage(device))
	})
}

// CountDevices implements adminv1.AdminServer.
func (s *Server) CountDevices(ctx context.Context, req *adminv1.ListDevicesRequest) (*adminv1.CountDevicesResponse, error) {
	count, err := s.core.CountDevices(ctx, deviceQuery(req))
	if err != nil {
		return nil, err
	}
	return &adminv1.CountDevicesResponse{Count: count}, nil
}

// GetDevice implements adminv1.AdminServer.
func (s *Server) GetDevice(ctx context.Context, req *adminv1.GetDeviceRequest) (*adminv1.DeviceDetail, error) {
	detail, err := s.core.Device(ctx, req.GetTenant(), req.GetId())
	if err != nil {
		return nil, err
	}
	return detailMessage(detail), nil
}

func detailMessage(detail core.DeviceDetail) *adminv1.DeviceDetail {
	answer := &adminv1.DeviceDetail{Device: deviceMessage(detail.DeviceView)}
	for _, assertion := range detail.Assertions {
		answer.Assertions = append(answer.Assertions, assertionMessage(assertion))
	}
	return answer
}

func deviceQuery(req *adminv1.ListDevicesRequest) core.DeviceQuery {
	return core.DeviceQuery{
		Tenant: req.GetTenant(), Source: req.GetSource(), Search: req.GetSearch(),
		State: req.GetState(), Limit: req.GetLimit(),
	}
}

func deviceMessage(d core.DeviceView) *adminv1.Device {
	state := core.DeviceActive
	if d.Retracted {
		state = core.DeviceRetracted
	}
	return &adminv1.Device{
		Id: d.ID, Tenant: d.Tenant.Slug, TenantId: d.Tenant.ID.String(), Partition: d.Partition,
		Ip: d.IP, Mac: d.MAC, Hostname: d.Hostname, Sources: d.SourceNames,
		FirstSeen: at(d.FirstSeen), LastSeen: at(d.LastSeen), Available: d.Available, State: state,
		Ips: d.IPs, Macs: d.MACs, SerialNumber: d.SerialNumber, Manufacturer: d.Manufacturer,
		Model: d.Model, OperatingSystem: d.OS, DeviceType: d.DeviceType, Site: d.Site, Tags: d.Tags,
	}
}

func assertionMessage(a core.AssertionView) *adminv1.Assertion {
	state := assertionCurrent
	if a.Retracted() {
		state = assertionRetracted
	}
	return &adminv1.Assertion{
		Source: a.SourceName, SourceId: a.Source, Key: a.Key, HomeId: a.HomeID,
		FirstSeen: at(a.FirstSeen), LastSeen: at(a.LastSeen), RunId: a.Run.ID,
		Ips: a.Facts.IPs, Macs: a.Facts.MACs, Hostname: a.Facts.Hostname,
		SerialNumber: a.Facts.SerialNumber, Metadata: a.Facts.Metadata, State: state,
	}
}
