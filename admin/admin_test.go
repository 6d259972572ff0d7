package admin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/admin"
	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/seal"
	"edgesync/store/sqlite"
)

func newCore(t *testing.T) *core.Core {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	keyset, err := seal.Create(filepath.Join(dir, "keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := core.New(t.Context(), core.Options{Store: store, Keyset: keyset})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inProcess is a client of a platform of the test's own.
func inProcess(t *testing.T, options ...admin.Option) *admin.Client {
	t.Helper()
	client, err := admin.InProcess(newCore(t), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// overSocket serves a platform on a socket until the test ends.
func overSocket(t *testing.T, c *core.Core) (client *admin.Client, stop func() error) {
	t.Helper()
	// A test's own directory may be longer than a socket's path can be.
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "state", "admin.sock")
	listener, err := admin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- admin.NewServer(c, nil).Serve(ctx, listener) }()
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-served
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if client, err = admin.Dial(path, admin.WithOrigin("tui")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, stop
}

func csr(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// must is for answers whose failure ends the test.
func must[T any](t *testing.T) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func wantCode(t *testing.T, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("error %v, want %s", err, code)
	}
}

func spec() *adminv1.SourceSpec {
	return &adminv1.SourceSpec{
		Name: "armis", SourceType: "armis", Endpoint: "https://armis.example.com", Partition: "lab",
		Queries:      []*adminv1.Query{{Label: "all", Query: "in:devices", SweepModes: []string{"icmp"}}},
		PollInterval: durationpb.New(time.Minute), DiscoveryInterval: durationpb.New(time.Hour), SweepInterval: durationpb.New(2 * time.Hour),
		PageSize: 500, BatchSize: 100, NetworkBlacklist: []string{"10.0.0.0/8"}, CustomField: "cf",
		Settings: map[string]string{"a": "b"}, InsecureSkipVerify: true, Confidence: 9,
	}
}

// platform bootstraps, with a tenant acme that has one service.
func platform(t *testing.T, client adminv1.AdminClient) *adminv1.OnboardServiceResponse {
	t.Helper()
	ctx := t.Context()
	must[*adminv1.BootstrapResponse](t)(client.Bootstrap(ctx, &adminv1.BootstrapRequest{}))
	must[*adminv1.Tenant](t)(client.CreateTenant(ctx, &adminv1.CreateTenantRequest{Slug: "acme", Name: "Acme"}))
	return must[*adminv1.OnboardServiceResponse](t)(client.OnboardService(ctx, &adminv1.OnboardServiceRequest{Tenant: "acme", Name: "HQ", Csr: csr(t)}))
}

func TestAPlatformIsRunThroughTheAPI(t *testing.T) {
	client := inProcess(t, admin.WithOrigin("cli"))
	ctx := t.Context()
	_, err := client.GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	wantCode(t, err, codes.FailedPrecondition)
	onboarded := platform(t, client)
	if s := onboarded.GetService(); s.GetComponentId() != "hq" || s.GetServiceType() != "on_prem" || s.GetStatus() != "offline" || s.GetLastHeartbeatAt() != nil {
		t.Errorf("service is %v", s)
	}
	if c := onboarded.GetCertificate(); strings.Count(c.GetCertificateChainPem(), "BEGIN") != 2 || strings.Count(c.GetCaChainPem(), "BEGIN") != 2 || c.GetSerial() == "" {
		t.Errorf("certificate is %v", c)
	}
	again := must[*adminv1.BootstrapResponse](t)(client.Bootstrap(ctx, &adminv1.BootstrapRequest{}))
	info := must[*adminv1.Platform](t)(client.GetPlatform(ctx, &adminv1.GetPlatformRequest{}))
	if again.GetCreated() || !proto.Equal(again.GetPlatform(), info) || len(info.GetRootFingerprint()) != 64 {
		t.Errorf("platform is %v", info)
	}
	if g := must[*adminv1.IssuedCertificate](t)(client.IssueGateway(ctx, &adminv1.IssueGatewayRequest{Csr: csr(t)})); g.GetSerial() == "" {
		t.Errorf("the gateway's certificate is %v", g)
	}
	tenants := must[*adminv1.ListTenantsResponse](t)(client.ListTenants(ctx, &adminv1.ListTenantsRequest{}))
	if len(tenants.GetTenants()) != 2 || tenants.GetTenants()[0].GetName() != "Acme" || !tenants.GetTenants()[1].GetIsPlatform() {
		t.Errorf("tenants are %v", tenants)
	}
	if s := must[*adminv1.Tenant](t)(client.SuspendTenant(ctx, &adminv1.SuspendTenantRequest{Slug: "acme"})); s.GetState() != "suspended" {
		t.Errorf("suspended it is %v", s)
	}
	must[*adminv1.Tenant](t)(client.SuspendTenant(ctx, &adminv1.SuspendTenantRequest{Slug: "acme", Resume: true}))
	s := must[*adminv1.SyncService](t)(client.RenameService(ctx, &adminv1.RenameServiceRequest{Tenant: "acme", Service: "HQ", Name: "Head"}))
	if s.GetName() != "Head" || s.GetState() != "active" {
		t.Errorf("renamed it is %v", s)
	}
	if got := must[*adminv1.SyncService](t)(client.GetService(ctx, &adminv1.GetServiceRequest{Tenant: "acme", Service: "hq"})); !proto.Equal(got, s) {
		t.Errorf("service is %v, not %v", got, s)
	}
	if r := must[*adminv1.SyncService](t)(client.RevokeService(ctx, &adminv1.RevokeServiceRequest{Tenant: "acme", Service: "Head"})); r.GetState() != "revoked" {
		t.Errorf("revoked it is %v", r)
	}
	must[*adminv1.RemoveServiceResponse](t)(client.RemoveService(ctx, &adminv1.RemoveServiceRequest{Tenant: "acme", Service: "Head"}))
	if list := must[*adminv1.ListServicesResponse](t)(client.ListServices(ctx, &adminv1.ListServicesRequest{})); len(list.GetServices()) != 1 || !list.GetServices()[0].GetIsPlatformSync() {
		t.Errorf("services are %v", list)
	}
	must[*adminv1.RemoveTenantResponse](t)(client.RemoveTenant(ctx, &adminv1.RemoveTenantRequest{Slug: "acme"}))
	_, err = client.GetTenant(ctx, &adminv1.GetTenantRequest{Slug: "acme"})
	wantCode(t, err, codes.NotFound)
}

func TestSourcesThroughTheAPI(t *testing.T) {
	client := inProcess(t)
	ctx := t.Context()
	platform(t, client)
	created := must[*adminv1.Source](t)(client.CreateSource(ctx, &adminv1.CreateSourceRequest{
		Tenant: "acme", Spec: spec(), Credentials: map[string][]byte{"secret_key": []byte("canary-secret")},
	}))
	if !proto.Equal(created.GetSpec(), spec()) {
		t.Errorf("spec comes back as %v", created.GetSpec())
	}
	if created.GetSyncServiceName() != "HQ" || !created.GetEnabled() || created.GetLastSyncAt() != nil || len(created.GetCredentialKeys()) != 1 {
		t.Errorf("source is %v", created)
	}
	changed := spec()
	changed.PollInterval = nil
	updated := must[*adminv1.Source](t)(client.UpdateSource(ctx, &adminv1.UpdateSourceRequest{
		Tenant: "acme", Source: created.GetId(), Spec: changed, IfUpdatedAt: created.GetUpdatedAt(),
	}))
	if updated.GetSpec().GetPollInterval() != nil {
		t.Errorf("updated it is %v", updated)
	}
	_, err := client.UpdateSource(ctx, &adminv1.UpdateSourceRequest{Tenant: "acme", Source: "armis", Spec: spec(), IfUpdatedAt: created.GetUpdatedAt()})
	wantCode(t, err, codes.Aborted)
	_, err = client.UpdateSource(ctx, &adminv1.UpdateSourceRequest{Tenant: "acme", Source: "armis"})
	wantCode(t, err, codes.InvalidArgument)
	if off := must[*adminv1.Source](t)(client.SetSourceEnabled(ctx, &adminv1.SetSourceEnabledRequest{Tenant: "acme", Source: "armis"})); off.GetEnabled() {
		t.Errorf("disabled it is %v", off)
	}
	list := must[*adminv1.ListSourcesResponse](t)(client.ListSources(ctx, &adminv1.ListSourcesRequest{SyncServiceId: created.GetSyncServiceId()}))
	got := must[*adminv1.Source](t)(client.GetSource(ctx, &adminv1.GetSourceRequest{Tenant: "acme", Source: "armis"}))
	if len(list.GetSources()) != 1 || !proto.Equal(list.GetSources()[0], got) {
		t.Errorf("sources are %v", list)
	}
	events := must[*adminv1.ListEventsResponse](t)(client.ListEvents(ctx, &adminv1.ListEventsRequest{Tenant: "acme", Type: "source."}))
	for _, message := range []proto.Message{created, updated, list, events} {
		if text := protojson.Format(message); strings.Contains(text, "canary") {
			t.Errorf("an answer holds the credential: %s", text)
		}
	}
	must[*adminv1.RemoveSourceResponse](t)(client.RemoveSource(ctx, &adminv1.RemoveSourceRequest{Tenant: "acme", Source: "armis"}))
}

func TestEventsNameTheCaller(t *testing.T) {
	for origin, want := range map[string]string{"cli": "cli", "tui": "tui", "gateway": "api", "": "api"} {
		client := inProcess(t, admin.WithOrigin(origin))
		platform(t, client)
		events := must[*adminv1.ListEventsResponse](t)(client.ListEvents(t.Context(), &adminv1.ListEventsRequest{Tenant: "acme", Type: "tenant.created"}))
		if e := events.GetEvents()[0]; e.GetActor() != fmt.Sprint("local:", os.Getuid()) || e.GetOrigin() != want || e.GetSourceId() != "" {
			t.Errorf("origin %q: event is %v", origin, e)
		}
	}
}

func TestOverTheSocketTheKernelSaysWhoCalls(t *testing.T) {
	client, _ := overSocket(t, newCore(t))
	platform(t, client)
	events := must[*adminv1.ListEventsResponse](t)(client.ListEvents(t.Context(), &adminv1.ListEventsRequest{Tenant: "acme"}))
	for _, e := range events.GetEvents() {
		if e.GetActor() != fmt.Sprint("local:", os.Getuid()) || e.GetOrigin() != "tui" {
			t.Errorf("event is %v", e)
		}
	}
}

// TestACallThatPanicsEndsNoOther asks a server that has no platform behind it.
func TestACallThatPanicsEndsNoOther(t *testing.T) {
	client, stop := overSocket(t, nil)
	for range 2 {
		_, err := client.GetPlatform(t.Context(), &adminv1.GetPlatformRequest{})
		wantCode(t, err, codes.Internal)
		tail := must[adminv1.Admin_TailEventsClient](t)(client.TailEvents(t.Context(), &adminv1.ListEventsRequest{Limit: 1}))
		_, err = tail.Recv()
		wantCode(t, err, codes.Internal)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestATailEndsWithTheServerAndDoesNotHoldItUp(t *testing.T) {
	client, stop := overSocket(t, newCore(t))
	platform(t, client)
	tail := must[adminv1.Admin_TailEventsClient](t)(client.TailEvents(t.Context(), &adminv1.ListEventsRequest{Limit: 1}))
	if _, err := tail.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	// One that holds the server up is cut off in the end, and told nothing.
	_, err := tail.Recv()
	wantCode(t, err, codes.Unavailable)
	if !strings.Contains(status.Convert(err).Message(), "the platform is stopping") {
		t.Errorf("the tail ended with %v", err)
	}
	_, err = client.GetPlatform(t.Context(), &adminv1.GetPlatformRequest{})
	wantCode(t, err, codes.Unavailable)
}

func TestDevicesThroughTheAPI(t *testing.T) {
	client := inProcess(t)
	ctx := t.Context()
	platform(t, client)
	stream := must[adminv1.Admin_ListDevicesClient](t)(client.ListDevices(ctx, &adminv1.ListDevicesRequest{}))
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("devices of an empty platform: %v", err)
	}
	if n := must[*adminv1.CountDevicesResponse](t)(client.CountDevices(ctx, &adminv1.ListDevicesRequest{Tenant: "acme"})); n.GetCount() != 0 {
		t.Errorf("count is %v", n)
	}
	for _, test := range []struct {
		req  *adminv1.ListDevicesRequest
		code codes.Code
	}{
		{&adminv1.ListDevicesRequest{Source: "armis"}, codes.InvalidArgument},
		{&adminv1.ListDevicesRequest{State: "lost"}, codes.InvalidArgument},
		{&adminv1.ListDevicesRequest{Limit: -1}, codes.InvalidArgument},
		{&adminv1.ListDevicesRequest{Tenant: "nobody"}, codes.NotFound},
		{&adminv1.ListDevicesRequest{Tenant: "acme", Source: "nobody"}, codes.NotFound},
	} {
		_, err := client.CountDevices(ctx, test.req)
		wantCode(t, err, test.code)
	}
	_, err := client.GetDevice(ctx, &adminv1.GetDeviceRequest{Tenant: "acme", Id: "sr:nobody"})
	wantCode(t, err, codes.NotFound)
}

func TestListenReplacesALeftOverSocketOnly(t *testing.T) {
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "admin.sock")
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	listener, err := admin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Listen(path); err == nil {
		t.Error("a file that is no socket was replaced")
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("the file is %q, %v", data, err)
	}
	if _, err := admin.Listen(filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a path that is too long: %v", err)
	}
}
