package e2e_test

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"edgesync/admin"
	"edgesync/certs"
	"edgesync/core"
	"edgesync/onboarding"
	"edgesync/proto/monitoring"

	adminv1 "edgesync/proto/admin/v1"
)

// operatorIdentity adds an operator as an administrator does.
func (p *platform) operatorIdentity(name string, role core.Role, tenant string) *tls.Certificate {
	p.t.Helper()
	key, csr, err := onboarding.NewKeyAndCSR()
	must(p.t, err)
	_, issued, err := p.core.AddOperator(p.t.Context(), operator, core.OperatorInput{Name: name, Role: role, Tenant: tenant, CSR: csr})
	must(p.t, err)
	chain := decode(p.t, issued.ChainPEM)
	return &tls.Certificate{Certificate: raw(chain), PrivateKey: key, Leaf: chain[0]}
}

func (p *platform) clientTLS(identity *tls.Certificate) *tls.Config {
	p.t.Helper()
	info, err := p.core.PlatformInfo(p.t.Context())
	must(p.t, err)
	config, err := certs.ClientTLS(info.RootPEM, func() *tls.Certificate { return identity }, info.GatewayServerName)
	must(p.t, err)
	config.Time = p.clock.now
	return config
}

// administer dials the administration API from elsewhere.
func (p *platform) administer(identity *tls.Certificate) *admin.Client {
	p.t.Helper()
	client, err := admin.DialTLS(p.adminAddr, p.clientTLS(identity), admin.WithOrigin("cli"))
	must(p.t, err)
	p.t.Cleanup(func() { _ = client.Close() })
	return client
}

// mayCall says who may make each call of the administration API: the least role,
// and "platform" where it takes an operator of the whole platform, "local" where
// nobody may from elsewhere.
var mayCall = map[string]string{
	"Bootstrap": "local", "IssueGateway": "local", "IssueEnrolmentCA": "local", "GetPlatform": "viewer",
	"CreateTenant": "admin platform", "SuspendTenant": "admin platform", "RemoveTenant": "admin platform",
	"ListTenants": "viewer", "GetTenant": "viewer",
	"OnboardService": "operator", "ListServices": "viewer", "GetService": "viewer",
	"RenameService": "operator", "RevokeService": "operator", "RemoveService": "operator",
	"CreateJoinToken": "operator", "ListJoinTokens": "viewer", "CancelJoinToken": "operator",
	"CreateSource": "operator", "ListSources": "viewer", "GetSource": "viewer",
	"UpdateSource": "operator", "SetSourceEnabled": "operator", "RemoveSource": "operator",
	"SyncNow": "operator", "TestSource": "operator",
	"ListDevices": "viewer", "CountDevices": "viewer", "GetDevice": "viewer",
	"ExplainDevice": "viewer", "MergeDevices": "operator", "UnmergeDevice": "operator", "SplitDevice": "operator",
	"ListDuplicates": "viewer", "SimulateRules": "viewer",
	"ListRetractions": "viewer", "ReleaseRetractions": "operator", "RejectRetractions": "operator",
	"ListEvents": "viewer", "TailEvents": "viewer", "Watch": "viewer", "ListRuns": "viewer",
	"AddOperator": "admin", "ListOperators": "admin", "RevokeOperator": "admin",
	"ListCertificates": "viewer", "ListAuthorities": "viewer",
	"RotateAuthority": "admin", "RotateRoot": "admin platform", "ListRestorations": "viewer platform", "SettleRestorations": "admin platform",
	"TraceDevice": "operator", "ExportEvents": "viewer", "ImportSources": "operator",
}

