package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"edgesync/admin"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/importer"
	"edgesync/core"
	"edgesync/faker"
	adminv1 "edgesync/proto/admin/v1"
)

// TestR31_OldConfigurationGoesOnWorking imports the configuration of a sync
// service of the key-value era, enrols the service that was made of it, and runs
// it: the devices of its sources arrive, and what could not be carried was named.
func TestR31_OldConfigurationGoesOnWorking(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	server, err := faker.New(faker.Options{Armis: 60, NetBox: 40, Seed: 3})
	must(t, err)
	world := httptest.NewServer(server)
	t.Cleanup(world.Close)
	old := filepath.Join(t.TempDir(), "sync.json")
	must(t, os.WriteFile(old, fmt.Appendf(nil, `{
		"kv_address": "localhost:50057", "agent_id": "Site Agent", "poll_interval": "30m", "security": {"mode": "mtls"},
		"sources": {
			"armis": {"type": "armis", "endpoint": %q, "prefix": "armis/", "credentials": {"secret_key": %q, "page_size": "25"},
				"queries": [{"label": "all", "query": "in:devices"}]},
			"netbox": {"type": "netbox", "endpoint": %q, "prefix": "netbox/", "credentials": {"api_token": %q}}
		}}`, world.URL, faker.DemoSecret, world.URL+"/api", faker.DemoToken), 0o600))

	var imported struct {
		Service        string `json:"service"`
		ServiceCreated bool   `json:"service_created"`
		JoinToken      string `json:"join_token"`
		Sources        []struct{ Name, Result string }
		NotCarried     []struct{ Source, Setting, Reason string } `json:"not_carried"`
	}
	must(t, json.Unmarshal(p.command(importer.NewCmdImport, "import", old, "--tenant", "acme", "--out", t.TempDir()), &imported))
	if !imported.ServiceCreated || len(imported.Sources) != 2 || imported.Sources[0].Result != "created" {
		t.Fatalf("imported %+v", imported)
	}
	named := map[string]bool{}
	for _, one := range imported.NotCarried {
		named[one.Source+"/"+one.Setting] = one.Reason != ""
	}
	for _, setting := range []string{"/kv_address", "/security", "armis/prefix", "netbox/prefix"} {
		if !named[setting] {
			t.Errorf("%s was not carried, and nobody was told: %v", setting, imported.NotCarried)
		}
	}
	text, err := os.ReadFile(imported.JoinToken)
	must(t, err)
	e, _ := p.enrol(string(text))
	must(t, e.runtime(nil).Run(t.Context()))
	if n := p.count("acme"); n != 100 {
		t.Errorf("%d devices arrived, want 100", n)
	}
	services, err := p.core.Services(t.Context(), "acme", false)
	must(t, err)
	if len(services) != 1 || services[0].Name != "Site Agent" || services[0].Status != core.StatusOnline {
		t.Errorf("services %+v", services)
	}
}

// command runs a command as an operator on the platform's machine does, and
// returns the JSON it writes.
func (p *platform) command(make func(*cmdutil.Factory, func(context.Context, *importer.Options) error) *cobra.Command, args ...string) []byte {
	p.t.Helper()
	streams, out, errOut := cmdutil.TestStreams("")
	client, err := admin.InProcess(p.core, admin.WithOrigin("cli"))
	must(p.t, err)
	defer client.Close()
	f := &cmdutil.Factory{
		IO: streams, Env: func(string) (string, bool) { return "", false }, Now: time.Now, Format: cmdutil.FormatJSON, NoInput: true,
		Admin: func(context.Context) (adminv1.AdminClient, error) { return client, nil },
	}
	command := make(f, nil)
	command.SetArgs(args[1:])
	command.SetContext(p.t.Context())
	if err := command.Execute(); err != nil {
		p.t.Fatalf("%v: %v\n%s", args, err, errOut.String())
	}
	return out.Bytes()
}
