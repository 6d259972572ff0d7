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
	assertFiles(t, etc, map[string]fs.FileMode{"certs": 0o700, "config": 0o755})
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
