package service_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/service"
	adminv1 "edgesync/proto/admin/v1"
)

type fake struct {
	adminv1.AdminClient
	removed *adminv1.RemoveServiceRequest
	renamed *adminv1.RenameServiceRequest
}

var services = []*adminv1.SyncService{
	{Id: "s-0", Tenant: "platform", Name: "platform-sync", ComponentId: "platform-sync", ServiceType: "saas",
		IsPlatformSync: true, Status: "offline", State: "active"},
	{Id: "s-1", Tenant: "acme", Name: "HQ sync", ComponentId: "hq-sync", ServiceType: "on_prem", Status: "online", State: "active",
		LastHeartbeatAt: timestamppb.New(cmdtest.Now), Capabilities: []string{"sync"}, SourceCount: 2, FailingSourceCount: 1},
	{Id: "s-2", Tenant: "beta", Name: "edge", ComponentId: "edge", ServiceType: "on_prem", Status: "online", State: "revoked"},
	{Id: "s-3", Tenant: "acme", Name: "edge", ComponentId: "edge", ServiceType: "on_prem", Status: "offline", State: "active"},
}

func (f *fake) ListServices(context.Context, *adminv1.ListServicesRequest, ...grpc.CallOption) (*adminv1.ListServicesResponse, error) {
	return &adminv1.ListServicesResponse{Services: services}, nil
}

func (f *fake) RenameService(_ context.Context, in *adminv1.RenameServiceRequest, _ ...grpc.CallOption) (*adminv1.SyncService, error) {
	f.renamed = in
	return &adminv1.SyncService{Tenant: in.GetTenant(), Name: in.GetName()}, nil
}

func (f *fake) RemoveService(_ context.Context, in *adminv1.RemoveServiceRequest, _ ...grpc.CallOption) (*adminv1.RemoveServiceResponse, error) {
	f.removed = in
	return &adminv1.RemoveServiceResponse{}, nil
}

func run(t *testing.T, f *fake, args ...string) cmdtest.Result {
	t.Helper()
	return cmdtest.Run(t, service.NewCmdService, cmdtest.Case{Client: f, Args: append([]string{"service"}, args...)})
}

func TestListDocumentHasTheKeysScriptsReadOn(t *testing.T) {
	got := run(t, &fake{}, "list", "-o", "json")
	var documents []map[string]any
	if err := json.Unmarshal([]byte(got.Out), &documents); err != nil {
		t.Fatalf("decode %q: %v", got.Out, err)
	}
	for _, key := range []string{"id", "tenant", "name", "component_id", "service_type", "is_platform_sync", "endpoint",
		"status", "last_heartbeat_at", "version", "capabilities", "cert_expires_at"} {
		if _, ok := documents[0][key]; !ok {
			t.Errorf("no key %s in %v", key, documents[0])
		}
	}
	if documents[0]["last_heartbeat_at"] != nil || documents[1]["last_heartbeat_at"] != "2026-03-14T15:09:26Z" {
		t.Errorf("heartbeats are %v and %v", documents[0]["last_heartbeat_at"], documents[1]["last_heartbeat_at"])
	}
	if list, ok := documents[0]["capabilities"].([]any); !ok || len(list) != 0 {
		t.Errorf("no capabilities are %v", documents[0]["capabilities"])
	}
}

func TestListTable(t *testing.T) {
	got := run(t, &fake{}, "list")
	for _, want := range []string{"saas (platform)", "2 (1 failing)", "just now", "never", "revoked"} {
		if !strings.Contains(got.Out, want) {
			t.Errorf("table does not say %q:\n%s", want, got.Out)
		}
	}
}

func TestTenantMayBeLeftOutWhileTheNameIsUnique(t *testing.T) {
	f := &fake{}
	if got := run(t, f, "rename", "hq-sync", "Headquarters"); got.Exit != 0 {
		t.Errorf("rename: exit %d, %q", got.Exit, got.Err)
	}
	if f.renamed.GetTenant() != "acme" || f.renamed.GetService() != "s-1" {
		t.Errorf("renamed %v", f.renamed)
	}
	if got := run(t, f, "show", "edge"); got.Exit != 2 || !strings.Contains(got.Err, "--tenant") || !strings.Contains(got.Err, "beta, acme") {
		t.Errorf("show of an ambiguous name: exit %d, %q", got.Exit, got.Err)
	}
	if got := run(t, f, "show", "nobody"); got.Exit != 3 {
		t.Errorf("show of none: exit %d, %q", got.Exit, got.Err)
	}
}

func TestRemoveNeedsYes(t *testing.T) {
	f := &fake{}
	if got := run(t, f, "remove", "hq-sync", "--no-input"); got.Exit != 2 || f.removed != nil {
		t.Errorf("remove without --yes: exit %d, removed %v", got.Exit, f.removed)
	}
	if got := run(t, f, "remove", "hq-sync", "--no-input", "--yes"); got.Exit != 0 || f.removed.GetService() != "s-1" {
		t.Errorf("remove: exit %d, removed %v", got.Exit, f.removed)
	}
}

func TestAvailableAsksOneTenant(t *testing.T) {
	if got := run(t, &fake{}, "list", "--available"); got.Exit != 2 || !strings.Contains(got.Err, "--tenant") {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
}
