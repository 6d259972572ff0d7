package cmd_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/faker"
)

// world is a small platform that has what the examples in help and docs name:
// tenant acme with the edge sync service hq-sync and the sources hq-armis and
// dc-netbox, tenant globex with the service branch-sync, devices, a merge, a
// held retraction, operators and a join token.
type world struct {
	t   *testing.T
	dir string
	// idle is the state directory of the platform while nobody serves it: it is
	// copied for each example that changes something. live is served, and hq-sync
	// runs beside it.
	idle, live string
	addrs      addrs
	inventory  *httptest.Server
	logs       string
	env        []string
	// ids are what the examples' ids stand for.
	ids map[string]string
}

// addrs are where a platform listens.
type addrs struct{ gateway, ca, admin, metrics string }

func newAddrs(t *testing.T) addrs {
	found := addresses(t, 4)
	return addrs{found[0], found[1], found[2], found[3]}
}

// What the sources have: dc-netbox loses more than may be retracted unasked.
const (
	armisDevices  = 30
	netboxDevices = 40
	netboxLeft    = 20
)

// newWorld makes the platform and serves it until the test ends.
func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), addrs: newAddrs(t), ids: map[string]string{}}
	w.idle, w.live = filepath.Join(w.dir, "idle"), filepath.Join(w.dir, "live")
	w.env = append(os.Environ(), "HOME="+filepath.Join(w.dir, "home"), "GORACE=atexit_sleep_ms=20", "NO_COLOR=1",
		"EDGESYNC_CONFIG="+filepath.Join(w.dir, "serve.yaml"), // Not this machine's.
		"NETBOX_TOKEN="+faker.DemoToken, "ARMIS_KEY="+faker.DemoSecret)
	w.folders()
	inventory := w.serveInventory()
	w.logs = w.syslog()
	w.furnish()

	stop := w.start(w.idle, "serve", w.serveFlags(w.addrs)...)
	once := func() { w.run(w.idle, "run", "--config", w.config("hq-sync"), "--data-dir", w.path("data"), "--once") }
	once()
	inventory.Store(w.inventories(netboxLeft))
	once()
	once() // What two snapshots are without is retracted, or held.
	w.decide()
	stop()
	w.backUp()

	copyTree(t, w.idle, w.live)
	w.start(w.live, "serve", w.serveFlags(w.addrs)...)
	w.start(w.live, "run", "--config", w.config("hq-sync"), "--data-dir", w.path("data"))
	w.until(w.live, `"status": "online"`, "service", "show", "hq-sync", "-o", "json")
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *world) config(service string) string {
	return w.path("edge-package-"+service, "config", "sync.json")
}

func (w *world) serveFlags(a addrs) []string {
	return []string{"--listen", a.gateway, "--ca-listen", a.ca, "--admin-listen", a.admin, "--metrics-listen", a.metrics}
}

// folders are those that the examples write to and a system has.
func (w *world) folders() {
	for _, dir := range []string{"home/.config/fish/completions", "etc/bash_completion.d", "zsh", "man", "secrets", "bin", "log"} {
		must(w.t, os.MkdirAll(w.path(dir), 0o755))
	}
	must(w.t, os.WriteFile(w.path("serve.yaml"), nil, 0o600))
	must(w.t, os.WriteFile(w.path("secrets", "armis"), []byte(faker.DemoSecret+"\n"), 0o600))
	// Another host is this one.
	must(w.t, os.WriteFile(w.path("bin", "ssh"), []byte("#!/bin/sh\nshift\nexec sh -c \"$*\"\n"), 0o755))
	must(w.t, os.WriteFile(w.path("bin", "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755))
}

// serveInventory serves Armis and NetBox.
func (w *world) serveInventory() *atomic.Pointer[http.Handler] {
	var now atomic.Pointer[http.Handler]
	now.Store(w.inventories(netboxDevices))
	w.inventory = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { (*now.Load()).ServeHTTP(rw, r) }))
	w.t.Cleanup(w.inventory.Close)
	return &now
}

// syslog is the address of a server that takes whatever it is sent.
func (w *world) syslog() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		}
	})
	w.t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

