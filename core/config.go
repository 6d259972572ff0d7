package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// configEntry is one source of a configuration, encoded.
type configEntry struct {
	key  string
	json []byte
}

// configCache remembers the version of each service's configuration, so that a
// poll for an unchanged one, also the large one of the platform's service,
// costs no more than a look.
type configCache struct {
	mu sync.Mutex
	// epoch rises with every change of any tenant.
	epoch    uint64
	versions map[uuid.UUID]configVersion
}

type configVersion struct {
	epoch   uint64
	version string
}

func (c *configCache) invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
}

// version is the one remembered, or empty, and the epoch it is asked in.
func (c *configCache) version(service uuid.UUID) (string, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.versions[service]; known.epoch == c.epoch {
		return known.version, c.epoch
	}
	return "", c.epoch
}

func (c *configCache) remember(service uuid.UUID, version string, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.versions == nil {
		c.versions = map[uuid.UUID]configVersion{}
	}
	c.versions[service] = configVersion{epoch, version}
}

// Config answers a service's configuration: the enabled sources assigned to it,
// of its own tenant, or for a platform service of every tenant. The version
// depends on nothing but the content.
func (c *Core) Config(ctx context.Context, peer certs.Peer, req *monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
	a, err := c.member(ctx, peer)
	if err != nil {
		return nil, err
	}
	response := &monitoring.AgentConfigResponse{
		ConfigTimestamp:       c.now().Unix(),
		HeartbeatIntervalSec:  seconds(c.options.HeartbeatInterval),
		ConfigPollIntervalSec: seconds(c.options.ConfigPollInterval),
	}
	version, _ := c.configs.version(a.service.ID)
	if version == "" || version != req.GetConfigVersion() {
		if version, response.ConfigJson, err = c.buildConfig(ctx, a); err != nil {
			return nil, err
		}
	}
	response.ConfigVersion = version
	if version == req.GetConfigVersion() {
		response.NotModified, response.ConfigJson = true, nil
	}
	return response, nil
}

// configVersion is the version of a service's configuration.
func (c *Core) configVersion(ctx context.Context, a admission) (string, error) {
	if version, _ := c.configs.version(a.service.ID); version != "" {
		return version, nil
	}
	version, _, err := c.buildConfig(ctx, a)
	return version, err
}

func (c *Core) buildConfig(ctx context.Context, a admission) (version string, content []byte, err error) {
	_, epoch := c.configs.version(a.service.ID)
	scope, tenants := payload.ScopeTenant, []Tenant{a.tenant}
	if a.service.IsPlatformSync {
		scope = payload.ScopePlatform
		if tenants, err = c.assignedTenants(ctx, a.service.ID); err != nil {
			return "", nil, err
		}
	}
	var entries []configEntry
	for _, tenant := range tenants {
		more, err := c.configEntries(ctx, tenant, a.service)
		if errors.Is(err, ErrNotFound) {
			continue // It was removed since it was listed.
		}
		if err != nil {
			return "", nil, err
		}
		entries = append(entries, more...)
	}
	p, err := c.ready()
	if err != nil {
		return "", nil, err
	}
	if content, err = encodeConfig(a.service, scope, p.epoch(), entries); err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(content)
	version = hex.EncodeToString(sum[:])
	c.configs.remember(a.service.ID, version, epoch)
	return version, content, nil
}

