package onboarding_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edgesync/onboarding"
)

// install runs the package's script as a user would.
func install(t *testing.T, folder string, args ...string) (string, error) {
	t.Helper()
	script := exec.Command("sh", append([]string{filepath.Join(folder, "install.sh")}, args...)...)
	script.Dir = t.TempDir()
	out, err := script.CombinedOutput()
	return string(out), err
}

// unpackIn unpacks a fresh package of the platform into a folder whose name is
// as awkward as folder names get.
func unpackIn(t *testing.T, p *platform) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), `-a b'c"d$(touch pwned) \*;`)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return untar(t, writePackage(t, p), dir)
}

func TestInstallTwice(t *testing.T) {
	p := newPlatform(t)
	folder, root := unpackIn(t, p), filepath.Join(t.TempDir(), "a root 'of' its own")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	var before string
	for range 2 {
		out, err := install(t, folder, "--root", root)
		if err != nil || !strings.Contains(out, "systemctl enable --now edgesync-run.service") {
			t.Fatalf("%v: %s", err, out)
		}
		now := contents(t, root)
		if before != "" && now != before {
			t.Error("the second run changed something")
		}
		before = now
	}
	etc := filepath.Join(root, "etc", "edgesync")
	assertFiles(t, etc, map[string]fs.FileMode{"certs": 0o700, "config": 0o755, "package": 0o644})
	assertFiles(t, filepath.Join(etc, "certs"), map[string]fs.FileMode{"ca-chain.pem": 0o644, "ca.json": 0o644, "component-key.pem": 0o600, "component.pem": 0o644})
	assertFiles(t, filepath.Join(etc, "config"), map[string]fs.FileMode{"sync.json": 0o644})
	assertFiles(t, filepath.Join(root, "etc", "systemd", "system"), map[string]fs.FileMode{"edgesync-run.service": 0o644})
	config := must(onboarding.LoadConfig(filepath.Join(etc, "config", "sync.json")))(t)
	p.connect(t, must(config.ClientTLS())(t))
}