func (w *world) inventories(netbox int) *http.Handler {
	server, err := faker.New(faker.Options{Armis: armisDevices, NetBox: netbox, Seed: 7, Now: time.Now})
	must(w.t, err)
	var handler http.Handler = server
	return &handler
}

// furnish makes what operators make.
func (w *world) furnish() {
	idle := func(args ...string) { w.run(w.idle, args...) }
	idle("bootstrap", "--gateway-addr", w.addrs.gateway, "--ca-addr", w.addrs.ca)
	copyTree(w.t, w.idle, w.path("bare"))
	idle("tenant", "create", "acme", "--name", "Acme Corporation")
	idle("onboard", "--tenant", "acme", "--name", "HQ Sync", "--out", w.dir, "--no-input")
	copyTree(w.t, w.idle, w.path("onboarded"))
	idle("tenant", "create", "globex")
	idle("onboard", "--tenant", "acme", "--name", "Old Sync", "--out", w.dir, "--no-input")
	idle("onboard", "--tenant", "globex", "--name", "Branch Sync", "--out", w.dir, "--no-input")
	for _, component := range []string{"hq-sync", "old-sync", "branch-sync"} {
		w.do(exec.Command("tar", "-xzf", w.path("edge-package-"+component+".tar.gz"), "-C", w.dir))
	}
	idle("source", "add", "hq-armis", "--tenant", "acme", "--type", "armis", "--endpoint", w.inventory.URL,
		"--credential", "secret_key=env:ARMIS_KEY", "--service", "hq-sync")
	idle("source", "add", "dc-netbox", "--tenant", "acme", "--type", "netbox", "--endpoint", w.inventory.URL,
		"--credential", "api_token=env:NETBOX_TOKEN", "--service", "hq-sync")
	idle("operator", "add", "bob", "--role", "viewer", "--out", w.path("bob"))
	var tokens []struct{ ID string }
	idle("onboard", "--tenant", "acme", "--name", "Lab Sync", "--mode", "token", "--out", w.dir, "--no-input")
	w.read(&tokens, w.idle, "onboard", "tokens", "list", "--tenant", "acme", "-o", "json")
	w.ids["1d9c5a0e-7c1b-4b7a-9f5e-2a1f6c3f8f10"] = tokens[0].ID
}

// decide merges two devices and names them and a third as the examples do.
func (w *world) decide() {
	type device struct {
		ID, MAC, Hostname string
		Assertions        []struct{ Source, Key string }
	}
	var armis, netbox []device
	w.read(&armis, w.idle, "device", "list", "--tenant", "acme", "--source", "hq-armis", "--limit", "2", "-o", "json")
	w.read(&netbox, w.idle, "device", "list", "--tenant", "acme", "--source", "dc-netbox", "--limit", "1", "-o", "json")
	var merged device
	w.read(&merged, w.idle, "device", "merge", armis[0].ID, netbox[0].ID, "--tenant", "acme", "--reason", "one thing", "-o", "json")
	former := netbox[0].ID
	if merged.ID == former {
		former = armis[0].ID
	}
	w.ids["sr:0f9a…"], w.ids["sr:3be2…"], w.ids["sr:77c1…"] = merged.ID, former, armis[1].ID
	w.ids["laptop-7"], w.ids["00:1b:21:3c:4d:5e"] = armis[1].Hostname, armis[1].MAC
	for _, a := range merged.Assertions {
		w.ids[a.Source+"/id:device:7"] = a.Source + "/" + a.Key
		if a.Source == "hq-armis" {
			w.ids["4711"] = strings.TrimPrefix(a.Key, "id:")
		}
	}
}
