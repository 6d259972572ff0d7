package core_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

func TestConfigOfAnEdgeServiceHoldsItsOwnSourcesOnly(t *testing.T) {
	w := bootstrapped(t)
	acme := w.tenant("acme")
	w.tenant("umbrella")
	hq, branch, lab := w.onboard("acme", "hq"), w.onboard("acme", "branch"), w.onboard("umbrella", "lab")
	spec := armis("armis")
	spec.PollInterval, spec.PageSize, spec.Settings = 5*time.Minute, 250, map[string]string{"devices": "10"}
	spec.Queries = []core.Query{{Label: "all", Query: "in:devices"}}
	spec.NetworkBlacklist = []string{"10.0.0.0/8"}
	source, err := w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: spec, Service: "hq", Credentials: armisKey})
	if err != nil {
		t.Fatal(err)
	}
	w.source("acme", "branch-armis", "branch")
	w.source("umbrella", "lab-armis", "lab")

	answer, config := w.config(hq, "")
	if answer.HeartbeatIntervalSec != 30 || answer.ConfigPollIntervalSec != 60 || len(answer.ConfigVersion) != 64 {
		t.Errorf("answer is %+v", answer)
	}
	if config.Scope != payload.ScopeTenant || config.ComponentID != "hq" || len(config.Sources) != 1 {
		t.Fatalf("configuration is %+v", config)
	}
	got := config.Sources["armis"]
	if got.Type != "armis" || got.Prefix != "armis/" || got.Endpoint != "https://armis.example.com" || got.PollInterval != "5m0s" ||
		got.Credentials["secret_key"] != "canary-secret" || got.Credentials["page_size"] != "250" ||
		got.TenantID != acme.ID.String() || got.TenantSlug != "acme" || got.IntegrationSourceID != source.ID.String() ||
		got.AgentID != "hq" || got.Partition != "default" || got.Settings["devices"] != "10" ||
		len(got.Queries) != 1 || len(got.NetworkBlacklist) != 1 || got.DiscoveryInterval != "" {
		t.Errorf("source is %+v", got)
	}
	for _, peer := range []string{"branch", "lab"} {
		who := branch
		if peer == "lab" {
			who = lab
		}
		if _, config := w.config(who, ""); len(config.Sources) != 1 || config.Sources[peer+"-armis"].Type == "" {
			t.Errorf("%s got %+v", peer, config)
		}
	}
}

func TestConfigIsCanonicalJSON(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.tenant("acme-b")
	peer := w.platformSync()
	w.source("acme", `z "quoted" <&>`, "")
	w.source("acme", "a", "")
	w.source("acme-b", "m", "")
	answer, config := w.config(peer, "")
	again, err := json.Marshal(config)
	if err != nil || !bytes.Equal(again, answer.ConfigJson) {
		t.Errorf("decoded and encoded again it is\n%s\nnot\n%s (%v)", again, answer.ConfigJson, err)
	}
	if config.Scope != payload.ScopePlatform || len(config.Sources) != 3 || config.Sources["acme-b/m"].TenantSlug != "acme-b" {
		t.Errorf("configuration is %+v", config)
	}
}

func TestConfigVersionDependsOnContentOnly(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.tenant("umbrella")
	edge := w.onboard("acme", "hq")
	platform := w.platformSync()
	empty, config := w.config(platform, "")
	if config.Sources == nil || len(config.Sources) != 0 {
		t.Errorf("the empty configuration is %s", empty.ConfigJson)
	}
	w.source("acme", "edge", "hq")
	unchanged, _ := w.config(platform, empty.ConfigVersion)
	if !unchanged.NotModified || unchanged.ConfigJson != nil || unchanged.ConfigVersion != empty.ConfigVersion {
		t.Errorf("the platform's configuration changed with an edge's: %+v", unchanged)
	}
	w.source("acme", "cloud", core.PlatformSyncName)
	one, _ := w.config(platform, empty.ConfigVersion)
	if one.NotModified {
		t.Fatal("a source was added and nothing is modified")
	}
	w.source("umbrella", "cloud", "")
	two, config := w.config(platform, one.ConfigVersion)
	if two.NotModified || len(config.Sources) != 2 {
		t.Fatalf("configuration is %+v", config)
	}
	w.clock.advance(time.Hour)
	w.reopen()
	if same, _ := w.config(platform, two.ConfigVersion); !same.NotModified {
		t.Error("a restart changed the version")
	}
	if err := w.RemoveSource(t.Context(), operator, "umbrella", "cloud"); err != nil {
		t.Fatal(err)
	}
	if back, _ := w.config(platform, one.ConfigVersion); !back.NotModified {
		t.Error("equal content has another version")
	}
	before, _ := w.config(edge, "")
	if _, err := w.SetSourceEnabled(t.Context(), operator, "acme", "edge", false); err != nil {
		t.Fatal(err)
	}
	if after, config := w.config(edge, before.ConfigVersion); after.NotModified || len(config.Sources) != 0 {
		t.Errorf("a disabled source is still configured: %+v", config)
	}
}

func TestConfigFollowsTenants(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	platform := w.platformSync()
	w.source("acme", "cloud", "")
	full, _ := w.config(platform, "")
	if _, err := w.SuspendTenant(t.Context(), operator, "acme", false); err != nil {
		t.Fatal(err)
	}
	if _, config := w.config(platform, full.ConfigVersion); len(config.Sources) != 0 {
		t.Error("sources of a suspended tenant are still configured")
	}
	if _, err := w.SuspendTenant(t.Context(), operator, "acme", true); err != nil {
		t.Fatal(err)
	}
	if answer, _ := w.config(platform, full.ConfigVersion); !answer.NotModified {
		t.Error("a resumed tenant's sources do not come back")
	}
	if err := w.RemoveTenant(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, config := w.config(platform, full.ConfigVersion); len(config.Sources) != 0 {
		t.Error("sources of a removed tenant are still configured")
	}
}

func TestHelloTellsWhetherTheConfigurationIsOutdated(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.onboard("acme", "hq")
	answer, _ := w.config(peer, "")
	for version, outdated := range map[string]bool{answer.ConfigVersion: false, "": true, "other": true} {
		hello, err := w.Hello(t.Context(), peer, &monitoring.AgentHelloRequest{ConfigVersion: version})
		if err != nil || hello.ConfigOutdated != outdated {
			t.Errorf("with version %q: %+v, %v", version, hello, err)
		}
	}
}

func TestMovingASourceMovesItsCredentials(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	hq, branch := w.onboard("acme", "hq"), w.onboard("acme", "branch")
	w.source("acme", "armis", "hq")
	if _, err := w.UpdateSource(t.Context(), operator, core.SourceUpdate{Tenant: "acme", Source: "armis", Spec: armis("armis"), Service: "branch"}); err != nil {
		t.Fatal(err)
	}
	if _, config := w.config(hq, ""); len(config.Sources) != 0 {
		t.Error("the former service still gets the source")
	}
	if _, config := w.config(branch, ""); config.Sources["armis"].Credentials["secret_key"] != "canary-secret" {
		t.Error("the new service does not get the credential")
	}
	_, err := w.UpdateSource(t.Context(), operator, core.SourceUpdate{Tenant: "acme", Source: "armis", Spec: armis("armis"), Service: "nobody"})
	wantCode(t, err, codes.NotFound)
}
