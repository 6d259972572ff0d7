package relational

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

func scanTokenKey(row Row) (core.TokenKey, error) {
	var k core.TokenKey
	err := row.Scan(idColumn{&k.TenantID}, &k.KeyID, &k.SealedKey, timeColumn{&k.CreatedAt})
	return k, err
}

const selectTokenKey = `SELECT tenant_id, key_id, sealed_key, created_at FROM token_key `

func (t Platform) TokenKey(ctx context.Context, tenant uuid.UUID) (core.TokenKey, error) {
	key, err := first(ctx, t.s, scanTokenKey, selectTokenKey+`WHERE tenant_id = ?`, id(tenant))
	if err != nil {
		return core.TokenKey{}, fmt.Errorf("read token key of tenant %s: %w", tenant, err)
	}
	return key, nil
}

func (t Platform) TokenKeyByID(ctx context.Context, keyID string) (core.TokenKey, error) {
	key, err := first(ctx, t.s, scanTokenKey, selectTokenKey+`WHERE key_id = ?`, keyID)
	if err != nil {
		return core.TokenKey{}, fmt.Errorf("read token key %q: %w", keyID, err)
	}
	return key, nil
}

func (t Platform) AddTokenKey(ctx context.Context, k core.TokenKey) error {
	_, err := t.s.Exec(ctx, `INSERT INTO token_key (tenant_id, key_id, sealed_key, created_at) VALUES (?, ?, ?, ?)`,
		id(k.TenantID), k.KeyID, blob(k.SealedKey), micros(k.CreatedAt))
	if err != nil {
		return fmt.Errorf("add token key of tenant %s: %w", k.TenantID, err)
	}
	return nil
}

func (t Platform) TenantAuthorities(ctx context.Context, tenant uuid.UUID) ([]core.Authority, error) {
	authorities, err := All(ctx, t.s, scanAuthority, `
		SELECT key_id, kind, tenant_id, certificate, sealed_key, state, created_at, ends_at, cross_certificates
		FROM authority WHERE tenant_id = ? ORDER BY created_at, key_id`, id(tenant))
	if err != nil {
		return nil, fmt.Errorf("list authorities of tenant %s: %w", tenant, err)
	}
	return authorities, nil
}

func (t Tenant) ServicesCalled(ctx context.Context, name, component string) ([]core.SyncService, error) {
	services, err := All(ctx, t.s, scanService, selectService+`WHERE name = ? OR component_id = ? ORDER BY name, id`, name, component)
	if err != nil {
		return nil, fmt.Errorf("list services called %q: %w", name, err)
	}
	return services, nil
}

func (t Tenant) AddJoinToken(ctx context.Context, k core.JoinToken) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO join_token (id, service_id, component, partition, created_by, created_at, expires_at,
			used_at, used_key, cancelled_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, id(k.ServiceID), k.Component, k.Partition, k.CreatedBy, micros(k.CreatedAt), k.ExpiresAt.UnixMicro(),
		micros(k.UsedAt), k.UsedKey, micros(k.CancelledAt))
	if err != nil {
		return fmt.Errorf("add join token %s: %w", k.ID, err)
	}
	return nil
}

const selectJoinToken = `
	SELECT id, service_id, component, partition, created_by, created_at, expires_at, used_at, used_key, cancelled_at
	FROM join_token `

func scanJoinToken(row Row) (core.JoinToken, error) {
	var k core.JoinToken
	err := row.Scan(&k.ID, idColumn{&k.ServiceID}, &k.Component, &k.Partition, &k.CreatedBy, timeColumn{&k.CreatedAt},
		timeColumn{&k.ExpiresAt}, timeColumn{&k.UsedAt}, &k.UsedKey, timeColumn{&k.CancelledAt})
	return k, err
}

func (t Tenant) JoinToken(ctx context.Context, tokenID string) (core.JoinToken, error) {
	token, err := first(ctx, t.s, scanJoinToken, selectJoinToken+`WHERE id = ?`, tokenID)
	if err != nil {
		return core.JoinToken{}, fmt.Errorf("read join token %q: %w", tokenID, err)
	}
	return token, nil
}

func (t Tenant) JoinTokens(ctx context.Context) ([]core.JoinToken, error) {
	tokens, err := All(ctx, t.s, scanJoinToken, selectJoinToken+`ORDER BY created_at DESC, seq DESC`)
	if err != nil {
		return nil, fmt.Errorf("list join tokens: %w", err)
	}
	return tokens, nil
}

// UseJoinToken is one statement: of any number of callers, in any number of
// processes, one changes the row.
func (t Tenant) UseJoinToken(ctx context.Context, tokenID, key string, at time.Time) (bool, error) {
	n, err := t.s.Exec(ctx, `
		UPDATE join_token SET used_at = ?, used_key = ?
		WHERE id = ? AND used_at IS NULL AND cancelled_at IS NULL AND expires_at > ?`,
		at.UnixMicro(), key, tokenID, at.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("use join token %q: %w", tokenID, err)
	}
	return n == 1, nil
}

