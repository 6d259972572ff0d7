package onboarding_test

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgesync/onboarding"
)

func chain(c ...*x509.Certificate) []*x509.Certificate { return c }

// wireConfig is the minimal config as the protocol document spells it.
const wireConfig = `{
  "agent_id": "hq-sync",
  "partition": "default",
  "gateway_addr": "gateway.example.com:50052",
  "gateway_security": {
    "mode": "mtls",
    "cert_dir": "../certs",
    "server_name": "agent-gateway.edgesync.local",
    "role": "sync",
    "tls": {
      "cert_file": "component.pem",
      "key_file": "component-key.pem",
      "ca_file": "ca-chain.pem",
      "client_ca_file": "ca-chain.pem"
    }
  },
  "listen_addr": ":50058"
}
`

func TestConfigIsWrittenAsOtherClientsReadIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config", "sync.json")
	config := onboarding.NewConfig("hq-sync", "default", "gateway.example.com:50052", gatewayName)
	if err := onboarding.WriteConfig(path, config); err != nil {
		t.Fatal(err)
	}
	if got := string(must(os.ReadFile(path))(t)); got != wireConfig {
		t.Errorf("wrote\n%s\nwant\n%s", got, wireConfig)
	}
	loaded := must(onboarding.LoadConfig(path))(t)
	if again := string(must(loaded.Marshal())(t)); again != wireConfig {
		t.Errorf("read back\n%s", again)
	}
}

func TestConfigPaths(t *testing.T) {
	folder := t.TempDir()
	for name, test := range map[string]struct{ certDir, certFile, want string }{
		"relative to the config":       {"../certs", "component.pem", filepath.Join(filepath.Dir(folder), "certs", "component.pem")},
		"absolute folder":              {"/etc/edgesync/certs", "component.pem", "/etc/edgesync/certs/component.pem"},
		"absolute file":                {"../certs", "/etc/ssl/own.pem", "/etc/ssl/own.pem"},
		"no folder: beside the config": {"", "component.pem", filepath.Join(folder, "component.pem")},
		"folder below the folder":      {"certs", "sub/component.pem", filepath.Join(folder, "certs", "sub", "component.pem")},
	} {
		t.Run(name, func(t *testing.T) {
			var c map[string]any
			if err := json.Unmarshal([]byte(wireConfig), &c); err != nil {
				t.Fatal(err)
			}
			security := c["gateway_security"].(map[string]any)
			security["cert_dir"] = test.certDir
			security["tls"].(map[string]any)["cert_file"] = test.certFile
			path := filepath.Join(folder, "sync.json")
			if err := os.WriteFile(path, must(json.Marshal(c))(t), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Chdir(folder)
			for _, spelled := range []string{path, "sync.json", "./sync.json"} {
				if got := must(onboarding.LoadConfig(spelled))(t).Paths().Cert; got != test.want {
					t.Errorf("%s: %s, want %s", spelled, got, test.want)
				}
			}
		})
	}
}

func TestConfigThatCannotWorkIsRefused(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(wireConfig, old, new, 1) }
	for name, test := range map[string]struct{ config, want string }{
		"empty":              {"", "parse JSON"},
		"not JSON":           {"agent_id: hq-sync", "parse JSON"},
		"a list":             {"[]", "parse JSON"},
		"two objects":        {wireConfig + "{}", "parse JSON"},
		"wrong type":         {swap(`"hq-sync"`, `7`), "parse JSON"},
		"no agent id":        {swap(`"hq-sync"`, `""`), "agent_id is missing"},
		"no gateway":         {swap(`"gateway.example.com:50052"`, `""`), "gateway_addr is missing"},
		"gateway, no port":   {swap(`gateway.example.com:50052`, `gateway.example.com`), "HOST:PORT"},
		"gateway, port 0":    {swap(`:50052`, `:0`), "port"},
		"gateway, port word": {swap(`:50052`, `:https`), "port"},
		"gateway, no host":   {swap(`gateway.example.com:`, `:`), "no host"},
		"gateway is a URL":   {swap(`gateway.example.com`, `https://gateway`), "HOST:PORT"},
		"no TLS":             {swap(`"mtls"`, `"none"`), "not supported"},
		"no mode":            {swap(`"mtls"`, `""`), "mode is missing"},
		"no key file":        {swap(`"component-key.pem"`, `""`), "key_file is missing"},
		"control characters": {swap(`"hq-sync"`, `"hq\u001b[2Jsync"`), "control characters"},
		"NUL in a path":      {swap(`"component.pem"`, `"component.pem\u0000"`), "control characters"},
		"endless":            {wireConfig + strings.Repeat(" ", 1<<20), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sync.json")
			if err := os.WriteFile(path, []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := onboarding.LoadConfig(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestConfigOfOtherClients has what other programs keep in the same file, or
// leave out of it.
func TestConfigOfOtherClients(t *testing.T) {
	c := must(onboarding.ParseConfig([]byte(`{
		"agent_id": "k8s_agent", "gateway_addr": "agent_gateway:50052", "kv_address": "datasvc:50057", "sources": {},
		"gateway_security": {"mode": "mtls", "cert_dir": "/etc/x", "tls": {"cert_file": "a.pem", "key_file": "b.pem", "ca_file": "c.pem"}}
	}`)))(t)
	if c.Partition != "default" || c.ServerName() != "agent_gateway" || c.Paths().ClientCA != "" {
		t.Fatalf("%+v, server name %q, %+v", c, c.ServerName(), c.Paths())
	}
}

func TestComponentID(t *testing.T) {
	for name, want := range map[string]string{
		"HQ sync":               "hq-sync",
		"  Zürich — Büro #2  ":  "zurich-buro-2",
		"O'Brien's site":        "obriens-site",
		"ﬁle ½":                 "file-1-2",
		"a; rm -rf /":           "a-rm-rf",
		"../../etc":             "etc",
		"東京":                    "",
		"":                      "",
		"---":                   "",
		strings.Repeat("a", 64): "",
	} {
		got, err := onboarding.ComponentID(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(wireConfig))
	f.Add([]byte(`{"gateway_security":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := onboarding.ParseConfig(data)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("parsed what does not validate: %v", err)
		}
		written := must(c.Marshal())(t)
		again := must(onboarding.ParseConfig(written))(t)
		if again != c {
			t.Fatalf("%+v came back as %+v", c, again)
		}
	})
}
