//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// confining runs work and finds what it changed in the root outside the folders
// that a unit may write to.
func (r *cleanRoot) confining(allowed []string, work func()) {
	r.t.Helper()
	before := r.tree(append(allowed, "/run", "/tmp")...)
	work()
	after := r.tree(append(allowed, "/run", "/tmp")...)
	for _, name := range sorted(after) {
		if before[name] != after[name] {
			r.t.Errorf("%s was %q and is %q", name, before[name], after[name])
		}
	}
}

// TestFromNothingToADevice installs the .deb into a clean root, gives three
// commands and has a device; then an edge service of a tenant's own; then upgrades,
// removes and purges the package.
func TestFromNothingToADevice(t *testing.T) {
	r := newRoot(t)
	archive := only(t, dist(t), "*.deb")
	began := time.Now()
	r.dpkg("--install", archive)
	checkInstalled(r)
	gateway, metrics, ca := freeAddr(t), freeAddr(t), freeAddr(t)
	settings := fmt.Sprintf("listen: %q\nmetrics_listen: %q\nca_listen: %q\n", gateway, metrics, ca)
	must(t, os.WriteFile(r.path("/etc/edgesync/serve.yaml"), []byte(settings), 0o640))

	// 1: edgesync bootstrap
	r.run("edgesync", "bootstrap", "--gateway-addr", gateway)
	var serve, platform *service
	r.confining([]string{"/var/lib/edgesync"}, func() {
		// 2: systemctl enable --now edgesync-serve
		serve = r.start(serveUnit)
		if wants := serve.unit.last("Unit", "Wants"); !slices.Contains(strings.Fields(wants), platformUnit) {
			t.Fatalf("%s wants %q", serveUnit, wants)
		}
		if platform = r.start(platformUnit); platform == nil {
			t.Fatalf("%s is not to be started", platformUnit)
		}
		// 3: edgesync source add
		r.run("edgesync", "source", "add", "lab", "--tenant", "platform", "--type", "faker")
		r.until("a device", func() bool { return len(r.documents("edgesync", "device", "list", "--limit", "1")) == 1 })
	})
	took := time.Since(began)
	t.Logf("from nothing to a device in %s", took.Round(time.Millisecond))
	if took > 2*time.Minute {
		t.Error("that is more than two minutes")
	}
	checkReload(r, serve, settings)
	checkEdge(r, gateway)
	platform.stop()
	serve.stop()
	checkRemoval(r, archive)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkInstalled(r *cleanRoot) {
	r.t.Helper()
	uid, gid := r.ids("edgesync", "edgesync")
	if uid == 0 || uid >= 1000 {
		r.t.Errorf("the services' user has number %d", uid)
	}
	if shell := r.run("getent", "passwd", "edgesync"); !strings.HasSuffix(shell, ":/var/lib/edgesync:/usr/sbin/nologin\n") {
		r.t.Errorf("the services' user is %s", shell)
	}
	tree := r.tree()
	for name, want := range map[string]string{
		"/var/lib/edgesync":                                      fmt.Sprintf("drwx------ %d:%d", uid, gid),
		"/etc/edgesync":                                          "drwxr-xr-x 0:0",
		"/etc/edgesync/serve.yaml":                               fmt.Sprintf("-rw-r----- 0:%d ", gid),
		"/usr/bin/edgesync":                                      "-rwxr-xr-x 0:0 ",
		"/usr/lib/systemd/system/edgesync-serve.service":         "-rw-r--r-- 0:0 ",
		"/usr/lib/systemd/system/edgesync-run.service":           "-rw-r--r-- 0:0 ",
		"/usr/share/man/man1/edgesync-serve.1.gz":                "-rw-r--r-- 0:0 ",
		"/usr/share/bash-completion/completions/edgesync":        "-rw-r--r-- 0:0 ",
		"/usr/share/zsh/vendor-completions/_edgesync":            "-rw-r--r-- 0:0 ",
		"/usr/share/fish/vendor_completions.d/edgesync.fish":     "-rw-r--r-- 0:0 ",
		"/usr/share/doc/edgesync/copyright":                      "-rw-r--r-- 0:0 ",
		"/usr/lib/systemd/system/edgesync-platform-sync.service": "-rw-r--r-- 0:0 ",
	} {
		if !strings.HasPrefix(tree[name], want) {
			r.t.Errorf("%s is %q, want %q", name, tree[name], want)
		}
	}
}

// checkReload changes the settings under the service that runs.
func checkReload(r *cleanRoot, serve *service, settings string) {
	r.t.Helper()
	must(r.t, os.WriteFile(r.path("/etc/edgesync/serve.yaml"), []byte(settings+"log_level: warn\n"), 0o640))
	serve.reload()
	r.until("the log to tell", func() bool { return strings.Contains(serve.log.String(), "setting=log_level value=warn was=info") })
}

// checkEdge onboards an edge service, installs its package on this host as its
// user would, and runs it by its unit.
func checkEdge(r *cleanRoot, gateway string) {
	r.t.Helper()
	r.run("edgesync", "tenant", "create", "acme")
	r.run("edgesync", "onboard", "--tenant", "acme", "--name", "HQ", "--gateway-addr", gateway, "--out", "/root", "--no-input")
	r.run("tar", "-xzf", "/root/edge-package-hq.tar.gz", "-C", "/root")
	r.run("sh", "/root/edge-package-hq/install.sh")
	var edge *service
	r.confining([]string{"/var/lib/edgesync", "/etc/edgesync/certs"}, func() {
		if edge = r.start(runUnit); edge == nil {
			r.t.Fatalf("%s is not to be started", runUnit)
		}
		r.run("edgesync", "source", "add", "branch", "--tenant", "acme", "--type", "faker", "--service", "HQ")
		r.until("the edge service to be online, and a device", func() bool {
			for _, s := range r.documents("edgesync", "service", "list", "--tenant", "acme") {
				if s["component_id"] == "hq" && s["status"] == "online" {
					return len(r.documents("edgesync", "device", "list", "--tenant", "acme", "--limit", "1")) == 1
				}
			}
			return false
		})
	})
	edge.stop()
}

// checkRemoval upgrades, removes and purges.
func checkRemoval(r *cleanRoot, archive string) {
	r.t.Helper()
	state := r.tree("/var/lib/dpkg", "/usr", "/dpkg.log", "/run")
	kept := func(what string) {
		r.t.Helper()
		now := r.tree("/var/lib/dpkg", "/usr", "/dpkg.log", "/run")
		for _, name := range sorted(state) {
			if strings.HasPrefix(name, "/var/lib/edgesync") || strings.HasPrefix(name, "/etc/edgesync/") {
				if now[name] != state[name] {
					r.t.Errorf("%s: %s was %q and is %q", what, name, state[name], now[name])
				}
			}
		}
	}
	r.dpkg("--force-confold", "--install", archive)
	kept("after an upgrade")
	r.dpkg("--remove", "edgesync")
	kept("after removing")
	if r.exists("/usr/bin/edgesync") || r.exists("/usr/lib/systemd/system/"+serveUnit) {
		r.t.Error("the program is left")
	}
	r.dpkg("--force-confold", "--install", archive)
	kept("after installing again")
	r.dpkg("--purge", "edgesync")
	for _, dir := range []string{"/var/lib/edgesync", "/etc/edgesync", "/usr/share/doc/edgesync"} {
		if left, err := filepath.Glob(r.path(dir) + "*"); err != nil || len(left) > 0 {
			r.t.Errorf("purging left %v", left)
		}
	}
	if r.run("getent", "passwd", "edgesync") == "" {
		r.t.Error("the user is gone")
	}
}
