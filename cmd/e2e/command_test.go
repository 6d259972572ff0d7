package e2e_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/admin"
	"edgesync/core"
	"edgesync/faker"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/payload"
	"edgesync/syncrun"
)

func TestSyncNowRunsWhereTheSourceRunsAndTellsItsResult(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	world := newSystems(t, faker.Options{Armis: 600, NetBox: 1, Seed: 1})
	e := p.onboard("acme", "hq")
	e.start(nil)
	client := p.admin()
	p.armisAt("acme", "main", "hq", world.URL)
	eventually(t, "the pushed source's first run", func() bool { return p.count("acme") == 600 })
	_, err := p.core.UpdateSource(t.Context(), operator, core.SourceUpdate{Tenant: "acme", Source: "main",
		Spec: core.SourceSpec{Name: "main", Type: payload.TypeArmis, Endpoint: world.URL, PageSize: 100}})
	must(t, err)
	told, err := syncNow(t, client, &adminv1.SyncNowRequest{Tenant: "acme", Source: "main"})
	must(t, err)
	last := told[len(told)-1]
	if last.GetTotal() != 1 || last.GetDone() != 1 || last.GetFailed() != 0 || last.GetDevices() != 600 || last.GetAcknowledged() != 600 {
		t.Errorf("it came to %v", last)
	}
	if s := last.GetSources(); len(s) != 1 || s[0].GetName() != "main" || s[0].GetResult() != payload.ResultSuccess {
		t.Errorf("of the source it tells %v", s)
	}
	for _, request := range []*adminv1.SyncNowRequest{{Tenant: "globex", Source: "main"}, {Tenant: "globex", Service: "hq"}} {
		_, err := syncNow(t, client, request)
		wantCode(t, err, codes.NotFound, "globex")
	}
	world.Close()
	told, err = syncNow(t, client, &adminv1.SyncNowRequest{Tenant: "acme", Service: "hq"})
	must(t, err)
	if last = told[len(told)-1]; last.GetFailed() != 1 || !strings.Contains(last.GetSources()[0].GetError(), "refused") {
		t.Errorf("with the source away it came to %v", last)
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme"})
	must(t, err)
	for _, want := range []string{"source.sync_now", "service.sync_now"} {
		if !slices.ContainsFunc(events, func(e core.TenantEvent) bool {
			return e.Type == want && strings.HasPrefix(e.Actor.Name, "local:") && e.Actor.Origin == "cli"
		}) {
			t.Errorf("no event %s says who asked", want)
		}
	}
}

// TestCommandSurvivesARestartOfThePlatform asks for a sync of a source that takes
// its time, ends the platform meanwhile, and finds the sync done and told of by
// the platform that came after.
func TestCommandSurvivesARestartOfThePlatform(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	systems, err := faker.New(faker.Options{Armis: 40, Seed: 1})
	must(t, err)
	asked, answer := make(chan struct{}, 16), make(chan struct{})
	world := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			asked <- struct{}{}
			select {
			case <-answer:
			case <-r.Context().Done():
			}
		}
		systems.ServeHTTP(w, r)
	}))
	t.Cleanup(world.Close)
	e := p.onboard("acme", "hq")
	var addr atomic.Value
	addr.Store(p.addr)
	e.start(func(o *syncrun.Options) {
		o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr.Load().(string))
		}
	})
	connected := func() bool {
		service, err := p.core.Service(t.Context(), "acme", "hq")
		must(t, err)
		return service.ConfigVersion != "" && !service.ConfigAppliedAt.IsZero()
	}
	eventually(t, "the service", connected)
	p.armisAt("acme", "main", "hq", world.URL)
	<-asked // for its first run
	client, err := admin.InProcess(p.core, admin.WithOrigin("cli"))
	must(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := syncNow(t, client, &adminv1.SyncNowRequest{Tenant: "acme", Source: "main"})
		ended <- err
	}()
	begun := func() bool {
		begun := false
		must(t, p.store.Platform().View(t.Context(), func(tx core.PlatformTx) error {
			all, err := tx.Commands(t.Context(), uuid.Nil)
			begun = len(all) == 1 && all[0].Acknowledged
			return err
		}))
		return begun
	}
	eventually(t, "the command to be begun", begun)
	must(t, client.Close())
	if err := <-ended; err == nil {
		t.Error("the sync ended before its source answered")
	}
	p.restart()
	addr.Store(p.addr)
	if !begun() {
		t.Error("the platform that came after knows nothing of the command")
	}
	close(answer)
	var told core.TenantEvent
	eventually(t, "the end of the command", func() bool {
		events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "source.sync_now_ended"})
		must(t, err)
		if len(events) == 1 {
			told = events[0]
		}
		return len(events) > 0
	})
	eventually(t, "the command to be forgotten", func() bool { return !begun() })
	if !strings.Contains(told.Message, "sync of source main has ended well") || p.count("acme") != 40 {
		t.Errorf("told %+v with %d devices", told, p.count("acme"))
	}
}

