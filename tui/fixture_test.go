package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/live"
)

// clock is the moment every picture is taken at.
var clock = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(clock.Add(-d)) }

// platform answers what a test set, and remembers what it was asked.
type platform struct {
	adminv1.AdminClient
	mu      sync.Mutex
	devices []*adminv1.Device
	detail  *adminv1.DeviceExplanation
	refuse  error
	onboard []*adminv1.OnboardServiceRequest
	created []*adminv1.CreateSourceRequest
	tested  []*adminv1.TestSourceRequest
	test    *adminv1.TestSourceResponse
	asked   []string
}

func (p *platform) call(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, name)
	return p.refuse
}

type deviceStream struct {
	grpc.ClientStream
	devices []*adminv1.Device
}

func (d *deviceStream) Recv() (*adminv1.Device, error) {
	if len(d.devices) == 0 {
		return nil, io.EOF
	}
	device := d.devices[0]
	d.devices = d.devices[1:]
	return device, nil
}

func (d *deviceStream) Header() (metadata.MD, error) { return nil, nil }

func (p *platform) ListDevices(_ context.Context, in *adminv1.ListDevicesRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.Device], error) {
	if err := p.call("ListDevices " + in.GetSearch()); err != nil {
		return nil, err
	}
	var found []*adminv1.Device
	for _, device := range p.devices {
		if int64(len(found)) == in.GetLimit() {
			break
		}
		if strings.Contains(device.GetHostname()+device.GetIp()+device.GetMac(), in.GetSearch()) {
			found = append(found, device)
		}
	}
	return &deviceStream{devices: found}, nil
}

func (p *platform) CountDevices(context.Context, *adminv1.ListDevicesRequest, ...grpc.CallOption) (*adminv1.CountDevicesResponse, error) {
	return &adminv1.CountDevicesResponse{Count: int64(len(p.devices))}, p.call("CountDevices")
}

func (p *platform) ExplainDevice(_ context.Context, in *adminv1.GetDeviceRequest, _ ...grpc.CallOption) (*adminv1.DeviceExplanation, error) {
	return p.detail, p.call("ExplainDevice " + in.GetId())
}