// TestEveryCallIsHeldToRoleAndTenant makes every call there is as everybody
// there is, over the wire.
func TestEveryCallIsHeldToRoleAndTenant(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	roles := []core.Role{core.RoleViewer, core.RoleOperator, core.RoleAdmin}
	methods := adminv1.File_proto_admin_v1_admin_proto.Services().ByName("Admin").Methods()
	for _, tenant := range []string{"", "acme"} {
		for rank, role := range roles {
			name := string(role) + "-of-" + tenant
			conn := p.dialAdmin(p.operatorIdentity(strings.TrimSuffix(name, "-of-")+strings.Repeat("-x", rank), role, tenant))
			for i := range methods.Len() {
				method := methods.Get(i)
				who, known := mayCall[string(method.Name())]
				if !known {
					t.Fatalf("nothing says who may call %s", method.Name())
				}
				least, where, _ := strings.Cut(who, " ")
				allowed := least != "local" && rank >= slices.Index(roles, core.Role(least)) && (where == "" || tenant == "")
				within := patience
				if allowed && (method.Name() == "TailEvents" || method.Name() == "Watch") { // They have no end of their own.
					within = 200 * time.Millisecond
				}
				err := invoke(t, conn, method, "", within)
				if denied := status.Code(err) == codes.PermissionDenied; denied == allowed {
					t.Errorf("%s as %s: %v, want allowed %v", method.Name(), name, err, allowed)
				}
				if allowed && tenant != "" && hasTenant(method) {
					p.wantAbsent(conn, method)
				}
			}
		}
	}
}

// wantAbsent wants another tenant to be answered for as one that is not there.
func (p *platform) wantAbsent(conn *grpc.ClientConn, method protoreflect.MethodDescriptor) {
	p.t.Helper()
	other, none := invoke(p.t, conn, method, "globex", patience), invoke(p.t, conn, method, "nobody", patience)
	if status.Code(other) != codes.NotFound || status.Code(none) != codes.NotFound ||
		strings.ReplaceAll(status.Convert(other).Message(), "globex", "nobody") != status.Convert(none).Message() {
		p.t.Errorf("%s: another tenant is %v, none is %v", method.Name(), other, none)
	}
}

func hasTenant(method protoreflect.MethodDescriptor) bool { return tenantField(method) != nil }

func tenantField(method protoreflect.MethodDescriptor) protoreflect.FieldDescriptor {
	if method.Name() == "GetTenant" {
		return method.Input().Fields().ByName("slug")
	}
	return method.Input().Fields().ByName("tenant")
}

func (p *platform) dialAdmin(identity *tls.Certificate) *grpc.ClientConn {
	p.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+p.adminAddr, grpc.WithTransportCredentials(credentials.NewTLS(p.clientTLS(identity))))
	must(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// invoke makes a call whose request is empty but for a tenant.
func invoke(t testing.TB, conn *grpc.ClientConn, method protoreflect.MethodDescriptor, tenant string, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	request, answer := message(t, method.Input()), message(t, method.Output())
	if tenant != "" {
		request.ProtoReflect().Set(tenantField(method), protoreflect.ValueOfString(tenant))
	}
	name := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
	if !method.IsStreamingServer() {
		return conn.Invoke(ctx, name, request, answer)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, name)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err == nil {
		_ = stream.CloseSend()
	}
	return stream.RecvMsg(answer)
}

func message(t testing.TB, descriptor protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	found, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	must(t, err)
	return found.New().Interface()
}

func TestOperatorOfOneTenantSeesThatTenantAlone(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for _, slug := range []string{"acme", "globex"} {
		p.tenant(slug)
		p.onboard(slug, "hq").hello()
		p.source(slug, "lab", "hq")
	}
	client := p.administer(p.operatorIdentity("alice", core.RoleAdmin, "acme"))
	tenants, err := client.ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	must(t, err)
	services, err := client.ListServices(t.Context(), &adminv1.ListServicesRequest{})
	must(t, err)
	events, err := client.ListEvents(t.Context(), &adminv1.ListEventsRequest{})
	must(t, err)
	sources, err := client.ListSources(t.Context(), &adminv1.ListSourcesRequest{})
	must(t, err)
	held, err := client.ListCertificates(t.Context(), &adminv1.ListCertificatesRequest{})
	must(t, err)
	authorities, err := client.ListAuthorities(t.Context(), &adminv1.ListAuthoritiesRequest{})
	must(t, err)
	operators, err := client.ListOperators(t.Context(), &adminv1.ListOperatorsRequest{})
	must(t, err)
	for what, shown := range map[string]proto.Message{
		"tenants": tenants, "services": services, "events": events, "sources": sources,
		"certificates": held, "authorities": authorities, "operators": operators,
	} {
		text := shown.(interface{ String() string }).String()
		if strings.Contains(text, "globex") || !strings.Contains(text, "acme") {
			t.Errorf("%s are %s", what, text)
		}
	}
	// Whom it adds is limited as it is.
	_, csr, err := onboarding.NewKeyAndCSR()
	must(t, err)
	added, err := client.AddOperator(t.Context(), &adminv1.AddOperatorRequest{Name: "bob", Role: "admin", Csr: csr})
	must(t, err)
	if added.GetOperator().GetTenant() != "acme" {
		t.Errorf("added %v", added.GetOperator())
	}
}

func TestWhatAnOperatorDoesIsRecordedInItsName(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	client := p.administer(p.operatorIdentity("alice", core.RoleAdmin, ""))
	_, err := client.CreateTenant(t.Context(), &adminv1.CreateTenantRequest{Slug: "acme"})
	must(t, err)
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "tenant.created"})
	must(t, err)
	if len(events) != 1 || events[0].Actor != (core.Actor{Name: "spiffe://edgesync.local/operator/platform/default/alice", Origin: "cli"}) {
		t.Errorf("recorded %+v", events)
	}
}