func TestPlatformServiceRunsOneTenantsSourceAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	p.tenant("globex")
	saas := p.saas()
	saas.hello()
	for _, slug := range []string{"acme", "globex"} {
		_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{
			Tenant: slug, Spec: core.SourceSpec{Name: "lab", Type: payload.TypeFaker, Settings: map[string]string{"devices": "40"}}})
		must(t, err)
	}
	saas.start(nil)
	eventually(t, "the first runs", func() bool { return p.count("acme") == 40 && p.count("globex") == 40 })
	syncs := func(slug string) int64 {
		view, err := p.core.Source(t.Context(), slug, "lab")
		must(t, err)
		return view.Stats.TotalSyncs
	}
	eventually(t, "the first reports", func() bool { return syncs("acme") == 1 && syncs("globex") == 1 })
	told, err := syncNow(t, p.admin(), &adminv1.SyncNowRequest{Tenant: "acme", Source: "lab"})
	must(t, err)
	if last := told[len(told)-1]; last.GetTotal() != 1 || last.GetAcknowledged() != 40 || last.GetSources()[0].GetTenant() != "acme" {
		t.Errorf("it came to %v", last)
	}
	eventually(t, "the second report", func() bool { return syncs("acme") == 2 })
	if n := syncs("globex"); n != 1 {
		t.Errorf("the other tenant's source ran %d times", n)
	}
}

func TestSourceTestSaysExactlyWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	world := newSystems(t, faker.Options{Armis: 60, NetBox: 20, Seed: 1})
	strangers := httptest.NewUnstartedServer(world.Config.Handler)
	strangers.Config.ErrorLog = log.New(io.Discard, "", 0)
	strangers.StartTLS()
	t.Cleanup(strangers.Close)
	// A token of NetBox's own that may not read devices.
	lowly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"detail":"You do not have permission to perform this action."}`)
	}))
	t.Cleanup(lowly.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	e := p.onboard("acme", "hq")
	e.start(nil)
	client := p.admin()
	add := func(name, kind, endpoint, key, secret string, queries ...core.Query) {
		_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{
			Tenant: "acme", Service: "hq", Disabled: true, Credentials: map[string][]byte{key: []byte(secret)},
			Spec: core.SourceSpec{Name: name, Type: kind, Endpoint: endpoint, Queries: queries},
		})
		must(t, err)
	}
	add("good", payload.TypeArmis, world.URL, payload.CredentialSecretKey, faker.DemoSecret)
	add("token", payload.TypeArmis, world.URL, payload.CredentialSecretKey, canary)
	add("connect", payload.TypeArmis, "http://"+closed.Addr().String(), payload.CredentialSecretKey, canary)
	add("name", payload.TypeArmis, "https://armis.invalid", payload.CredentialSecretKey, canary)
	add("tls", payload.TypeArmis, strings.Replace(world.URL, "http:", "https:", 1), payload.CredentialSecretKey, canary)
	add("netbox", payload.TypeNetBox, world.URL, payload.CredentialAPIToken, faker.DemoToken)
	add("wrong-query", payload.TypeArmis, world.URL, payload.CredentialSecretKey, faker.DemoSecret, core.Query{Label: "all", Query: "in:nowhere"})
	add("wrong-netbox-token", payload.TypeNetBox, world.URL, payload.CredentialAPIToken, canary)
	add("permission", payload.TypeNetBox, lowly.URL, payload.CredentialAPIToken, canary)
	add("stranger", payload.TypeNetBox, strangers.URL, payload.CredentialAPIToken, canary)
	test := func(name string) *adminv1.TestSourceResponse {
		answer, err := client.TestSource(t.Context(), &adminv1.TestSourceRequest{Tenant: "acme", Source: name})
		must(t, err)
		return answer
	}
	eventually(t, "the service", func() bool {
		service, err := p.core.Service(t.Context(), "acme", "hq")
		must(t, err)
		return service.ConfigVersion != ""
	})
	for name, total := range map[string]int64{"good": 60, "netbox": 20} {
		good := test(name)
		if !good.GetOk() || good.GetTotal() != total || len(good.GetSamples()) != 5 || good.GetReason()+good.GetMessage() != "" {
			t.Errorf("a good source was tested as %v", good)
		}
		seen := map[string]bool{}
		for _, device := range good.GetSamples() {
			if seen[device.GetNativeId()] = true; device.GetNativeId() == "" || device.GetHostname() == "" {
				t.Errorf("%s shows %v", name, device)
			}
		}
		if len(seen) != 5 {
			t.Errorf("%s shows some devices twice: %v", name, good.GetSamples())
		}
	}
	for name, want := range map[string]struct{ reason, words string }{
		"connect":            {"connect", "refused"},
		"name":               {"name", "armis.invalid"},
		"tls":                {"tls", ""},
		"stranger":           {"tls", "certificate"},
		"token":              {"token", "credentials"},
		"wrong-netbox-token": {"token", "credentials"},
		"permission":         {"permission", "permission"},
		"wrong-query":        {"query", "queries"},
	} {
		got := test(name)
		if got.GetOk() || got.GetReason() != want.reason || got.GetMessage() == "" || !strings.Contains(got.GetMessage(), want.words) ||
			strings.Contains(got.GetMessage(), canary) || len(got.GetSamples()) != 0 {
			t.Errorf("%s was tested as %v, want reason %s and %q", name, got, want.reason, want.words)
		}
	}
	if n := p.count("acme"); n != 0 {
		t.Errorf("tests stored %d devices", n)
	}
}

func TestCommandsAreUnavailableWhileTheServiceIsOffline(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	p.source("acme", "lab", "hq")
	client := p.admin()
	for range 2 {
		_, err := syncNow(t, client, &adminv1.SyncNowRequest{Tenant: "acme", Service: "hq"})
		wantCode(t, err, codes.Unavailable, "offline")
		_, err = client.TestSource(t.Context(), &adminv1.TestSourceRequest{Tenant: "acme", Source: "lab"})
		wantCode(t, err, codes.Unavailable, "offline")
		e.hello()
		p.clock.pass(3 * time.Minute)
	}
}
