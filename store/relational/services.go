package relational

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"edgesync/core"
)

const selectService = `
	SELECT id, name, component_id, partition, type, is_platform_sync, endpoint, state, version,
		capabilities, hostname, os, arch, cert_serial, cert_expires_at, first_hello_at,
		last_heartbeat_at, config_version, config_applied_at, created_at, outbox_bytes, outbox_runs
	FROM service `

func scanService(row Row) (core.SyncService, error) {
	var v core.SyncService
	err := row.Scan(idColumn{&v.ID}, &v.Name, &v.ComponentID, &v.Partition, &v.Type, &v.IsPlatformSync,
		&v.Endpoint, &v.State, &v.Version, asJSON(&v.Capabilities), &v.Hostname, &v.OS, &v.Arch,
		&v.CertSerial, timeColumn{&v.CertExpiresAt}, timeColumn{&v.FirstHelloAt},
		timeColumn{&v.LastHeartbeatAt}, &v.ConfigVersion, timeColumn{&v.ConfigAppliedAt}, timeColumn{&v.CreatedAt},
		&v.OutboxBytes, &v.OutboxRuns)
	return v, err
}

func (t Tenant) Services(ctx context.Context) ([]core.SyncService, error) {
	services, err := All(ctx, t.s, scanService, selectService+`ORDER BY name, id`)
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	return services, nil
}

func (t Tenant) Service(ctx context.Context, service uuid.UUID) (core.SyncService, error) {
	found, err := first(ctx, t.s, scanService, selectService+`WHERE id = ?`, id(service))
	if err != nil {
		return core.SyncService{}, fmt.Errorf("read service %s: %w", service, err)
	}
	return found, nil
}

func (t Tenant) ServiceByComponent(ctx context.Context, component string) (core.SyncService, error) {
	found, err := first(ctx, t.s, scanService, selectService+`WHERE component_id = ?`, component)
	if err != nil {
		return core.SyncService{}, fmt.Errorf("read service of component %q: %w", component, err)
	}
	return found, nil
}

func (t Tenant) PutService(ctx context.Context, v core.SyncService) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO service (id, name, component_id, partition, type, is_platform_sync, endpoint, state,
			version, capabilities, hostname, os, arch, cert_serial, cert_expires_at, first_hello_at,
			last_heartbeat_at, config_version, config_applied_at, created_at, outbox_bytes, outbox_runs)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, component_id = excluded.component_id,
			partition = excluded.partition, type = excluded.type,
			is_platform_sync = excluded.is_platform_sync, endpoint = excluded.endpoint,
			state = excluded.state, version = excluded.version, capabilities = excluded.capabilities,
			hostname = excluded.hostname, os = excluded.os, arch = excluded.arch,
			cert_serial = excluded.cert_serial, cert_expires_at = excluded.cert_expires_at,
			first_hello_at = excluded.first_hello_at, last_heartbeat_at = excluded.last_heartbeat_at,
			config_version = excluded.config_version, config_applied_at = excluded.config_applied_at,
			created_at = excluded.created_at, outbox_bytes = excluded.outbox_bytes,
			outbox_runs = excluded.outbox_runs`,
		id(v.ID), v.Name, v.ComponentID, v.Partition, v.Type, v.IsPlatformSync, v.Endpoint, v.State,
		v.Version, jsonList(v.Capabilities), v.Hostname, v.OS, v.Arch, v.CertSerial, micros(v.CertExpiresAt),
		micros(v.FirstHelloAt), micros(v.LastHeartbeatAt), v.ConfigVersion,
		micros(v.ConfigAppliedAt), micros(v.CreatedAt), v.OutboxBytes, v.OutboxRuns)
	if err != nil {
		return fmt.Errorf("put service %q: %w", v.ComponentID, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicConfig})
	return nil
}

func (t Tenant) Heartbeat(ctx context.Context, service uuid.UUID, beat core.Beat) error {
	n, err := t.s.Exec(ctx, `
		UPDATE service SET last_heartbeat_at = ?, outbox_bytes = ?, outbox_runs = ? WHERE id = ?`,
		micros(beat.At), beat.OutboxBytes, beat.OutboxRuns, id(service))
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("record heartbeat of service %s: %w", service, err)
	}
	return nil
}
