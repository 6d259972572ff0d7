//go:build linux

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestEdgePackageInstalls installs, upgrades and takes off an edge package on
// hosts that have systemd, podman, docker or none of them. Those programs only
// write down what they are told.
func TestEdgePackageInstalls(t *testing.T) {
	r := newRoot(t)
	r.write("usr/bin/edgesync", string(untar(t, read(t, only(t, dist(t), "*.tar.gz")))["edgesync_1.2.3+4.abcdef0_linux_"+runtime.GOARCH+"/edgesync"]), 0o755)
	r.run("edgesync", "--state-dir", "/root/state", "bootstrap")
	r.run("edgesync", "--state-dir", "/root/state", "tenant", "create", "acme")
	for _, name := range []string{"HQ", "Branch"} {
		r.run("edgesync", "--state-dir", "/root/state", "onboard", "--tenant", "acme", "--name", name, "--out", "/root", "--no-input")
		r.run("tar", "-xzf", "/root/edge-package-"+strings.ToLower(name)+".tar.gz", "-C", "/root")
	}
	must(t, os.Rename(r.path("usr/bin/edgesync"), r.path("root/edgesync")))
	for _, runtime := range []struct {
		name string
		on   func()
		off  func()
	}{
		{"manual", func() {}, func() {}},
		{"systemd", func() {
			r.fake("systemctl")
			must(t, os.MkdirAll(r.path("run/systemd/system"), 0o755))
		}, func() { must(t, os.RemoveAll(r.path("run/systemd"))) }},
		{"docker", func() { r.fake("docker") }, func() { must(t, os.Remove(r.path("usr/bin/docker"))) }},
		{"podman", func() { r.fake("podman"); r.fake("docker") }, func() {}},
	} {
		t.Run(runtime.name, func(t *testing.T) {
			r.t = t
			runtime.on()
			r.edgePackage(runtime.name)
			runtime.off()
		})
	}
}

// fake is a program that writes its arguments down, and knows one image.
func (r *cleanRoot) fake(name string) {
	r.write("usr/bin/"+name, `#!/bin/sh
printf '%s' "${0##*/}" >>/told
printf ' %s' "$@" >>/told
echo >>/told
[ "$1 $2 $3" != "image inspect absent" ]
`, 0o755)
}

// told is what the fakes were told since it was last asked.
func (r *cleanRoot) told() string {
	data, _ := os.ReadFile(r.path("told"))
	r.must(os.WriteFile(r.path("told"), nil, 0o644))
	return string(data)
}

// install runs the script of the HQ package and returns what it says, or that of
// another folder.
func (r *cleanRoot) install(args ...string) string {
	r.t.Helper()
	return r.run(append([]string{"sh", "/root/edge-package-hq/install.sh"}, args...)...)
}

func (r *cleanRoot) refused(code int, want string, args ...string) {
	r.t.Helper()
	out, err := r.command("/usr/bin/sh", args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) || !strings.HasSuffix(err.Error(), string(rune('0'+code))) {
		r.t.Errorf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (r *cleanRoot) says(what, got string, want ...string) {
	r.t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			r.t.Errorf("%s: %q is not in %q", what, w, got)
		}
	}
}