func (p *platform) GetDevice(_ context.Context, in *adminv1.GetDeviceRequest, _ ...grpc.CallOption) (*adminv1.DeviceDetail, error) {
	for _, device := range p.devices {
		if device.GetId() == in.GetId() {
			return &adminv1.DeviceDetail{Device: device}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "there is no device "+in.GetId())
}

func (p *platform) ListDuplicates(context.Context, *adminv1.ListDuplicatesRequest, ...grpc.CallOption) (*adminv1.ListDuplicatesResponse, error) {
	answer := &adminv1.ListDuplicatesResponse{}
	for _, kind := range []string{"hostname", "serial"} {
		one := &adminv1.Duplicate{Tenant: "acme", Kind: kind, Partition: "default", Value: "twin\x1b[31m-" + kind, Count: 3}
		for _, device := range p.devices[:min(3, len(p.devices))] {
			one.Devices = append(one.Devices, device.GetId())
		}
		answer.Duplicates = append(answer.Duplicates, one)
	}
	return answer, p.call("ListDuplicates")
}

func (p *platform) MergeDevices(_ context.Context, in *adminv1.MergeDevicesRequest, _ ...grpc.CallOption) (*adminv1.DeviceDetail, error) {
	return nil, p.call(fmt.Sprintf("MergeDevices %d because %s", len(in.GetIds()), in.GetReason()))
}

func (p *platform) SplitDevice(_ context.Context, in *adminv1.SplitDeviceRequest, _ ...grpc.CallOption) (*adminv1.PartedDevices, error) {
	return &adminv1.PartedDevices{Devices: make([]*adminv1.DeviceDetail, 2)}, p.call(fmt.Sprintf("SplitDevice %v because %s", in.GetMembers(), in.GetReason()))
}

func (p *platform) ListRuns(_ context.Context, in *adminv1.ListRunsRequest, _ ...grpc.CallOption) (*adminv1.ListRunsResponse, error) {
	run := func(result string, began, took time.Duration, devices int64) *adminv1.Run {
		one := &adminv1.Run{Id: "r", Tenant: "acme", Source: "hq-armis", SourceId: "src-ar", Mode: "snapshot", StartedAt: ago(began), Result: result, Devices: devices, Received: devices, Total: devices}
		if result != "" {
			one.FinishedAt = ago(began - took)
		}
		return one
	}
	runs := []*adminv1.Run{
		run("", 42*time.Second, 0, 12_000), run("success", 10*time.Minute, 95*time.Second, 1_200_000),
		run("failed", 20*time.Minute, 1200*time.Millisecond, 0), run("partial", 26*time.Hour, 31*time.Second, 900_000),
	}
	runs[1].Retracted = 12
	runs[2].Error = "read page 3: 502 Bad Gateway\x1b[2J"
	runs[3].Refused = 7
	return &adminv1.ListRunsResponse{Runs: runs}, p.call("ListRuns " + in.GetService() + in.GetSource())
}

func (p *platform) TestSource(_ context.Context, in *adminv1.TestSourceRequest, _ ...grpc.CallOption) (*adminv1.TestSourceResponse, error) {
	p.tested = append(p.tested, in)
	if err := p.call("TestSource " + in.GetSource()); err != nil || p.test != nil {
		return p.test, err
	}
	answer := &adminv1.TestSourceResponse{Ok: true, Total: 1_200_000, Took: durationpb.New(1234 * time.Millisecond)}
	for i := range 5 {
		answer.Samples = append(answer.Samples, &adminv1.SampleDevice{
			Hostname: fmt.Sprintf("host-%d\x1b[31m 工場", i), Ip: fmt.Sprintf("10.0.0.%d", i), Mac: fmt.Sprintf("00:50:56:00:00:%02x", i), Manufacturer: "Dell", Model: "R740",
		})
	}
	return answer, nil
}

type progressStream struct {
	grpc.ClientStream
	progress []*adminv1.SyncNowProgress
}

func (s *progressStream) Recv() (*adminv1.SyncNowProgress, error) {
	if len(s.progress) == 0 {
		return nil, io.EOF
	}
	next := s.progress[0]
	s.progress = s.progress[1:]
	return next, nil
}

func (p *platform) SyncNow(_ context.Context, in *adminv1.SyncNowRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.SyncNowProgress], error) {
	return &progressStream{progress: []*adminv1.SyncNowProgress{
		{Total: 2, Sources: []*adminv1.SyncedSource{{SourceId: "a", Name: "hq-armis", State: "waiting"}, {SourceId: "b", Name: "dc-netbox", State: "waiting"}}},
		{Total: 2, Done: 2, Failed: 1, Devices: 900, Acknowledged: 900, Finished: true, Sources: []*adminv1.SyncedSource{
			{SourceId: "a", Name: "hq-armis", State: "done", Result: "success", Devices: 900, Acknowledged: 900},
			{SourceId: "b", Name: "dc-netbox", State: "done", Result: "failed", Error: "502 Bad Gateway\x1b[2J"},
		}},
	}}, p.call("SyncNow " + in.GetService() + in.GetSource())
}

func (p *platform) RemoveTenant(_ context.Context, in *adminv1.RemoveTenantRequest, _ ...grpc.CallOption) (*adminv1.RemoveTenantResponse, error) {
	return nil, p.call("RemoveTenant " + in.GetSlug())
}

func (p *platform) SuspendTenant(_ context.Context, in *adminv1.SuspendTenantRequest, _ ...grpc.CallOption) (*adminv1.Tenant, error) {
	return nil, p.call(fmt.Sprintf("SuspendTenant %s %v", in.GetSlug(), in.GetResume()))
}

func (p *platform) CreateTenant(_ context.Context, in *adminv1.CreateTenantRequest, _ ...grpc.CallOption) (*adminv1.Tenant, error) {
	return nil, p.call("CreateTenant " + in.GetSlug())
}

func (p *platform) RevokeService(_ context.Context, in *adminv1.RevokeServiceRequest, _ ...grpc.CallOption) (*adminv1.SyncService, error) {
	return nil, p.call("RevokeService " + in.GetService())
}

func (p *platform) CreateJoinToken(_ context.Context, in *adminv1.CreateJoinTokenRequest, _ ...grpc.CallOption) (*adminv1.CreateJoinTokenResponse, error) {
	made := service("svc-new", in.GetTenant(), in.GetName(), "offline", 0)
	made.FirstHelloAt, made.LastHeartbeatAt = nil, nil
	return &adminv1.CreateJoinTokenResponse{
		Service: made, Token: "edge.token", GatewayAddr: in.GetGatewayAddr(),
		JoinToken: &adminv1.JoinToken{Partition: in.GetPartition(), ExpiresAt: ago(-24 * time.Hour)},
	}, p.call("CreateJoinToken " + in.GetName())
}