// configEntries are the sources of one tenant that a service runs, from memory
// unless something of the tenant has changed.
func (c *Core) configEntries(ctx context.Context, tenant Tenant, service SyncService) ([]configEntry, error) {
	lane := c.lane(tenant.ID)
	lane.mu.Lock()
	entries, ok := lane.configs[service.ID]
	generation := lane.generation
	lane.mu.Unlock()
	if ok {
		return entries, nil
	}
	s, err := c.scopeOf(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var sources []Source
	err = s.store.View(ctx, func(tx TenantTx) (err error) {
		sources, err = tx.Sources(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sources of tenant %s: %w", tenant.Slug, err)
	}
	for _, source := range sources {
		if source.SyncServiceID != service.ID || !source.Enabled {
			continue
		}
		entry, err := c.configEntry(tenant, service, source)
		if err != nil {
			// One damaged source must not stop all the others of its service.
			c.log.Error("leave source out of configuration", "tenant", tenant.Slug, "source_id", source.ID, "error", err)
			continue
		}
		entries = append(entries, entry)
	}
	lane.remember(generation, func() { lane.configs[service.ID] = entries })
	return entries, nil
}

func (c *Core) configEntry(tenant Tenant, service SyncService, source Source) (configEntry, error) {
	key := source.Name
	if service.IsPlatformSync {
		key = tenant.Slug + "/" + source.Name
	}
	credentials, err := c.openCredentials(tenant, source)
	if err != nil {
		return configEntry{}, err
	}
	encoded, err := json.Marshal(payload.Source{
		Type: source.Type, Endpoint: source.Endpoint, Prefix: source.Type + "/", Credentials: credentials,
		Queries:             payloadQueries(source.Queries),
		PollInterval:        duration(source.PollInterval),
		DiscoveryInterval:   duration(source.DiscoveryInterval),
		SweepInterval:       duration(source.SweepInterval),
		AgentID:             service.ComponentID,
		Partition:           source.Partition,
		NetworkBlacklist:    source.NetworkBlacklist,
		CustomField:         source.CustomField,
		BatchSize:           source.BatchSize,
		InsecureSkipVerify:  source.InsecureSkipVerify,
		TenantID:            tenant.ID.String(),
		TenantSlug:          tenant.Slug,
		SyncServiceID:       service.ID.String(),
		IntegrationSourceID: source.ID.String(),
		Settings:            source.Settings,
	})
	return configEntry{key, encoded}, err
}

// openCredentials opens what is sealed. The page size travels among the
// credentials, where sync clients look for it.
func (c *Core) openCredentials(tenant Tenant, source Source) (map[string]string, error) {
	credentials := make(map[string]string, len(source.Credentials)+1)
	for key, sealed := range source.Credentials {
		value, err := c.keyset.Open(sealed, credentialAD(tenant.ID, source.ID, key))
		if err != nil {
			return nil, fmt.Errorf("open credential %s: %w", key, err)
		}
		credentials[key] = string(value)
	}
	if source.PageSize > 0 {
		credentials[payload.CredentialPageSize] = strconv.Itoa(source.PageSize)
	}
	return credentials, nil
}

func payloadQueries(queries []Query) []payload.Query {
	out := make([]payload.Query, len(queries))
	for i, q := range queries {
		out[i] = payload.Query{Label: q.Label, Query: q.Query, SweepModes: q.SweepModes}
	}
	return out
}

// encodeConfig writes a payload.Config around sources that are encoded already,
// sorted by key as encoding/json would.
func encodeConfig(service SyncService, scope, epoch string, entries []configEntry) ([]byte, error) {
	head, err := json.Marshal(payload.Config{
		SyncServiceID: service.ID.String(), ComponentID: service.ComponentID,
		Scope: scope, PlatformEpoch: epoch, Sources: map[string]payload.Source{},
	})
	if err != nil {
		return nil, fmt.Errorf("encode configuration of %s: %w", service.ComponentID, err)
	}
	slices.SortFunc(entries, func(a, b configEntry) int { return strings.Compare(a.key, b.key) })
	var out bytes.Buffer
	out.Write(bytes.TrimSuffix(head, []byte("}}")))
	for i, entry := range entries {
		if i > 0 {
			out.WriteByte(',')
		}
		key, err := json.Marshal(entry.key)
		if err != nil {
			return nil, fmt.Errorf("encode configuration of %s: %w", service.ComponentID, err)
		}
		out.Write(key)
		out.WriteByte(':')
		out.Write(entry.json)
	}
	out.WriteString("}}")
	return out.Bytes(), nil
}

// duration is a Go-style duration, or empty for none.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func seconds(d time.Duration) int32 {
	return int32(max(d, time.Second) / time.Second)
}
