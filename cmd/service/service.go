// Package service is the commands on sync services.
package service

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdService holds the verbs.
func NewCmdService(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("service", "List, show, rename, revoke, remove and run sync services",
		NewCmdList(f, nil),
		NewCmdShow(f, nil),
		NewCmdRename(f, nil),
		NewCmdRevoke(f, nil),
		NewCmdRemove(f, nil),
		NewCmdSyncNow(f, nil),
	)
}

// document is a sync service as scripts read it.
type document struct {
	ID                 string     `json:"id"`
	Tenant             string     `json:"tenant"`
	TenantID           string     `json:"tenant_id"`
	Name               string     `json:"name"`
	ComponentID        string     `json:"component_id"`
	Partition          string     `json:"partition"`
	ServiceType        string     `json:"service_type"`
	IsPlatformSync     bool       `json:"is_platform_sync"`
	Endpoint           string     `json:"endpoint"`
	Status             string     `json:"status"`
	State              string     `json:"state"`
	LastHeartbeatAt    *time.Time `json:"last_heartbeat_at"`
	FirstHelloAt       *time.Time `json:"first_hello_at"`
	Version            string     `json:"version"`
	Capabilities       []string   `json:"capabilities"`
	Hostname           string     `json:"hostname"`
	OS                 string     `json:"os"`
	Arch               string     `json:"arch"`
	CertExpiresAt      *time.Time `json:"cert_expires_at"`
	CertSerial         string     `json:"cert_serial"`
	SourceCount        int32      `json:"source_count"`
	FailingSourceCount int32      `json:"failing_source_count"`
	ConfigVersion      string     `json:"config_version"`
	ConfigAppliedAt    *time.Time `json:"config_applied_at"`
	OutboxBytes        int64      `json:"outbox_bytes"`
	OutboxRuns         int64      `json:"outbox_runs"`
	CreatedAt          *time.Time `json:"created_at"`
}

func newDocument(s *adminv1.SyncService) document {
	return document{
		ID: s.GetId(), Tenant: s.GetTenant(), TenantID: s.GetTenantId(), Name: s.GetName(),
		ComponentID: s.GetComponentId(), Partition: s.GetPartition(),
		ServiceType: s.GetServiceType(), IsPlatformSync: s.GetIsPlatformSync(),
		Endpoint: s.GetEndpoint(), Status: s.GetStatus(), State: s.GetState(),
		LastHeartbeatAt: cmdutil.Time(s.GetLastHeartbeatAt()), FirstHelloAt: cmdutil.Time(s.GetFirstHelloAt()),
		Version: s.GetVersion(), Capabilities: cmdutil.List(s.GetCapabilities()),
		Hostname: s.GetHostname(), OS: s.GetOs(), Arch: s.GetArch(),
		CertExpiresAt: cmdutil.Time(s.GetCertExpiresAt()), CertSerial: s.GetCertSerial(),
		SourceCount: s.GetSourceCount(), FailingSourceCount: s.GetFailingSourceCount(),
		ConfigVersion: s.GetConfigVersion(), ConfigAppliedAt: cmdutil.Time(s.GetConfigAppliedAt()),
		OutboxBytes: s.GetOutboxBytes(), OutboxRuns: s.GetOutboxRuns(),
		CreatedAt: cmdutil.Time(s.GetCreatedAt()),
	}
}

func listColumns(now time.Time) []cmdutil.Column[document] {
	return []cmdutil.Column[document]{
		{Title: "TENANT", Value: func(d document) string { return d.Tenant }},
		{Title: "NAME", Value: func(d document) string { return d.Name }},
		{Title: "COMPONENT", Value: func(d document) string { return d.ComponentID }},
		{Title: "TYPE", Value: kind},
		{Title: "STATUS", Value: status, Style: func(d document) string { return cmdutil.StateStyle(status(d)) }},
		{Title: "LAST HEARTBEAT", Value: func(d document) string { return cmdutil.Ago(d.LastHeartbeatAt, now) }},
		{Title: "SOURCES", Value: sources},
		{Title: "VERSION", Value: func(d document) string { return d.Version }},
		{Title: "CERT EXPIRES", Value: func(d document) string { return cmdutil.Date(d.CertExpiresAt) }},
	}
}

func showColumns(now time.Time) []cmdutil.Column[document] {
	return append(listColumns(now), []cmdutil.Column[document]{
		{Title: "PARTITION", Value: func(d document) string { return d.Partition }},
		{Title: "ENDPOINT", Value: func(d document) string { return d.Endpoint }},
		{Title: "HOST", Value: func(d document) string { return strings.Trim(d.Hostname+" "+d.OS+"/"+d.Arch, " /") }},
		{Title: "CAPABILITIES", Value: func(d document) string { return strings.Join(d.Capabilities, ", ") }},
		{Title: "CERT SERIAL", Value: func(d document) string { return d.CertSerial }},
		{Title: "CONFIGURATION", Value: func(d document) string { return d.ConfigVersion }},
		{Title: "CONFIGURED", Value: func(d document) string { return cmdutil.Date(d.ConfigAppliedAt) }},
		{Title: "OUTBOX", Value: outbox},
		{Title: "FIRST HELLO", Value: func(d document) string { return cmdutil.Date(d.FirstHelloAt) }},
		{Title: "CREATED", Value: func(d document) string { return cmdutil.Date(d.CreatedAt) }},
		{Title: "ID", Value: func(d document) string { return d.ID }},
	}...)
}

func kind(d document) string {
	if d.IsPlatformSync {
		return d.ServiceType + " (platform)"
	}
	return d.ServiceType
}

// status shows what an operator did to a service before what it does itself.
func status(d document) string {
	if d.State != "" && d.State != "active" {
		return d.State
	}
	return d.Status
}

// outbox is what the service said waits to be delivered.
func outbox(d document) string {
	if d.OutboxRuns == 0 {
		return "empty"
	}
	return strconv.FormatInt(d.OutboxRuns, 10) + " runs, " + cmdutil.Bytes(d.OutboxBytes)
}

func sources(d document) string {
	count := strconv.Itoa(int(d.SourceCount))
	if d.FailingSourceCount > 0 {
		count += " (" + strconv.Itoa(int(d.FailingSourceCount)) + " failing)"
	}
	return count
}

// find looks a service up by its name, component id or id. Without a tenant it
// looks in all of them and wants exactly one that fits.
func find(ctx context.Context, client adminv1.AdminClient, tenant, ref string) (*adminv1.SyncService, error) {
	if tenant != "" {
		return client.GetService(ctx, &adminv1.GetServiceRequest{Tenant: tenant, Service: ref})
	}
	answer, err := client.ListServices(ctx, &adminv1.ListServicesRequest{})
	if err != nil {
		return nil, err
	}
	var found []*adminv1.SyncService
	var tenants []string
	for _, s := range answer.GetServices() {
		if ref == s.GetId() || ref == s.GetName() || ref == s.GetComponentId() {
			found, tenants = append(found, s), append(tenants, s.GetTenant())
		}
	}
	return cmdutil.OnlyOne(found, tenants, "sync service", ref)
}

func addTenantFlag(cmd *cobra.Command, tenant *string) {
	cmd.Flags().StringVarP(tenant, "tenant", "t", "", "slug of the tenant (may be left out while only one tenant has a service of that name)")
}