func (t Tenant) RedeemedJoinToken(ctx context.Context, component, key string) (core.JoinToken, error) {
	token, err := first(ctx, t.s, scanJoinToken, selectJoinToken+`
		WHERE component = ? AND used_key = ? AND used_at IS NOT NULL ORDER BY used_at DESC, seq DESC LIMIT 1`, component, key)
	if err != nil {
		return core.JoinToken{}, fmt.Errorf("read redeemed join token of %q: %w", component, err)
	}
	return token, nil
}

func (t Tenant) CancelJoinTokens(ctx context.Context, component string, at time.Time) (int, error) {
	var good int
	err := One(ctx, t.s, `
		SELECT count(*) FROM join_token
		WHERE component = ? AND used_at IS NULL AND cancelled_at IS NULL AND expires_at > ?`,
		[]any{component, at.UnixMicro()}, &good)
	if err == nil {
		_, err = t.s.Exec(ctx, `UPDATE join_token SET cancelled_at = ? WHERE component = ? AND cancelled_at IS NULL`, at.UnixMicro(), component)
	}
	if err != nil {
		return 0, fmt.Errorf("cancel join tokens of %q: %w", component, err)
	}
	return good, nil
}

func (t Tenant) UseOnce(ctx context.Context, once string, until time.Time) (bool, error) {
	n, err := t.s.Exec(ctx, `INSERT INTO used_once (id, until) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`, once, until.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("use id once: %w", err)
	}
	return n == 1, nil
}

func (t Tenant) AddCertificate(ctx context.Context, c core.Certificate) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO certificate (serial, issuer, type, partition, component, issued_at, not_after, revoked_at, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.Serial, c.Issuer, c.Type, c.Partition, c.Component, micros(c.IssuedAt), c.NotAfter.UnixMicro(), micros(c.RevokedAt), c.Reason)
	if err != nil {
		return fmt.Errorf("add certificate %s: %w", c.Serial, err)
	}
	return nil
}

const selectCertificate = `
	SELECT serial, issuer, type, partition, component, issued_at, not_after, revoked_at, reason
	FROM certificate `

func scanCertificate(row Row) (core.Certificate, error) {
	var c core.Certificate
	err := row.Scan(&c.Serial, &c.Issuer, &c.Type, &c.Partition, &c.Component,
		timeColumn{&c.IssuedAt}, timeColumn{&c.NotAfter}, timeColumn{&c.RevokedAt}, &c.Reason)
	return c, err
}

func (t Tenant) Certificate(ctx context.Context, serial string) (core.Certificate, error) {
	found, err := first(ctx, t.s, scanCertificate, selectCertificate+`WHERE serial = ?`, serial)
	if err != nil {
		return core.Certificate{}, fmt.Errorf("read certificate %q: %w", serial, err)
	}
	return found, nil
}

func (t Tenant) Certificates(ctx context.Context, component string, endAfter time.Time) ([]core.Certificate, error) {
	found, err := All(ctx, t.s, scanCertificate, selectCertificate+`
		WHERE (component = ? OR ? = '') AND not_after > ? AND revoked_at IS NULL ORDER BY seq DESC`,
		component, component, endAfter.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return found, nil
}

func (t Tenant) CountCertificates(ctx context.Context, component string, issuedSince time.Time) (int, error) {
	var n int
	err := One(ctx, t.s, `SELECT count(*) FROM certificate WHERE component = ? AND issued_at >= ?`, []any{component, issuedSince.UnixMicro()}, &n)
	if err != nil {
		return 0, fmt.Errorf("count certificates of %q: %w", component, err)
	}
	return n, nil
}

func (t Tenant) RevokedCertificates(ctx context.Context, endAfter time.Time) ([]core.Certificate, error) {
	found, err := All(ctx, t.s, scanCertificate, selectCertificate+`
		WHERE not_after > ? AND revoked_at IS NOT NULL ORDER BY seq`, endAfter.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("list revoked certificates: %w", err)
	}
	return found, nil
}

func (t Tenant) RevokeCertificate(ctx context.Context, serial, reason string, at time.Time) error {
	n, err := t.s.Exec(ctx, `
		UPDATE certificate SET reason = CASE WHEN revoked_at IS NULL THEN ? ELSE reason END, revoked_at = coalesce(revoked_at, ?)
		WHERE serial = ?`, reason, at.UnixMicro(), serial)
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("revoke certificate %q: %w", serial, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicConfig})
	return nil
}

func (t Tenant) PruneEnrolment(ctx context.Context, endedBefore time.Time) error {
	for _, statement := range []string{
		`DELETE FROM join_token WHERE expires_at < ?`,
		`DELETE FROM certificate WHERE not_after < ?`,
		`DELETE FROM used_once WHERE until < ?`,
	} {
		if _, err := t.s.Exec(ctx, statement, endedBefore.UnixMicro()); err != nil {
			return fmt.Errorf("forget what ended long ago: %w", err)
		}
	}
	return nil
}
