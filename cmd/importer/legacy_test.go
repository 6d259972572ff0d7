package importer

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const old = `{
  "kv_address": "localhost:50057",
  "listen_addr": ":50058",
  "nats_url": "nats://127.0.0.1:4222",
  "poll_interval": "30m",
  "discovery_interval": "18h",
  "update_interval": "18h30m",
  "agent_id": "site-agent",
  "poller_id": "site-poller",
  "security": {"mode": "mtls", "cert_dir": "/etc/old/certs"},
  "flux_capacity": 11,
  "sources": {
    "armis": {
      "type": "armis", "endpoint": "https://armis.example.com", "prefix": "armis/", "poll_interval": 300000000000,
      "credentials": {"secret_key": "canary", "page_size": "500", "boundary": "Corporate", "enable_status_updates": "false"},
      "queries": [{"label": "all", "query": "in:devices", "sweep_modes": ["icmp"]}, {"query": "in:devices type:Cameras"}],
      "network_blacklist": ["10.9.0.0/16"], "partition": "hq", "custom_field": "f", "batch_size": 100, "insecure_skip_verify": true,
      "agent_id": "other", "sweep_interval": "10m"
    },
    "netbox": {
      "type": "netbox", "endpoint": "https://netbox.example.com/api/",
      "credentials": {"api_token": "${kv:secrets/netbox/api_token}", "expand_subnets": "true", "page_size": 100}
    }
  }
}`

func TestOldConfigurationIsRead(t *testing.T) {
	found, err := parse([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	armis, netbox := found.entries[0], found.entries[1]
	if found.agent != "site-agent" || len(found.entries) != 2 || len(armis.problems)+len(netbox.problems) != 0 {
		t.Fatalf("read %+v", found)
	}
	if armis.poll != 5*time.Minute || armis.discovery != 18*time.Hour || armis.sweep != 10*time.Minute || armis.pageSize != 500 ||
		armis.partition != "hq" || armis.batchSize != 100 || !armis.insecure || armis.customField != "f" || fmt.Sprint(armis.blacklist) != "[10.9.0.0/16]" ||
		string(armis.credentials["secret_key"]) != "canary" || len(armis.credentials) != 1 {
		t.Errorf("armis is %+v", armis)
	}
	if q := armis.queries; len(q) != 2 || q[0].Label != "all" || fmt.Sprint(q[0].SweepModes) != "[icmp]" || q[1].Label != "query 2" {
		t.Errorf("its queries are %+v", q)
	}
	if netbox.endpoint != "https://netbox.example.com" || netbox.poll != 30*time.Minute || netbox.pageSize != 100 ||
		netbox.missing["api_token"] != "the key-value store" || len(netbox.credentials) != 0 {
		t.Errorf("netbox is %+v", netbox)
	}
	for name, want := range map[string]struct {
		list []dropped
		want string
	}{
		"service": {found.dropped, "flux_capacity kv_address listen_addr nats_url poller_id security update_interval"},
		"armis":   {armis.dropped, "agent_id prefix credentials.boundary credentials.enable_status_updates"},
		"netbox":  {netbox.dropped, "credentials.expand_subnets"},
	} {
		var got []string
		for _, one := range want.list {
			if got = append(got, one.setting); one.reason == "" {
				t.Errorf("%s is not carried for no reason", one.setting)
			}
		}
		if strings.Join(got, " ") != want.want {
			t.Errorf("of %s %q is not carried, want %q", name, strings.Join(got, " "), want.want)
		}
	}
}

func TestOldConfigurationThatCannotBeRead(t *testing.T) {
	for _, test := range []struct{ content, want string }{
		{``, "not JSON"},
		{`{"sources": {`, "not JSON, from byte"},
		{`[]`, "must not be of the kind array"},
		{`{"kv_address": "x"}`, `no "sources"`},
		{`{"sources": {}}`, `no "sources"`},
		{`{"sources": "canary"}`, `no "sources"`},
		{`{"poll_interval": "canary", "sources": {"a": {}}}`, "not a duration"},
		{`{"agent_id": "hq", "gateway_addr": "x:1", "gateway_security": {}}`, "minimal config"},
	} {
		if _, err := parse([]byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", test.content, err, test.want)
		}
	}
	for _, test := range []struct{ source, want string }{
		{`{}`, `no "type"`},
		{`"canary"`, "must not be of the kind string"},
		{`{"type": "armis", "poll_interval": "canary"}`, "not a duration"},
		{`{"type": "armis", "poll_interval": -5}`, "not a duration"},
		{`{"type": "armis", "credentials": {"secret_key": ["canary"]}}`, "secret_key is not a text"},
		{`{"type": "armis", "credentials": {"page_size": "canary"}}`, "page_size is no number"},
		{`{"type": "armis", "credentials": {"page_size": "99999999999"}}`, "page_size is no number"},
		{`{"type": "armis", "queries": {}}`, "must not be of the kind object"},
		{`{"type": "armis", "batch_size": 4294967297}`, "no number of devices"},
	} {
		found, err := parse([]byte(`{"sources": {"a": ` + test.source + `}}`))
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		problems := strings.Join(found.entries[0].problems, "; ")
		if !strings.Contains(problems, test.want) || strings.Contains(problems, "canary") {
			t.Errorf("%s: %q, want %q", test.source, problems, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(old))
	f.Add([]byte(`{"integrations": {"a": {"type": "netbox", "credentials": {"api_token": "${x}"}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := parse(data)
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("said %q", err)
		}
		for _, e := range found.entries {
			e.message()
		}
	})
}