func (p *platform) UnmergeDevice(_ context.Context, in *adminv1.UnmergeDeviceRequest, _ ...grpc.CallOption) (*adminv1.PartedDevices, error) {
	return &adminv1.PartedDevices{Devices: make([]*adminv1.DeviceDetail, 2)}, p.call("UnmergeDevice " + in.GetId())
}

func (p *platform) ListRetractions(context.Context, *adminv1.ListRetractionsRequest, ...grpc.CallOption) (*adminv1.ListRetractionsResponse, error) {
	return &adminv1.ListRetractionsResponse{Retractions: []*adminv1.HeldRetractions{
		{Tenant: "acme", Source: "hq-armis", SourceId: "src-ar", Kind: "snapshot", Retractions: 900_000, Living: 1_200_000, HeldAt: ago(time.Hour)},
	}}, p.call("ListRetractions")
}

func (p *platform) ReleaseRetractions(_ context.Context, in *adminv1.SettleRetractionsRequest, _ ...grpc.CallOption) (*adminv1.SettleRetractionsResponse, error) {
	return nil, p.call("ReleaseRetractions " + in.GetSource())
}

func (p *platform) OnboardService(_ context.Context, in *adminv1.OnboardServiceRequest, _ ...grpc.CallOption) (*adminv1.OnboardServiceResponse, error) {
	p.onboard = append(p.onboard, in)
	return nil, errors.Join(p.call("OnboardService"), status.Error(codes.Internal, "the fixture signs nothing"))
}

func (p *platform) CreateSource(_ context.Context, in *adminv1.CreateSourceRequest, _ ...grpc.CallOption) (*adminv1.Source, error) {
	p.created = append(p.created, in)
	return &adminv1.Source{Tenant: in.GetTenant(), Spec: in.GetSpec(), SyncServiceName: "HQ Sync"}, p.call("CreateSource")
}

func (p *platform) SetSourceEnabled(_ context.Context, in *adminv1.SetSourceEnabledRequest, _ ...grpc.CallOption) (*adminv1.Source, error) {
	return nil, p.call(fmt.Sprintf("SetSourceEnabled %s %v", in.GetSource(), in.GetEnabled()))
}

func (p *platform) RemoveSource(_ context.Context, in *adminv1.RemoveSourceRequest, _ ...grpc.CallOption) (*adminv1.RemoveSourceResponse, error) {
	return nil, p.call("RemoveSource " + in.GetSource())
}

// screen drives a model without a program: what commands bring back is handed
// over before the next key.
type screen struct {
	t     testing.TB
	model *model
}