func TestInstallReplacesAnIdentityOnlyWhenTold(t *testing.T) {
	p := newPlatform(t)
	first, second, root := unpackIn(t, p), unpackIn(t, p), t.TempDir()
	if out, err := install(t, first, "--root", root); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before := contents(t, root)
	out, err := install(t, second, "--root", root)
	if err == nil || !strings.Contains(out, "--replace") || contents(t, root) != before {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := install(t, second, "--root", root, "--replace"); err != nil || contents(t, root) == before {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestInstallKeepsWhatWasRenewed runs a package again after the service has
// renewed what came with it.
func TestInstallKeepsWhatWasRenewed(t *testing.T) {
	p := newPlatform(t)
	folder, root := unpackIn(t, p), t.TempDir()
	if out, err := install(t, folder, "--root", root); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	renewed := filepath.Join(root, "etc", "edgesync", "certs", "component.pem")
	if err := os.WriteFile(renewed, []byte("renewed"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := contents(t, root)
	if out, err := install(t, folder, "--root", root); err != nil || contents(t, root) != before {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestUninstall(t *testing.T) {
	p := newPlatform(t)
	folder, root := unpackIn(t, p), t.TempDir()
	program := filepath.Join(t.TempDir(), "-pro gram'")
	if err := os.WriteFile(program, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(root, "usr", "local", "bin", "edgesync")
	for _, version := range []string{"first", "second"} {
		if err := os.WriteFile(program, []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := install(t, folder, "--root", root, "--binary", program); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := must(os.ReadFile(installed))(t); string(got) != version || must(os.Stat(installed))(t).Mode().Perm() != 0o755 {
			t.Errorf("the program is %q", got)
		}
	}
	if out, err := install(t, folder, "--root", root, "--uninstall"); err != nil || !strings.Contains(out, "--purge takes them away") {
		t.Fatalf("%v: %s", err, out)
	}
	for path, there := range map[string]bool{
		installed: false, filepath.Join(root, "etc", "systemd", "system", "edgesync-run.service"): false,
		filepath.Join(root, "etc", "edgesync", "certs", "component-key.pem"): true,
	} {
		if _, err := os.Stat(path); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	if out, err := install(t, folder, "--root", root, "--uninstall", "--purge"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if left, err := filepath.Glob(filepath.Join(root, "etc", "edgesync*")); err != nil || len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if out, err := install(t, folder, "--root", root, "--uninstall"); err != nil || !strings.Contains(out, "nothing is installed") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestInstallForContainers leaves files for the user of the image, and the
// command that runs it.
func TestInstallForContainers(t *testing.T) {
	p := newPlatform(t)
	for _, runtime := range []string{"podman", "docker"} {
		folder, root := unpackIn(t, p), t.TempDir()
		out, err := install(t, folder, "--root", root, "--runtime", runtime, "--image", "registry.example.com:5000/edgesync@sha256:0a")
		if err != nil || !strings.Contains(out, runtime+" run --detach") || !strings.Contains(out, " registry.example.com:5000/edgesync@sha256:0a run --config ") {
			t.Fatalf("%v: %s", err, out)
		}
		if _, err := os.Stat(filepath.Join(root, "etc", "systemd", "system", "edgesync-run.service")); err == nil {
			t.Error("there is a unit")
		}
	}
}

// TestScriptIsClean has shellcheck look at the script, where it is installed.
func TestScriptIsClean(t *testing.T) {
	folder := unpackIn(t, newPlatform(t))
	shells := []string{"sh"}
	for _, shell := range []string{"dash", "bash", "busybox"} {
		if _, err := exec.LookPath(shell); err == nil {
			shells = append(shells, shell)
		}
	}
	for _, shell := range shells {
		args := []string{"-n", filepath.Join(folder, "install.sh")}
		if shell == "busybox" {
			args = append([]string{"sh"}, args...)
		}
		if out, err := exec.Command(shell, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", shell, out)
		}
	}
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		if os.Getenv("EDGESYNC_REQUIRE_PACKAGES") != "" {
			t.Fatal("shellcheck is not installed")
		}
		t.Skip("shellcheck is not installed")
	}
	if out, err := exec.Command(shellcheck, "--shell=sh", filepath.Join(folder, "install.sh")).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}

// FuzzNames has whatever somebody calls a service, and writes for its gateway, in
// no file that acts.
func FuzzNames(f *testing.F) {
	p := newPlatform(f)
	in := packageInput(f, p)
	script := fileNamed(f, must(onboarding.PackageFiles(in))(f), "install.sh")
	for _, name := range []string{"'; reboot; '", "$(reboot)", "`reboot`", "a\nb", "\x00", "\u202e", "{{.Component}}", "| x |", "-rf", strings.Repeat("x", 5000)} {
		f.Add(name, "gateway.example.com:50052")
		f.Add("HQ", name+":50052")
	}
	f.Fuzz(func(t *testing.T, name, gateway string) {
		in := in
		in.Name, in.GatewayAddr = name, gateway
		files, err := onboarding.PackageFiles(in)
		if err != nil {
			return
		}
		if got := fileNamed(t, files, "install.sh"); got != script {
			t.Errorf("the script is another for %q at %q", name, gateway)
		}
		for _, file := range files {
			if strings.ContainsAny(string(file.Data), "\x00\x1b\r\u202e") {
				t.Errorf("%s has a control character", file.Path)
			}
		}
	})
}

func fileNamed(t testing.TB, files []onboarding.File, name string) string {
	t.Helper()
	for _, file := range files {
		if strings.HasSuffix(file.Path, "/"+name) {
			return string(file.Data)
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

func TestInstallRefuses(t *testing.T) {
	p := newPlatform(t)
	for name, test := range map[string]struct {
		spoil func(folder string) error
		args  []string
		want  string
	}{
		"a changed file":           {func(f string) error { return os.WriteFile(filepath.Join(f, "config", "sync.json"), nil, 0o600) }, nil, "changed"},
		"a missing file":           {func(f string) error { return os.Remove(filepath.Join(f, "certs", "ca-chain.pem")) }, nil, "missing"},
		"an unknown flag":          {nil, []string{"--force"}, "usage"},
		"a root that is not":       {nil, []string{"--root", "/nowhere/at all"}, "no such folder"},
		"a flag without its value": {nil, []string{"--root"}, "name a folder"},
		"an unknown runtime":       {nil, []string{"--runtime", "rc"}, "none of systemd, podman"},
		"an image with a command":  {nil, []string{"--image", "x;reboot"}, "no name of an image"},
		"an image like a flag":     {nil, []string{"--image", "--privileged"}, "no name of an image"},
		"a program that is not":    {nil, []string{"--binary", "/nowhere/at all"}, "no such file"},
		"purging alone":            {nil, []string{"--purge"}, "goes with --uninstall"},
		"starting an image":        {nil, []string{"--start"}, "not for --root"},
	} {
		t.Run(name, func(t *testing.T) {
			folder, root := unpackIn(t, p), t.TempDir()
			if test.spoil != nil {
				if err := test.spoil(folder); err != nil {
					t.Fatal(err)
				}
			}
			out, err := install(t, folder, append([]string{"--root", root}, test.args...)...)
			if err == nil || !strings.Contains(out, test.want) {
				t.Errorf("%v: %s", err, out)
			}
			if left := must(os.ReadDir(root))(t); len(left) != 0 {
				t.Errorf("left behind %v", left)
			}
		})
	}
}
