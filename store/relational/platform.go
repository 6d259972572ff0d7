package relational

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"edgesync/core"
)

func (t Platform) Platform(ctx context.Context) (core.Platform, error) {
	var p core.Platform
	err := One(ctx, t.s, `SELECT tenant_id, slug, trust_domain, gateway_addr, ca_addr, created_at FROM platform`, nil,
		idColumn{&p.TenantID}, &p.Slug, &p.TrustDomain, &p.GatewayAddr, &p.CAAddr, timeColumn{&p.CreatedAt})
	if err != nil {
		return core.Platform{}, fmt.Errorf("read platform: %w", err)
	}
	return p, nil
}

func (t Platform) PutPlatform(ctx context.Context, p core.Platform) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO platform (id, tenant_id, slug, trust_domain, gateway_addr, ca_addr, created_at)
		VALUES (1, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET tenant_id = excluded.tenant_id, slug = excluded.slug,
			trust_domain = excluded.trust_domain, gateway_addr = excluded.gateway_addr,
			ca_addr = excluded.ca_addr, created_at = excluded.created_at`,
		id(p.TenantID), p.Slug, p.TrustDomain, p.GatewayAddr, p.CAAddr, micros(p.CreatedAt))
	if err != nil {
		return fmt.Errorf("put platform: %w", err)
	}
	return nil
}

const selectTenant = `SELECT id, slug, name, is_platform, state, platform_sync, created_at FROM tenant `

func scanTenant(row Row) (core.Tenant, error) {
	var t core.Tenant
	err := row.Scan(idColumn{&t.ID}, &t.Slug, &t.Name, &t.IsPlatform, &t.State, &t.PlatformSync, timeColumn{&t.CreatedAt})
	return t, err
}

func (t Platform) Tenants(ctx context.Context) ([]core.Tenant, error) {
	tenants, err := All(ctx, t.s, scanTenant, selectTenant+`ORDER BY slug`)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return tenants, nil
}

func (t Platform) Tenant(ctx context.Context, tenant uuid.UUID) (core.Tenant, error) {
	found, err := first(ctx, t.s, scanTenant, selectTenant+`WHERE id = ?`, id(tenant))
	if err != nil {
		return core.Tenant{}, fmt.Errorf("read tenant %s: %w", tenant, err)
	}
	return found, nil
}

func (t Platform) TenantBySlug(ctx context.Context, slug string) (core.Tenant, error) {
	found, err := first(ctx, t.s, scanTenant, selectTenant+`WHERE slug = ?`, slug)
	if err != nil {
		return core.Tenant{}, fmt.Errorf("read tenant %q: %w", slug, err)
	}
	return found, nil
}

func (t Platform) PutTenant(ctx context.Context, tenant core.Tenant) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO tenant (id, slug, name, is_platform, state, platform_sync, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, name = excluded.name,
			is_platform = excluded.is_platform, state = excluded.state,
			platform_sync = excluded.platform_sync, created_at = excluded.created_at`,
		id(tenant.ID), tenant.Slug, tenant.Name, tenant.IsPlatform, tenant.State, tenant.PlatformSync, micros(tenant.CreatedAt))
	if err != nil {
		return fmt.Errorf("put tenant %q: %w", tenant.Slug, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicTenant, Tenant: tenant.ID})
	return nil
}

func (t Platform) DeleteTenant(ctx context.Context, tenant uuid.UUID) error {
	n, err := t.s.Exec(ctx, `DELETE FROM tenant WHERE id = ?`, id(tenant))
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	for _, statement := range []string{
		`DELETE FROM authority WHERE tenant_id = ?`,
		`DELETE FROM token_key WHERE tenant_id = ?`,
		`DELETE FROM assignment WHERE tenant_id = ?`,
		`DELETE FROM revocation WHERE tenant_id = ?`,
		`DELETE FROM operator WHERE tenant_id = ?`,
		`DELETE FROM command WHERE tenant_id = ?`,
	} {
		if err == nil {
			_, err = t.s.Exec(ctx, statement, id(tenant))
		}
	}
	if err != nil {
		return fmt.Errorf("delete tenant %s: %w", tenant, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicTenant, Tenant: tenant})
	return nil
}

func scanAuthority(row Row) (core.Authority, error) {
	var a core.Authority
	err := row.Scan(&a.KeyID, &a.Kind, idColumn{&a.TenantID}, &a.Certificate, &a.SealedKey, &a.State, timeColumn{&a.CreatedAt},
		timeColumn{&a.EndsAt}, &a.CrossCertificates)
	// As everywhere, what is empty is nil.
	if len(a.SealedKey) == 0 {
		a.SealedKey = nil
	}
	if len(a.CrossCertificates) == 0 {
		a.CrossCertificates = nil
	}
	return a, err
}

func (t Platform) Authorities(ctx context.Context) ([]core.Authority, error) {
	authorities, err := All(ctx, t.s, scanAuthority,
		`SELECT key_id, kind, tenant_id, certificate, sealed_key, state, created_at, ends_at, cross_certificates
			FROM authority ORDER BY created_at, key_id`)
	if err != nil {
		return nil, fmt.Errorf("list authorities: %w", err)
	}
	return authorities, nil
}

func (t Platform) PutAuthority(ctx context.Context, a core.Authority) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO authority (key_id, kind, tenant_id, certificate, sealed_key, state, created_at, ends_at, cross_certificates)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (key_id) DO UPDATE SET kind = excluded.kind, tenant_id = excluded.tenant_id,
			certificate = excluded.certificate, sealed_key = excluded.sealed_key,
			state = excluded.state, created_at = excluded.created_at, ends_at = excluded.ends_at,
			cross_certificates = excluded.cross_certificates`,
		a.KeyID, a.Kind, id(a.TenantID), blob(a.Certificate), blob(a.SealedKey), a.State, micros(a.CreatedAt),
		micros(a.EndsAt), blob(a.CrossCertificates))
	if err != nil {
		return fmt.Errorf("put authority %s: %w", a.KeyID, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicTenant, Tenant: a.TenantID})
	return nil
}

func (t Platform) AssignedTenants(ctx context.Context, service uuid.UUID) ([]uuid.UUID, error) {
	scan := func(row Row) (tenant uuid.UUID, err error) { return tenant, row.Scan(idColumn{&tenant}) }
	tenants, err := All(ctx, t.s, scan, `SELECT tenant_id FROM assignment WHERE service_id = ? ORDER BY tenant_id`, id(service))
	if err != nil {
		return nil, fmt.Errorf("list tenants assigned to service %s: %w", service, err)
	}
	return tenants, nil
}

func (t Platform) SetAssigned(ctx context.Context, service, tenant uuid.UUID, sources int) error {
	var err error
	if sources <= 0 {
		_, err = t.s.Exec(ctx, `DELETE FROM assignment WHERE service_id = ? AND tenant_id = ?`, id(service), id(tenant))
	} else {
		_, err = t.s.Exec(ctx, `
			INSERT INTO assignment (service_id, tenant_id, sources) VALUES (?, ?, ?)
			ON CONFLICT (service_id, tenant_id) DO UPDATE SET sources = excluded.sources`,
			id(service), id(tenant), sources)
	}
	if err != nil {
		return fmt.Errorf("set sources of tenant %s run by service %s: %w", tenant, service, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicConfig, Tenant: tenant})
	return nil
}
