package admin

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// CreateSource implements adminv1.AdminServer.
func (s *Server) CreateSource(ctx context.Context, req *adminv1.CreateSourceRequest) (*adminv1.Source, error) {
	return sourceMessage(s.core.CreateSource(ctx, actor(ctx), core.SourceInput{
		Tenant: req.GetTenant(), Spec: specOf(req.GetSpec()), Service: req.GetService(),
		Disabled: req.GetDisabled(), Credentials: req.GetCredentials(),
	}))
}

// ListSources implements adminv1.AdminServer.
func (s *Server) ListSources(ctx context.Context, req *adminv1.ListSourcesRequest) (*adminv1.ListSourcesResponse, error) {
	sources, err := s.core.Sources(ctx, req.GetTenant(), req.GetSyncServiceId())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListSourcesResponse{}
	for _, source := range sources {
		message, _ := sourceMessage(source, nil)
		answer.Sources = append(answer.Sources, message)
	}
	return answer, nil
}

// GetSource implements adminv1.AdminServer.
func (s *Server) GetSource(ctx context.Context, req *adminv1.GetSourceRequest) (*adminv1.Source, error) {
	return sourceMessage(s.core.Source(ctx, req.GetTenant(), req.GetSource()))
}

// UpdateSource implements adminv1.AdminServer.
func (s *Server) UpdateSource(ctx context.Context, req *adminv1.UpdateSourceRequest) (*adminv1.Source, error) {
	return sourceMessage(s.core.UpdateSource(ctx, actor(ctx), core.SourceUpdate{
		Tenant: req.GetTenant(), Source: req.GetSource(), Spec: specOf(req.GetSpec()),
		Service: req.GetService(), Credentials: req.GetCredentials(), IfUpdatedAt: timeOf(req.GetIfUpdatedAt()),
	}))
}

// SetSourceEnabled implements adminv1.AdminServer.
func (s *Server) SetSourceEnabled(ctx context.Context, req *adminv1.SetSourceEnabledRequest) (*adminv1.Source, error) {
	return sourceMessage(s.core.SetSourceEnabled(ctx, actor(ctx), req.GetTenant(), req.GetSource(), req.GetEnabled()))
}

// RemoveSource implements adminv1.AdminServer.
func (s *Server) RemoveSource(ctx context.Context, req *adminv1.RemoveSourceRequest) (*adminv1.RemoveSourceResponse, error) {
	if err := s.core.RemoveSource(ctx, actor(ctx), req.GetTenant(), req.GetSource()); err != nil {
		return nil, err
	}
	return &adminv1.RemoveSourceResponse{}, nil
}

func specOf(m *adminv1.SourceSpec) core.SourceSpec {
	spec := core.SourceSpec{
		Name: m.GetName(), Type: m.GetSourceType(), Endpoint: m.GetEndpoint(), Partition: m.GetPartition(),
		PollInterval:      m.GetPollInterval().AsDuration(),
		DiscoveryInterval: m.GetDiscoveryInterval().AsDuration(),
		SweepInterval:     m.GetSweepInterval().AsDuration(),
		PageSize:          int(m.GetPageSize()), BatchSize: int(m.GetBatchSize()),
		NetworkBlacklist: m.GetNetworkBlacklist(), CustomField: m.GetCustomField(), Settings: m.GetSettings(),
		InsecureSkipVerify: m.GetInsecureSkipVerify(), Confidence: int(m.GetConfidence()),
	}
	for _, query := range m.GetQueries() {
		spec.Queries = append(spec.Queries, core.Query{
			Label: query.GetLabel(), Query: query.GetQuery(), SweepModes: query.GetSweepModes(),
		})
	}
	return spec
}

func sourceMessage(v core.SourceView, err error) (*adminv1.Source, error) {
	if err != nil {
		return nil, err
	}
	held := int64(0)
	for _, h := range v.Holds {
		held += h.Retractions
	}
	return &adminv1.Source{
		HeldRetractions: held,
		Id:              v.ID.String(), Tenant: v.Tenant.Slug, TenantId: v.Tenant.ID.String(),
		Spec: specMessage(v.Source), Enabled: v.Enabled,
		SyncServiceId: v.SyncServiceID.String(), SyncServiceName: v.ServiceName,
		CredentialKeys: v.CredentialKeys, CreatedAt: at(v.CreatedAt), UpdatedAt: at(v.UpdatedAt),
		LastSyncAt: at(v.Stats.LastSyncAt), LastSyncResult: v.Stats.LastResult,
		LastDeviceCount: v.Stats.LastDeviceCount, LastErrorMessage: v.Stats.LastError,
		ConsecutiveFailures: int32(v.Stats.ConsecutiveFailures), TotalSyncs: v.Stats.TotalSyncs,
	}, nil
}

func specMessage(source core.Source) *adminv1.SourceSpec {
	spec := &adminv1.SourceSpec{
		Name: source.Name, SourceType: source.Type, Endpoint: source.Endpoint, Partition: source.Partition,
		PollInterval:      interval(source.PollInterval),
		DiscoveryInterval: interval(source.DiscoveryInterval),
		SweepInterval:     interval(source.SweepInterval),
		PageSize:          int32(source.PageSize), BatchSize: int32(source.BatchSize),
		NetworkBlacklist: source.NetworkBlacklist, CustomField: source.CustomField, Settings: source.Settings,
		InsecureSkipVerify: source.InsecureSkipVerify, Confidence: int32(source.Confidence),
	}
	for _, query := range source.Queries {
		spec.Queries = append(spec.Queries, &adminv1.Query{
			Label: query.Label, Query: query.Query, SweepModes: query.SweepModes,
		})
	}
	return spec
}

// at is a time as it travels: absent for one that never was.
func at(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// interval is a duration as it travels: absent for none.
func interval(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