func TestRevokedOperatorLosesItsTailAndItsHandshakes(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	alice := p.operatorIdentity("alice", core.RoleViewer, "acme")
	client := p.administer(alice)
	tail, err := client.TailEvents(t.Context(), &adminv1.ListEventsRequest{Limit: 1})
	must(t, err)
	_, err = tail.Recv()
	must(t, err)
	begun := time.Now()
	_, err = p.core.RevokeOperator(t.Context(), operator, "", "alice")
	must(t, err)
	_, err = tail.Recv()
	wantCode(t, err, codes.PermissionDenied, "revoked")
	if took := time.Since(begun); took > atOnce {
		t.Errorf("the tail ended after %s", took)
	}
	_, err = client.ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	wantCode(t, err, codes.PermissionDenied, "")
	_, err = p.administer(alice).ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	wantCode(t, err, codes.Unavailable, "")
	p.restart()
	_, err = p.administer(alice).ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	wantCode(t, err, codes.Unavailable, "")
	// The name can be given again; the former certificate stays refused.
	again := p.operatorIdentity("alice", core.RoleViewer, "acme")
	_, err = p.administer(again).ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	must(t, err)
	_, err = p.administer(alice).ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	wantCode(t, err, codes.Unavailable, "")
}

func TestOperatorOfASuspendedOrRemovedTenantIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	alice := p.operatorIdentity("alice", core.RoleViewer, "acme")
	client := p.administer(alice)
	tail, err := client.TailEvents(t.Context(), &adminv1.ListEventsRequest{Limit: 1})
	must(t, err)
	_, err = tail.Recv()
	must(t, err)
	_, err = p.core.SuspendTenant(t.Context(), operator, "acme", false)
	must(t, err)
	_, err = tail.Recv()
	wantCode(t, err, codes.PermissionDenied, "")
	_, err = client.ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	wantCode(t, err, codes.PermissionDenied, "suspended")
	must(t, p.core.RemoveTenant(t.Context(), operator, "acme"))
	_, err = client.ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	wantCode(t, err, codes.PermissionDenied, "")
}

func TestR23_TenantIdentityIsRefusedTheAdministrationAndThatIsKept(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	before, err := p.core.Tenants(t.Context())
	must(t, err)
	client := p.administer(e.identity.TLSCertificate())
	_, err = client.CreateTenant(t.Context(), &adminv1.CreateTenantRequest{Slug: "mine"})
	wantCode(t, err, codes.PermissionDenied, "no operator")
	tail, err := client.TailEvents(t.Context(), &adminv1.ListEventsRequest{})
	must(t, err)
	_, err = tail.Recv()
	wantCode(t, err, codes.PermissionDenied, "no operator")
	after, err := p.core.Tenants(t.Context())
	must(t, err)
	if len(after) != len(before) {
		t.Errorf("the tenants are %v", after)
	}
	p.wantSecurityEvent("acme", "security.not_an_operator", "spiffe://edgesync.local/sync/acme/default/hq", "CreateTenant")
	p.wantSecurityEvent("acme", "security.not_an_operator", "spiffe://edgesync.local/sync/acme/default/hq", "TailEvents")
}

