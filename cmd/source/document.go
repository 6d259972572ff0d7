package source

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// document is a source as scripts read it. It has no place for a credential.
type document struct {
	ID                  string            `json:"id"`
	Tenant              string            `json:"tenant"`
	TenantID            string            `json:"tenant_id"`
	Name                string            `json:"name"`
	SourceType          string            `json:"source_type"`
	Endpoint            string            `json:"endpoint"`
	Enabled             bool              `json:"enabled"`
	Partition           string            `json:"partition"`
	SyncServiceID       string            `json:"sync_service_id"`
	SyncServiceName     string            `json:"sync_service_name"`
	Queries             []query           `json:"queries"`
	PollInterval        string            `json:"poll_interval"`
	DiscoveryInterval   string            `json:"discovery_interval"`
	SweepInterval       string            `json:"sweep_interval"`
	PageSize            int32             `json:"page_size"`
	BatchSize           int32             `json:"batch_size"`
	NetworkBlacklist    []string          `json:"network_blacklist"`
	CustomField         string            `json:"custom_field"`
	Settings            map[string]string `json:"settings"`
	InsecureSkipVerify  bool              `json:"insecure_skip_verify"`
	Confidence          int32             `json:"confidence"`
	CredentialKeys      []string          `json:"credential_keys"`
	LastSyncAt          *time.Time        `json:"last_sync_at"`
	LastSyncResult      string            `json:"last_sync_result"`
	LastDeviceCount     int64             `json:"last_device_count"`
	LastErrorMessage    string            `json:"last_error_message"`
	ConsecutiveFailures int32             `json:"consecutive_failures"`
	TotalSyncs          int64             `json:"total_syncs"`
	// Retractions is "held" while HeldRetractions wait for an operator, else empty.
	Retractions     string     `json:"retractions"`
	HeldRetractions int64      `json:"held_retractions"`
	CreatedAt       *time.Time `json:"created_at"`
	UpdatedAt       *time.Time `json:"updated_at"`
}

type query struct {
	Label      string   `json:"label"`
	Query      string   `json:"query"`
	SweepModes []string `json:"sweep_modes"`
}

func newDocument(s *adminv1.Source) document {
	spec := s.GetSpec()
	d := document{
		ID: s.GetId(), Tenant: s.GetTenant(), TenantID: s.GetTenantId(), Name: spec.GetName(),
		SourceType: spec.GetSourceType(), Endpoint: spec.GetEndpoint(), Enabled: s.GetEnabled(),
		Partition: spec.GetPartition(), SyncServiceID: s.GetSyncServiceId(), SyncServiceName: s.GetSyncServiceName(),
		Queries:      make([]query, 0, len(spec.GetQueries())),
		PollInterval: cmdutil.Duration(spec.GetPollInterval()), DiscoveryInterval: cmdutil.Duration(spec.GetDiscoveryInterval()),
		SweepInterval: cmdutil.Duration(spec.GetSweepInterval()),
		PageSize:      spec.GetPageSize(), BatchSize: spec.GetBatchSize(),
		NetworkBlacklist: cmdutil.List(spec.GetNetworkBlacklist()), CustomField: spec.GetCustomField(),
		Settings: cmdutil.Map(spec.GetSettings()), InsecureSkipVerify: spec.GetInsecureSkipVerify(),
		Confidence: spec.GetConfidence(), CredentialKeys: cmdutil.List(s.GetCredentialKeys()),
		LastSyncAt: cmdutil.Time(s.GetLastSyncAt()), LastSyncResult: s.GetLastSyncResult(),
		LastDeviceCount: s.GetLastDeviceCount(), LastErrorMessage: s.GetLastErrorMessage(),
		ConsecutiveFailures: s.GetConsecutiveFailures(), TotalSyncs: s.GetTotalSyncs(),
		CreatedAt: cmdutil.Time(s.GetCreatedAt()), UpdatedAt: cmdutil.Time(s.GetUpdatedAt()),
	}
	if d.HeldRetractions = s.GetHeldRetractions(); d.HeldRetractions > 0 {
		d.Retractions = "held"
	}
	for _, q := range spec.GetQueries() {
		d.Queries = append(d.Queries, query{Label: q.GetLabel(), Query: q.GetQuery(), SweepModes: cmdutil.List(q.GetSweepModes())})
	}
	return d
}