func newScreen(t testing.TB, p *platform, width, height int) *screen {
	t.Helper()
	m := newModel(t.Context(), Options{Client: p, Now: func() time.Time { return clock }, Out: "/var/tmp"}, nil)
	s := &screen{t, m}
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// send hands a message over and then, in their order, all that comes of it.
func (s *screen) send(msg tea.Msg) {
	s.t.Helper()
	queue := []tea.Msg{msg}
	for steps := 0; len(queue) > 0; steps++ {
		if steps > 1000 {
			s.t.Fatal("the model does not come to rest")
		}
		next := queue[0]
		queue = queue[1:]
		if next == nil {
			continue
		}
		if many, ok := next.(tea.BatchMsg); ok {
			for _, cmd := range many {
				queue = append(queue, perform(cmd))
			}
			continue
		}
		if many, ok := sequence(next); ok {
			for _, cmd := range many {
				queue = append(queue, perform(cmd))
			}
			continue
		}
		_, cmd := s.model.Update(next)
		queue = append(queue, perform(cmd))
	}
}

func perform(cmd tea.Cmd) tea.Msg {
	if cmd == nil {
		return nil
	}
	return cmd()
}

func (s *screen) live(snapshot live.Snapshot) { s.t.Helper(); s.send(snapshotMsg{snapshot}) }

var special = map[string]rune{
	"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown,
	"left": tea.KeyLeft, "right": tea.KeyRight, "space": tea.KeySpace, "end": tea.KeyEnd,
}

// press presses keys by their names; any other text is typed.
func (s *screen) press(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		if code, ok := special[key]; ok {
			press := tea.KeyPressMsg{Code: code}
			if key == "space" {
				press.Text = " "
			}
			s.send(press)
			continue
		}
		if letter, ok := strings.CutPrefix(key, "ctrl+"); ok {
			s.send(tea.KeyPressMsg{Code: rune(letter[0]), Mod: tea.ModCtrl})
			continue
		}
		for _, r := range key {
			s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

func (s *screen) text() string { return s.model.screen() }

func (s *screen) wants(words ...string) {
	s.t.Helper()
	for _, word := range words {
		if !strings.Contains(plain(s.text()), word) {
			s.t.Fatalf("the screen does not say %q:\n%s", word, plain(s.text()))
		}
	}
}

func tenant(slug string, devices int64) *adminv1.TenantSummary {
	return &adminv1.TenantSummary{
		Tenant:      &adminv1.Tenant{Id: "id-" + slug, Slug: slug, Name: strings.ToUpper(slug[:1]) + slug[1:] + " Inc.", State: "active", PlatformSync: true},
		DeviceCount: devices,
	}
}

// empty is a platform just bootstrapped, with one tenant.
func emptyPlatform() live.Snapshot {
	own := tenant("platform", 0)
	own.Tenant.IsPlatform = true
	own.Services = []*adminv1.SyncService{{
		Id: "svc-platform", Tenant: "platform", Name: "platform-sync", ComponentId: "platform-sync", Partition: "default",
		ServiceType: "saas", IsPlatformSync: true, Status: "offline", State: "active", CertExpiresAt: ago(-29 * 24 * time.Hour),
	}}
	return live.Snapshot{
		Ready: true, Tenants: []*adminv1.TenantSummary{tenant("acme", 0), own},
		Platform: &adminv1.Platform{TrustDomain: "edgesync.local", GatewayAddr: "127.0.0.1:1", GatewayServerName: "agent-gateway.edgesync.local", PlatformSlug: "platform"},
	}
}

func service(id, tenant, name, status string, heartbeat time.Duration) *adminv1.SyncService {
	return &adminv1.SyncService{
		Id: id, Tenant: tenant, Name: name, ComponentId: strings.ToLower(strings.ReplaceAll(name, " ", "-")), Partition: "default", ServiceType: "on_prem",
		Status: status, State: "active", LastHeartbeatAt: ago(heartbeat), FirstHelloAt: ago(72 * time.Hour), Version: "1.4.0",
		Hostname: "edge-" + tenant, Os: "linux", Arch: "amd64", CertExpiresAt: ago(-20 * 24 * time.Hour), CertSerial: "7391",
		Capabilities: []string{"sync"}, SourceCount: 2,
	}
}

func source(id, tenant, name, kind, run, result string, devices int64) *adminv1.Source {
	return &adminv1.Source{
		Id: id, Tenant: tenant, SyncServiceId: run, SyncServiceName: "HQ Sync", Enabled: true, LastSyncResult: result,
		LastSyncAt: ago(4 * time.Minute), LastDeviceCount: devices, TotalSyncs: 17, CredentialKeys: []string{"secret_key"},
		Spec: &adminv1.SourceSpec{Name: name, SourceType: kind, Endpoint: "https://" + name + ".example", Partition: "default"},
	}
}

// fullPlatform has something of everything, and text that means harm.
func fullPlatform() live.Snapshot {
	s := emptyPlatform()
	acme, globex := tenant("acme", 1_234_567), tenant("globex", 890)
	globex.Tenant.State = "suspended"
	acme.Services = []*adminv1.SyncService{service("svc-hq", "acme", "HQ Sync", "degraded", 12*time.Second), service("svc-plant", "acme", "Plant\x1b[31m 工場", "online", 3*time.Second)}
	acme.Services[0].FailingSourceCount, acme.Services[0].OutboxRuns, acme.Services[0].OutboxBytes = 1, 3, 5<<20
	acme.Services[0].ConfigVersion, acme.Services[0].ConfigAppliedAt = "c0ffee", ago(3*time.Hour)
	globex.Services = []*adminv1.SyncService{service("svc-gx", "globex", "globex edge", "offline", 26*time.Hour)}
	failing := source("src-nb", "acme", "dc-netbox", "netbox", "svc-hq", "failed", 0)
	failing.LastErrorMessage, failing.ConsecutiveFailures = "read page 3: 502 Bad Gateway\x1b]0;pwned\x07", 4
	off := source("src-gx", "globex", "gx-armis", "armis", "svc-gx", "partial", 890)
	off.Enabled = false
	held := source("src-ar", "acme", "hq-armis", "armis", "svc-hq", "success", 1_200_000)
	held.HeldRetractions = 900_000
	acme.Sources = []*adminv1.Source{failing, held}
	globex.Sources = []*adminv1.Source{off}
	s.Shared = s.Tenants[1].Services
	s.Tenants = []*adminv1.TenantSummary{acme, globex, s.Tenants[1]}
	for i := range 30 {
		s.Rates = append(s.Rates, float64(i*i))
	}
	for i := range 40 {
		severity := []string{"info", "warning", "info", "error"}[i%4]
		s.Events = append(s.Events, &adminv1.Event{
			Id: fmt.Sprint("ev-", i), Time: ago(time.Duration(40-i) * time.Minute), Tenant: []string{"acme", "globex"}[i%2],
			Type: "source.run_ended", Severity: severity, Actor: "spiffe://edgesync.local/sync/acme/default/hq-sync", Origin: "gateway",
			SourceId: "src-ar", ServiceId: "svc-hq", Message: fmt.Sprintf("run %d of source hq-armis ended\r\nwith \u202eharm", i),
			Details: map[string]string{"run_id": "4711"},
		})
	}
	return s
}

func manyDevices(n int) []*adminv1.Device {
	devices := make([]*adminv1.Device, n)
	for i := range devices {
		devices[i] = &adminv1.Device{
			Id: fmt.Sprintf("sr:%08d-0000-4000-8000-000000000000", i), Tenant: "acme", Partition: "default",
			Ip: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), Mac: fmt.Sprintf("00:50:56:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255),
			Hostname: fmt.Sprintf("host-%07d", i), Sources: []string{"hq-armis", "dc-netbox"}[:1+i%2], LastSeen: ago(time.Duration(i) * time.Second),
			FirstSeen: ago(48 * time.Hour), State: "active", Available: true, DeviceType: "Server", Manufacturer: "Dell", Model: "R740",
		}
	}
	return devices
}

func deviceDetail() *adminv1.DeviceExplanation {
	device := manyDevices(1)[0]
	detail := &adminv1.DeviceDetail{Device: device, Assertions: []*adminv1.Assertion{
		{Source: "hq-armis", Key: "4711", HomeId: device.Id, LastSeen: ago(time.Minute), RunId: "run-1", Macs: []string{device.Mac}, Ips: []string{device.Ip}, Hostname: device.Hostname, State: "current"},
		{Source: "dc-netbox", Key: "dcim-7", HomeId: "sr:other", LastSeen: ago(time.Hour), RunId: "run-2", Macs: []string{device.Mac}, SerialNumber: "SN1", State: "current", Metadata: map[string]string{"rack": "A7\x1b[2J"}},
	}}
	pair := []*adminv1.AssertionRef{{Source: "hq-armis", Key: "4711"}, {Source: "dc-netbox", Key: "dcim-7"}}
	return &adminv1.DeviceExplanation{
		Detail: detail, Identifiers: []*adminv1.Identifier{{Kind: "mac", Value: device.Mac}, {Kind: "serial", Value: "SN1"}},
		Joins: []*adminv1.Join{
			{Rule: "mac", Identifier: &adminv1.Identifier{Kind: "mac", Value: device.Mac}, Assertions: pair},
			{Rule: "operator", By: "local:0", Reason: "same\x1b[31m rack", Assertions: pair},
		},
		Refused:   []*adminv1.Decision{{Kind: "ambiguous", Rule: "serial", Identifiers: []*adminv1.Identifier{{Kind: "serial", Value: "0000"}}}},
		Fields:    []*adminv1.FieldValue{{Field: "hostname", Value: device.Hostname, From: pair[0]}, {Field: "serial_number", Value: "SN1", From: pair[1]}},
		Decisions: []*adminv1.Decision{{Kind: "merge", Rule: "operator", At: ago(time.Hour), Reason: "same rack"}},
	}
}

// sequence takes tea's own message of commands in order apart.
func sequence(msg tea.Msg) ([]tea.Cmd, bool) {
	value := reflect.ValueOf(msg)
	if value.Kind() != reflect.Slice || value.Type().Elem() != reflect.TypeFor[tea.Cmd]() {
		return nil, false
	}
	return value.Convert(reflect.TypeFor[[]tea.Cmd]()).Interface().([]tea.Cmd), true
}

func plain(text string) string { return ansi.Strip(text) }