func TestOperatorIsRefusedTheAgentGatewayAndThatIsKept(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(p.clientTLS(p.operatorIdentity("alice", core.RoleAdmin, "")))))
	must(t, err)
	defer func() { _ = conn.Close() }()
	_, err = monitoring.NewAgentGatewayServiceClient(conn).Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "alice"})
	wantCode(t, err, codes.PermissionDenied, "operator")
	p.wantSecurityEvent("platform", "security.type_not_admitted", "spiffe://edgesync.local/operator/platform/default/alice", "Hello")
}

func TestRefusedOperatorIsKept(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	viewer := p.administer(p.operatorIdentity("eve", core.RoleViewer, "acme"))
	_, err := viewer.RevokeService(t.Context(), &adminv1.RevokeServiceRequest{Service: "hq"})
	wantCode(t, err, codes.PermissionDenied, "takes the role operator")
	_, err = viewer.RotateRoot(t.Context(), &adminv1.RotateRootRequest{})
	wantCode(t, err, codes.PermissionDenied, "limited to tenant acme")
	const eve = "spiffe://edgesync.local/operator/platform/default/eve"
	p.wantSecurityEvent("platform", "security.role_too_low", eve, "RevokeService")
	p.wantSecurityEvent("platform", "security.beyond_its_tenant", eve, "RotateRoot")
}

func TestOperatorIsCheckedWhenAdded(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.operatorIdentity("alice", core.RoleAdmin, "acme")
	_, csr, err := onboarding.NewKeyAndCSR()
	must(t, err)
	for name, test := range map[string]struct {
		in   core.OperatorInput
		code codes.Code
	}{
		"no name":          {core.OperatorInput{Role: core.RoleAdmin, CSR: csr}, codes.InvalidArgument},
		"name with a dot":  {core.OperatorInput{Name: "a.b", Role: core.RoleAdmin, CSR: csr}, codes.InvalidArgument},
		"name too long":    {core.OperatorInput{Name: strings.Repeat("a", 60), Role: core.RoleAdmin, CSR: csr}, codes.InvalidArgument},
		"no role":          {core.OperatorInput{Name: "bob", CSR: csr}, codes.InvalidArgument},
		"no such role":     {core.OperatorInput{Name: "bob", Role: "root", CSR: csr}, codes.InvalidArgument},
		"no such tenant":   {core.OperatorInput{Name: "bob", Role: core.RoleViewer, Tenant: "nobody", CSR: csr}, codes.NotFound},
		"platform by slug": {core.OperatorInput{Name: "bob", Role: core.RoleViewer, Tenant: "platform", CSR: csr}, codes.InvalidArgument},
		"no request":       {core.OperatorInput{Name: "bob", Role: core.RoleViewer}, codes.InvalidArgument},
		"taken":            {core.OperatorInput{Name: "alice", Role: core.RoleViewer, Tenant: "acme", CSR: csr}, codes.AlreadyExists},
	} {
		_, _, err := p.core.AddOperator(t.Context(), operator, test.in)
		if status.Code(err) != test.code {
			t.Errorf("%s: %v, want %v", name, err, test.code)
		}
	}
	operators, err := p.core.Operators(t.Context(), "")
	must(t, err)
	if len(operators) != 1 {
		t.Errorf("the operators are %+v", operators)
	}
	// An identity that has ended can be replaced.
	p.clock.pass(core.DefaultLeafLife + time.Hour)
	p.operatorIdentity("alice", core.RoleViewer, "acme")
}

// wantSecurityEvent waits for an event that says who tried what from where.
func (p *platform) wantSecurityEvent(tenant, kind, who, operation string) core.TenantEvent {
	p.t.Helper()
	var found core.TenantEvent
	p.await("event "+kind+" of "+who+" in "+tenant, func() bool {
		events, err := p.core.Events(p.t.Context(), core.EventQuery{Tenant: tenant, TypePrefix: "security."})
		must(p.t, err)
		i := slices.IndexFunc(events, func(e core.TenantEvent) bool {
			return e.Type == kind && strings.Contains(e.Actor.Name, who) && e.Details["operation"] == operation
		})
		if i >= 0 {
			found = events[i]
		}
		return i >= 0
	})
	if found.Details["address"] == "" || found.Severity != core.SeverityWarning {
		p.t.Errorf("the event is %+v", found)
	}
	return found
}
