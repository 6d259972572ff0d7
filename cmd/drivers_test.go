package cmd_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestR07_ThreeDriversReachTheSameStoredState onboards the same sync service by
// flags alone, in the wizard and at plain prompts, each on a platform of its own,
// and compares what the platforms and the packages then hold.
func TestR07_ThreeDriversReachTheSameStoredState(t *testing.T) {
	t.Parallel()
	const gateway, elsewhere = "127.0.0.1:50052", "10.9.8.7:50052"
	drivers := map[string]func(x *terminal){
		"no-input": func(x *terminal) {
			x.run("onboard", "--tenant", "acme", "--name", "HQ Sync", "--partition", "paris", "--gateway-addr", elsewhere, "--out", "out", "--no-input")
		},
		"wizard": func(x *terminal) {
			x.text("edgesync onboard; echo left with $?")
			x.keys("Enter")
			x.sees("Whose network it stands in")
			x.keys("Enter")
			x.sees("What the sync service is called")
			x.text("HQ Sync")
			x.keys("Tab", "C-u")
			x.text("paris")
			x.keys("Enter")
			x.sees("HOST:PORT at which")
			x.keys("C-u")
			x.text(elsewhere)
			x.keys("Enter")
			x.sees("Hand over as")
			x.keys("Enter", "C-u")
			x.text("out")
			x.keys("Enter")
			x.sees("Nothing is created yet")
			x.keys("Enter")
			x.sees("is onboarded")
			x.keys("Enter")
			x.sees("edge package", "left with 0")
		},
		"accessible": func(x *terminal) {
			x.text("edgesync tui --accessible; echo left with $?")
			x.keys("Enter")
			x.sees("add service: add an edge sync service", "What now")
			x.text("add service")
			x.keys("Enter")
			for _, step := range []struct{ asked, answer string }{
				{"Tenant, one of acme", ""}, {"Name of the sync service", "HQ Sync"}, {"Partition [default]", "back"},
				{"Tenant, one of acme [acme]", ""}, {"Name of the sync service [HQ Sync]", ""}, {"Partition [default]", "paris"},
				{"Gateway address", elsewhere}, {"Hand over as", ""}, {"Directory to write it to", "out"}, {"Nothing is created yet", "yes"},
			} {
				x.sees(step.asked)
				x.text(step.answer)
				x.keys("Enter")
			}
			x.sees("edge package", "What now")
			x.text("3")
			x.keys("Enter")
			x.sees("name HQ Sync", "status offline")
			x.text("quit")
			x.keys("Enter")
			x.sees("left with 0")
		},
	}
	stored := map[string]map[string]any{}
	for name, drive := range drivers {
		x := newTerminal(t, t.TempDir())
		x.run("bootstrap", "--gateway-addr", gateway)
		x.run("tenant", "create", "acme")
		drive(x)
		stored[name] = x.stored()
	}
	for name, state := range stored {
		if !reflect.DeepEqual(state, stored["no-input"]) {
			t.Errorf("%s left\n%v\nno-input left\n%v", name, state, stored["no-input"])
		}
	}
	if services := stored["no-input"]["services"].([]any); len(services) != 1 || services[0].(map[string]any)["component_id"] != "hq-sync" {
		t.Errorf("left %v", services)
	}
}

// stored is what the platform and the package hold, without what is drawn by
// lot or by the clock.
func (x *terminal) stored() map[string]any {
	x.t.Helper()
	read := func(args ...string) []any {
		var list []any
		if err := json.Unmarshal([]byte(x.run(append(args, "-o", "json")...)), &list); err != nil {
			x.t.Fatal(err)
		}
		for _, item := range list {
			fields := item.(map[string]any)
			for key := range fields {
				if key == "id" || key == "details" || strings.HasSuffix(key, "_at") || strings.HasSuffix(key, "_id") && key != "component_id" ||
					strings.HasSuffix(key, "serial") || key == "time" || key == "origin" {
					delete(fields, key)
				}
			}
		}
		return list
	}
	archive := filepath.Join(x.dir, "out", "edge-package-hq-sync.tar.gz")
	list, err := exec.Command("tar", "-tzf", archive).Output()
	if err != nil {
		x.t.Fatalf("list package: %v", err)
	}
	config, err := exec.Command("tar", "-xzOf", archive, "edge-package-hq-sync/config/sync.json").Output()
	if err != nil {
		x.t.Fatalf("read config of the package: %v", err)
	}
	return map[string]any{
		"tenants": read("tenant", "list"), "services": read("service", "list", "--tenant", "acme"),
		"events": read("event", "list", "--tenant", "acme"), "sources": read("source", "list"),
		"package": string(list), "config": string(config),
	}
}