func listColumns(now time.Time) []cmdutil.Column[document] {
	return []cmdutil.Column[document]{
		{Title: "TENANT", Value: func(d document) string { return d.Tenant }},
		{Title: "NAME", Value: func(d document) string { return d.Name }},
		{Title: "TYPE", Value: func(d document) string { return d.SourceType }},
		{Title: "ENDPOINT", Value: func(d document) string { return d.Endpoint }},
		{Title: "STATE", Value: state, Style: func(d document) string { return cmdutil.StateStyle(state(d)) }},
		{Title: "SERVICE", Value: func(d document) string { return d.SyncServiceName }},
		{Title: "LAST SYNC", Value: func(d document) string { return cmdutil.Ago(d.LastSyncAt, now) }},
		{Title: "RESULT", Value: func(d document) string { return d.LastSyncResult },
			Style: func(d document) string { return cmdutil.StateStyle(d.LastSyncResult) }},
		{Title: "DEVICES", Value: func(d document) string { return strconv.FormatInt(d.LastDeviceCount, 10) }},
		{Title: "RETRACTIONS", Value: retractions, Style: func(d document) string { return cmdutil.StateStyle(d.Retractions) }},
		{Title: "ERROR", Value: func(d document) string { return d.LastErrorMessage }},
	}
}

func showColumns(now time.Time) []cmdutil.Column[document] {
	return append(listColumns(now), []cmdutil.Column[document]{
		{Title: "CONSECUTIVE FAILURES", Value: func(d document) string { return number(int64(d.ConsecutiveFailures)) }},
		{Title: "TOTAL SYNCS", Value: func(d document) string { return number(d.TotalSyncs) }},
		{Title: "PARTITION", Value: func(d document) string { return d.Partition }},
		{Title: "QUERIES", Value: queries},
		{Title: "POLL INTERVAL", Value: func(d document) string { return d.PollInterval }},
		{Title: "DISCOVERY INTERVAL", Value: func(d document) string { return d.DiscoveryInterval }},
		{Title: "SWEEP INTERVAL", Value: func(d document) string { return d.SweepInterval }},
		{Title: "PAGE SIZE", Value: func(d document) string { return number(int64(d.PageSize)) }},
		{Title: "BATCH SIZE", Value: func(d document) string { return number(int64(d.BatchSize)) }},
		{Title: "BLACKLIST", Value: func(d document) string { return strings.Join(d.NetworkBlacklist, ", ") }},
		{Title: "CUSTOM FIELD", Value: func(d document) string { return d.CustomField }},
		{Title: "SETTINGS", Value: settings},
		{Title: "VERIFIES TLS", Value: func(d document) string { return cmdutil.YesNo(!d.InsecureSkipVerify) }},
		{Title: "CONFIDENCE", Value: func(d document) string { return number(int64(d.Confidence)) }},
		{Title: "CREDENTIALS SET", Value: func(d document) string { return strings.Join(d.CredentialKeys, ", ") }},
		{Title: "CREATED", Value: func(d document) string { return cmdutil.Date(d.CreatedAt) }},
		{Title: "UPDATED", Value: func(d document) string { return cmdutil.Date(d.UpdatedAt) }},
		{Title: "ID", Value: func(d document) string { return d.ID }},
	}...)
}

func state(d document) string {
	if d.Enabled {
		return "enabled"
	}
	return "disabled"
}

// retractions tells that a source is held.
func retractions(d document) string {
	if d.HeldRetractions == 0 {
		return ""
	}
	return "held (" + strconv.FormatInt(d.HeldRetractions, 10) + ")"
}

func number(value int64) string {
	if value == 0 {
		return ""
	}
	return strconv.FormatInt(value, 10)
}

func queries(d document) string {
	parts := make([]string, len(d.Queries))
	for i, q := range d.Queries {
		parts[i] = q.Label + "=" + q.Query
	}
	return strings.Join(parts, "; ")
}

func settings(d document) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(d.Settings)) {
		parts = append(parts, key+"="+d.Settings[key])
	}
	return strings.Join(parts, ", ")
}
