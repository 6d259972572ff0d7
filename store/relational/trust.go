package relational

import (
	"context"
	"fmt"
	"time"

	"edgesync/core"
)

func (t Tenant) CertificateHistory(ctx context.Context) ([]core.Certificate, error) {
	found, err := All(ctx, t.s, scanCertificate, selectCertificate+`ORDER BY component, seq`)
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return found, nil
}

func (t Platform) Revocations(ctx context.Context, after time.Time) ([]core.Revocation, error) {
	scan := func(row Row) (r core.Revocation, err error) {
		return r, row.Scan(idColumn{&r.TenantID}, &r.Serial, timeColumn{&r.NotAfter})
	}
	found, err := All(ctx, t.s, scan, `
		SELECT tenant_id, serial, not_after FROM revocation WHERE not_after > ? ORDER BY tenant_id, serial`, micros(after))
	if err != nil {
		return nil, fmt.Errorf("list revocations: %w", err)
	}
	return found, nil
}

func (t Platform) PutRevocation(ctx context.Context, r core.Revocation) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO revocation (tenant_id, serial, not_after) VALUES (?, ?, ?)
		ON CONFLICT (tenant_id, serial) DO UPDATE SET not_after = excluded.not_after`,
		id(r.TenantID), r.Serial, micros(r.NotAfter))
	if err != nil {
		return fmt.Errorf("put revocation of certificate %s: %w", r.Serial, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicTenant, Tenant: r.TenantID})
	return nil
}

const selectOperator = `SELECT name, role, tenant_id, state, cert_serial, cert_expires_at, created_at FROM operator `

func scanOperator(row Row) (core.Operator, error) {
	var o core.Operator
	err := row.Scan(&o.Name, &o.Role, idColumn{&o.TenantID}, &o.State, &o.CertSerial,
		timeColumn{&o.CertExpiresAt}, timeColumn{&o.CreatedAt})
	return o, err
}

func (t Platform) Operators(ctx context.Context) ([]core.Operator, error) {
	found, err := All(ctx, t.s, scanOperator, selectOperator+`ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list operators: %w", err)
	}
	return found, nil
}

func (t Platform) Operator(ctx context.Context, name string) (core.Operator, error) {
	found, err := first(ctx, t.s, scanOperator, selectOperator+`WHERE name = ?`, name)
	if err != nil {
		return core.Operator{}, fmt.Errorf("read operator %q: %w", name, err)
	}
	return found, nil
}

func (t Platform) PutOperator(ctx context.Context, o core.Operator) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO operator (name, role, tenant_id, state, cert_serial, cert_expires_at, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET role = excluded.role, tenant_id = excluded.tenant_id,
			state = excluded.state, cert_serial = excluded.cert_serial,
			cert_expires_at = excluded.cert_expires_at, created_at = excluded.created_at`,
		o.Name, o.Role, id(o.TenantID), o.State, o.CertSerial, micros(o.CertExpiresAt), micros(o.CreatedAt))
	if err != nil {
		return fmt.Errorf("put operator %q: %w", o.Name, err)
	}
	return nil
}
