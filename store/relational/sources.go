package relational

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"edgesync/core"
)

const selectSource = `
	SELECT id, name, type, endpoint, enabled, sync_service_id, partition, poll_interval,
		discovery_interval, sweep_interval, page_size, batch_size, network_blacklist, queries,
		custom_field, settings, insecure_skip_verify, confidence, credentials, created_at, updated_at,
		last_sync_at, last_result, last_device_count, last_error, consecutive_failures, total_syncs
	FROM source `

func scanSource(row Row) (core.Source, error) {
	var v core.Source
	err := row.Scan(idColumn{&v.ID}, &v.Name, &v.Type, &v.Endpoint, &v.Enabled, idColumn{&v.SyncServiceID},
		&v.Partition, &v.PollInterval, &v.DiscoveryInterval, &v.SweepInterval, &v.PageSize, &v.BatchSize,
		asJSON(&v.NetworkBlacklist), asJSON(&v.Queries), &v.CustomField, asJSON(&v.Settings),
		&v.InsecureSkipVerify, &v.Confidence, asJSON(&v.Credentials),
		timeColumn{&v.CreatedAt}, timeColumn{&v.UpdatedAt},
		timeColumn{&v.Stats.LastSyncAt}, &v.Stats.LastResult, &v.Stats.LastDeviceCount,
		&v.Stats.LastError, &v.Stats.ConsecutiveFailures, &v.Stats.TotalSyncs)
	return v, err
}

func (t Tenant) Sources(ctx context.Context) ([]core.Source, error) {
	sources, err := All(ctx, t.s, scanSource, selectSource+`ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	return sources, nil
}

func (t Tenant) Source(ctx context.Context, source uuid.UUID) (core.Source, error) {
	found, err := first(ctx, t.s, scanSource, selectSource+`WHERE id = ?`, id(source))
	if err != nil {
		return core.Source{}, fmt.Errorf("read source %s: %w", source, err)
	}
	return found, nil
}

func (t Tenant) SourceByName(ctx context.Context, name string) (core.Source, error) {
	found, err := first(ctx, t.s, scanSource, selectSource+`WHERE name = ?`, name)
	if err != nil {
		return core.Source{}, fmt.Errorf("read source %q: %w", name, err)
	}
	return found, nil
}

func (t Tenant) PutSource(ctx context.Context, v core.Source) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO source (id, name, type, endpoint, enabled, sync_service_id, partition, poll_interval,
			discovery_interval, sweep_interval, page_size, batch_size, network_blacklist, queries,
			custom_field, settings, insecure_skip_verify, confidence, credentials, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type,
			endpoint = excluded.endpoint, enabled = excluded.enabled,
			sync_service_id = excluded.sync_service_id, partition = excluded.partition,
			poll_interval = excluded.poll_interval, discovery_interval = excluded.discovery_interval,
			sweep_interval = excluded.sweep_interval, page_size = excluded.page_size,
			batch_size = excluded.batch_size, network_blacklist = excluded.network_blacklist,
			queries = excluded.queries, custom_field = excluded.custom_field,
			settings = excluded.settings, insecure_skip_verify = excluded.insecure_skip_verify,
			confidence = excluded.confidence, credentials = excluded.credentials,
			created_at = excluded.created_at, updated_at = excluded.updated_at`,
		id(v.ID), v.Name, v.Type, v.Endpoint, v.Enabled, id(v.SyncServiceID), v.Partition,
		int64(v.PollInterval), int64(v.DiscoveryInterval), int64(v.SweepInterval), v.PageSize, v.BatchSize,
		jsonList(v.NetworkBlacklist), jsonList(v.Queries), v.CustomField, jsonMap(v.Settings), v.InsecureSkipVerify,
		v.Confidence, jsonMap(v.Credentials), micros(v.CreatedAt), micros(v.UpdatedAt))
	if err != nil {
		return fmt.Errorf("put source %q: %w", v.Name, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicConfig})
	return nil
}

func (t Tenant) PutSourceStats(ctx context.Context, source uuid.UUID, stats core.SourceStats) error {
	n, err := t.s.Exec(ctx, `
		UPDATE source SET last_sync_at = ?, last_result = ?, last_device_count = ?, last_error = ?,
			consecutive_failures = ?, total_syncs = ?
		WHERE id = ?`,
		micros(stats.LastSyncAt), stats.LastResult, stats.LastDeviceCount, stats.LastError,
		stats.ConsecutiveFailures, stats.TotalSyncs, id(source))
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("put stats of source %s: %w", source, err)
	}
	return nil
}

func (t Tenant) DeleteSource(ctx context.Context, source uuid.UUID) error {
	n, err := t.s.Exec(ctx, `DELETE FROM source WHERE id = ?`, id(source))
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	for _, statement := range []string{
		`DELETE FROM run WHERE source_id = ?`, `DELETE FROM hold WHERE source = ?`, `DELETE FROM pending WHERE source = ?`,
	} {
		if err == nil {
			_, err = t.s.Exec(ctx, statement, id(source))
		}
	}
	if err != nil {
		return fmt.Errorf("delete source %s: %w", source, err)
	}
	t.s.Note(core.Signal{Topic: core.TopicConfig})
	return nil
}