func (r *cleanRoot) edgePackage(runtime string) {
	r.t.Helper()
	t := r.t
	r.told()
	r.says("a first time", r.install("--binary", "/root/edgesync"), "installed hq in /etc/edgesync, for "+runtime, "next")
	uid, gid := 65532, 65532
	if runtime == "manual" || runtime == "systemd" {
		uid, gid = r.ids("edgesync", "edgesync")
	}
	for name, mode := range map[string]os.FileMode{"": 0o700, "component.pem": 0o644, "component-key.pem": 0o600, "ca.json": 0o644, "ca-chain.pem": 0o644} {
		r.owned(filepath.Join("/etc/edgesync/certs", name), mode, uid, gid)
	}
	r.owned("/usr/local/bin/edgesync", 0o755, 0, 0)
	r.owned("/etc/edgesync/config/sync.json", 0o644, 0, 0)
	if runtime != "systemd" {
		r.owned("/var/lib/edgesync/edge", 0o700, uid, gid)
	}
	if r.exists("/etc/systemd/system/edgesync-run.service") != (runtime == "systemd") {
		t.Error("the unit is where it should not be, or not where it should")
	}
	before := r.tree("/dev", "/told")
	r.install("--binary", "/root/edgesync")
	if after := r.tree("/dev", "/told"); !sameTree(before, after, "/etc/edgesync/package", "/etc/edgesync") {
		t.Error("a second time changed something")
	}
	r.told()
	r.starts(runtime)

	// Another service's package is not put in its place by mistake.
	r.refused(6, "hq of tenant acme: run it again with --replace", "/root/edge-package-branch/install.sh")
	r.refused(6, "use its own package", "/root/edge-package-branch/install.sh", "--uninstall")
	r.run("sh", "/root/edge-package-branch/install.sh", "--replace")
	r.run("sh", "/root/edge-package-hq/install.sh", "--replace")

	r.told()
	r.says("uninstalling", r.install("--uninstall"), "uninstalled hq; its identity and data stay")
	if r.exists("/usr/local/bin/edgesync") || r.exists("/etc/systemd/system/edgesync-run.service") || !r.exists("/etc/edgesync/certs/component-key.pem") {
		t.Error("uninstalling took the wrong things")
	}
	want := map[string]string{"systemd": "systemctl disable --now edgesync-run.service\n", "podman": "podman rm --force edgesync-run\n", "docker": "docker rm --force edgesync-run\n"}[runtime]
	r.says("uninstalling", r.told(), want)
	r.install("--uninstall", "--purge")
	if r.exists("/etc/edgesync") || r.exists("/var/lib/edgesync/edge") {
		t.Error("purging left something")
	}
	r.says("uninstalling again", r.install("--uninstall"), "nothing is installed")
}

// starts has the script start the service, and upgrade its program.
func (r *cleanRoot) starts(runtime string) {
	r.t.Helper()
	switch runtime {
	case "manual":
		r.refused(2, "leave --start out", "/root/edge-package-hq/install.sh", "--start")
	case "systemd":
		r.install("--start")
		if got := r.told(); got != "systemctl daemon-reload\nsystemctl enable --now edgesync-run.service\n" {
			r.t.Errorf("systemd was told %q", got)
		}
		r.write("root/newer", "#!/bin/sh\n", 0o755)
		r.install("--binary", "/root/newer")
		r.says("an upgrade", r.told(), "systemctl try-restart edgesync-run.service\n")
	default:
		r.refused(1, "there is no image absent here", "/root/edge-package-hq/install.sh", "--start", "--image", "absent")
		r.told()
		r.write("root/image.tar", "an image", 0o644)
		r.install("--start", "--image", "edgesync:1.2", "--image-archive", "/root/image.tar")
		r.says("starting", r.told(), runtime+" load --input /root/image.tar\n", runtime+" rm --force edgesync-run\n", runtime+" run --detach --name edgesync-run --restart always --pull never --read-only",
			" --cap-drop all ", " --user 65532:65532 ", " edgesync:1.2 run --config /etc/edgesync/config/sync.json --data-dir /var/lib/edgesync/edge\n")
	}
}

func (r *cleanRoot) owned(name string, mode os.FileMode, uid, gid int) {
	r.t.Helper()
	info, err := os.Lstat(r.path(name))
	r.must(err)
	if u, g := ownerOf(info); info.Mode().Perm() != mode || u != uid || g != gid {
		r.t.Errorf("%s is %v of %d:%d, want %v of %d:%d", name, info.Mode(), u, g, mode, uid, gid)
	}
}

// sameTree compares trees, but for files that are written anew with what is in
// them already.
func sameTree(a, b map[string]string, except ...string) bool {
	for _, name := range except {
		delete(a, name)
		delete(b, name)
	}
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}
