package admin

import (
	"context"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/payload"
)

// SyncNow implements adminv1.AdminServer.
func (s *Server) SyncNow(req *adminv1.SyncNowRequest, stream grpc.ServerStreamingServer[adminv1.SyncNowProgress]) error {
	ctx := stream.Context()
	in := core.SyncNowInput{Tenant: req.GetTenant(), Service: req.GetService(), Source: req.GetSource()}
	return s.core.SyncNow(ctx, actor(ctx), in, func(progress core.SyncProgress) error {
		return stream.Send(progressMessage(progress))
	})
}

func progressMessage(p core.SyncProgress) *adminv1.SyncNowProgress {
	message := &adminv1.SyncNowProgress{
		Total: count(p.Total), Done: count(p.Done), Failed: count(p.Failed),
		Devices: p.Devices, Acknowledged: p.Acknowledged, Finished: p.Finished,
	}
	for _, source := range p.Changed {
		message.Sources = append(message.Sources, &adminv1.SyncedSource{
			SourceId: source.SourceID, Tenant: source.Tenant, Name: source.Name, State: source.State,
			Result: source.Result, Devices: source.Devices, Acknowledged: source.Acknowledged, Error: source.Error,
		})
	}
	return message
}

// count is what a service counted, which may be anything.
func count(n int) int32 { return int32(min(n, math.MaxInt32)) }

// TestSource implements adminv1.AdminServer.
func (s *Server) TestSource(ctx context.Context, req *adminv1.TestSourceRequest) (*adminv1.TestSourceResponse, error) {
	result, err := s.test(ctx, req)
	if err != nil {
		return nil, err
	}
	answer := &adminv1.TestSourceResponse{
		Ok: result.OK, Reason: result.Reason, Message: result.Message, Total: result.Total,
		Took: durationpb.New(time.Duration(min(result.Milliseconds, int64(time.Hour/time.Millisecond))) * time.Millisecond),
	}
	for _, d := range result.Samples {
		answer.Samples = append(answer.Samples, &adminv1.SampleDevice{
			NativeId: d.NativeID, Hostname: d.Hostname, Ip: d.IP, Mac: d.MAC,
			DeviceType: d.DeviceType, Manufacturer: d.Vendor, Model: d.Model,
		})
	}
	return answer, nil
}

func (s *Server) test(ctx context.Context, req *adminv1.TestSourceRequest) (payload.SourceTestResult, error) {
	if req.GetSpec() == nil {
		return s.core.TestSource(ctx, actor(ctx), req.GetTenant(), req.GetSource())
	}
	return s.core.TestDraft(ctx, actor(ctx), core.SourceDraft{
		Tenant: req.GetTenant(), Source: req.GetSource(), Spec: specOf(req.GetSpec()),
		Service: req.GetService(), Credentials: req.GetCredentials(),
	})
}
