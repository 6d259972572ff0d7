package admin

import (
	"context"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// ListCertificates implements adminv1.AdminServer.
func (s *Server) ListCertificates(ctx context.Context, req *adminv1.ListCertificatesRequest) (*adminv1.ListCertificatesResponse, error) {
	certificates, err := s.core.Certificates(ctx, core.CertificateQuery{
		Tenant: req.GetTenant(), Old: req.GetOld(), History: req.GetHistory(),
	})
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListCertificatesResponse{}
	for _, c := range certificates {
		answer.Certificates = append(answer.Certificates, &adminv1.Certificate{
			Tenant: c.Tenant.Slug, TenantId: c.Tenant.ID.String(), Serial: c.Serial, Issuer: c.Issuer,
			Type: string(c.Type), Partition: c.Partition, ComponentId: c.Component,
			IssuedAt: at(c.IssuedAt), NotAfter: at(c.NotAfter), RevokedAt: at(c.RevokedAt), Reason: c.Reason,
			State: c.State, Latest: c.Latest, OldIssuer: c.OldIssuer, OldRoot: c.OldRoot,
		})
	}
	return answer, nil
}

// ListAuthorities implements adminv1.AdminServer.
func (s *Server) ListAuthorities(ctx context.Context, req *adminv1.ListAuthoritiesRequest) (*adminv1.ListAuthoritiesResponse, error) {
	authorities, err := s.core.Authorities(ctx, req.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListAuthoritiesResponse{}
	for _, a := range authorities {
		answer.Authorities = append(answer.Authorities, &adminv1.Authority{
			KeyId: a.KeyID, Kind: string(a.Kind), Tenant: a.Tenant, State: string(a.State),
			CreatedAt: at(a.CreatedAt), NotAfter: at(a.NotAfter), EndsAt: at(a.EndsAt), Holders: int32(a.Holders),
		})
	}
	return answer, nil
}

// RotateAuthority implements adminv1.AdminServer.
func (s *Server) RotateAuthority(ctx context.Context, req *adminv1.RotateAuthorityRequest) (*adminv1.Rotation, error) {
	return rotationMessage(s.core.RotateTenant(ctx, actor(ctx), req.GetTenant(), req.GetLeaked()))
}

// RotateRoot implements adminv1.AdminServer.
func (s *Server) RotateRoot(ctx context.Context, req *adminv1.RotateRootRequest) (*adminv1.Rotation, error) {
	return rotationMessage(s.core.RotateRoot(ctx, actor(ctx), req.GetLeaked()))
}

func rotationMessage(r core.Rotation, err error) (*adminv1.Rotation, error) {
	if err != nil {
		return nil, err
	}
	return &adminv1.Rotation{Tenant: r.Tenant, OldKeyId: r.OldKeyID, NewKeyId: r.Next, EndsAt: at(r.EndsAt)}, nil
}
