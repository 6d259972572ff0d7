package tenant_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/tenant"
	adminv1 "edgesync/proto/admin/v1"
)

type fake struct {
	adminv1.AdminClient
	tenants []*adminv1.Tenant
	created *adminv1.CreateTenantRequest
	removed string
}

func (f *fake) ListTenants(context.Context, *adminv1.ListTenantsRequest, ...grpc.CallOption) (*adminv1.ListTenantsResponse, error) {
	return &adminv1.ListTenantsResponse{Tenants: f.tenants}, nil
}

func (f *fake) GetTenant(_ context.Context, in *adminv1.GetTenantRequest, _ ...grpc.CallOption) (*adminv1.Tenant, error) {
	for _, t := range f.tenants {
		if t.GetSlug() == in.GetSlug() {
			return t, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "find tenant %s: there is none", in.GetSlug())
}

func (f *fake) CreateTenant(_ context.Context, in *adminv1.CreateTenantRequest, _ ...grpc.CallOption) (*adminv1.Tenant, error) {
	f.created = in
	return &adminv1.Tenant{Id: "id-1", Slug: in.GetSlug(), Name: in.GetName(), State: "active"}, nil
}

func (f *fake) SuspendTenant(_ context.Context, in *adminv1.SuspendTenantRequest, _ ...grpc.CallOption) (*adminv1.Tenant, error) {
	state := "suspended"
	if in.GetResume() {
		state = "active"
	}
	return &adminv1.Tenant{Slug: in.GetSlug(), State: state}, nil
}

func (f *fake) RemoveTenant(_ context.Context, in *adminv1.RemoveTenantRequest, _ ...grpc.CallOption) (*adminv1.RemoveTenantResponse, error) {
	f.removed = in.GetSlug()
	return &adminv1.RemoveTenantResponse{}, nil
}

func newFake() *fake {
	return &fake{tenants: []*adminv1.Tenant{
		{Id: "id-0", Slug: "platform", IsPlatform: true, State: "active"},
		{Id: "id-1", Slug: "acme", Name: "Acme", State: "active", PlatformSync: true, CreatedAt: timestamppb.New(cmdtest.Now)},
	}}
}

func TestListDocument(t *testing.T) {
	got := cmdtest.Run(t, tenant.NewCmdTenant, cmdtest.Case{Client: newFake(), Args: []string{"tenant", "list", "-o", "json"}})
	var documents []map[string]any
	if err := json.Unmarshal([]byte(got.Out), &documents); err != nil {
		t.Fatalf("decode %q: %v", got.Out, err)
	}
	if len(documents) != 2 || documents[1]["slug"] != "acme" || documents[1]["is_platform"] != false ||
		documents[1]["created_at"] != "2026-03-14T15:09:26Z" || documents[0]["created_at"] != nil {
		t.Errorf("list is %v", documents)
	}
}

func TestListNamesKinds(t *testing.T) {
	got := cmdtest.Run(t, tenant.NewCmdTenant, cmdtest.Case{Client: newFake(), Args: []string{"tenant", "list"}})
	var kinds []string
	for _, line := range strings.Split(strings.TrimSpace(got.Out), "\n") {
		kinds = append(kinds, strings.Fields(line[strings.Index(got.Out, "KIND"):])[0])
	}
	if !slices.Equal(kinds, []string{"KIND", "platform", "tenant"}) {
		t.Errorf("kinds are %v in %q", kinds, got.Out)
	}
}

func TestCreate(t *testing.T) {
	f := newFake()
	got := cmdtest.Run(t, tenant.NewCmdTenant, cmdtest.Case{Client: f,
		Args: []string{"tenant", "create", "acme", "--name", "Acme Corp", "--no-platform-sync"}})
	if got.Exit != 0 || got.Out != "created tenant acme (id-1)\n" {
		t.Errorf("create printed %q, exit %d", got.Out, got.Exit)
	}
	if f.created.GetName() != "Acme Corp" || !f.created.GetNoPlatformSync() {
		t.Errorf("create sent %v", f.created)
	}
}

func TestShowOfNone(t *testing.T) {
	got := cmdtest.Run(t, tenant.NewCmdTenant, cmdtest.Case{Client: newFake(), Args: []string{"tenant", "show", "nobody", "-o", "json"}})
	if got.Exit != 3 || got.Out != "" || got.Err != "find tenant nobody: there is none\n" {
		t.Errorf("show printed %q and %q, exit %d", got.Out, got.Err, got.Exit)
	}
}

func TestSuspendAndResume(t *testing.T) {
	for verb, want := range map[string]string{"suspend": "tenant acme is suspended\n", "resume": "tenant acme is active\n"} {
		got := cmdtest.Run(t, tenant.NewCmdTenant, cmdtest.Case{Client: newFake(), Args: []string{"tenant", verb, "acme"}})
		if got.Out != want {
			t.Errorf("%s printed %q", verb, got.Out)
		}
	}
}

func TestRemoveIsConfirmed(t *testing.T) {
	for _, test := range []struct {
		name     string
		args     []string
		terminal *cmdtest.Terminal
		exit     int
		removed  bool
	}{
		{"no input", []string{"--no-input"}, nil, 2, false},
		{"no terminal", nil, nil, 2, false},
		{"no input on a terminal", []string{"--no-input"}, &cmdtest.Terminal{Lines: "y\n"}, 2, false},
		{"yes", []string{"--no-input", "--yes"}, nil, 0, true},
		{"answered no", nil, &cmdtest.Terminal{Lines: "\n"}, 1, false},
		{"answered yes", nil, &cmdtest.Terminal{Lines: "y\n"}, 0, true},
		{"gone", nil, &cmdtest.Terminal{Lines: ""}, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake()
			got := cmdtest.Run(t, tenant.NewCmdTenant, cmdtest.Case{Client: f, Terminal: test.terminal,
				Args: append([]string{"tenant", "remove", "acme"}, test.args...)})
			if got.Exit != test.exit || (f.removed == "acme") != test.removed {
				t.Errorf("exit %d, removed %q, said %q", got.Exit, f.removed, got.Err)
			}
			if test.exit == 2 && !strings.Contains(got.Err, "--yes") {
				t.Errorf("does not name the flag: %q", got.Err)
			}
		})
	}
}
