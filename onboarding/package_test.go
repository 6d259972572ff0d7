package onboarding_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgesync/onboarding"
)

func packageInput(t testing.TB, p *platform) onboarding.PackageInput {
	t.Helper()
	return onboarding.PackageInput{
		Name: "HQ sync", Tenant: "acme", Partition: "default", Component: "hq-sync",
		GatewayAddr: "gateway.example.com:50052", ServerName: gatewayName, Identity: p.identity(t),
	}
}

func writePackage(t testing.TB, p *platform) string {
	t.Helper()
	files := must(onboarding.PackageFiles(packageInput(t, p)))(t)
	return must(onboarding.WritePackage(filepath.Join(t.TempDir(), "out"), files))(t)
}

// untar unpacks as a user would.
func untar(t testing.TB, archive, dir string) string {
	t.Helper()
	if out, err := exec.Command("tar", "-xzf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "edge-package-hq-sync")
}

// TestPackageWorksWhereItIsUnpacked goes from the package to a connection the
// gateway knows the tenant of.
func TestPackageWorksWhereItIsUnpacked(t *testing.T) {
	p := newPlatform(t)
	archive := writePackage(t, p)
	if filepath.Base(archive) != "edge-package-hq-sync.tar.gz" || must(os.Stat(archive))(t).Mode().Perm() != 0o600 {
		t.Errorf("archive %s", archive)
	}
	folder := untar(t, archive, t.TempDir())
	for name, mode := range map[string]fs.FileMode{
		"certs": 0o700, "certs/component.pem": 0o644, "certs/component-key.pem": 0o600, "certs/ca-chain.pem": 0o644, "certs/ca.json": 0o644,
		"config/sync.json": 0o644, "edgesync-run.service": 0o644, "install.sh": 0o755, "README.md": 0o644, "SHA256SUMS": 0o644,
	} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	check := exec.Command("sha256sum", "-c", "SHA256SUMS")
	check.Dir = folder
	if out, err := check.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 8 {
		t.Errorf("%v: %s", err, out)
	}
	config := must(onboarding.LoadConfig(filepath.Join(folder, "config", "sync.json")))(t)
	peer := p.connect(t, must(config.ClientTLS())(t))
	if peer.TenantID != p.acmeID || peer.Component != config.AgentID || peer.Partition != config.Partition {
		t.Errorf("the gateway saw %+v", peer)
	}
}

func TestPackageIsDeterministic(t *testing.T) {
	in := packageInput(t, newPlatform(t))
	var archives [][]byte
	for range 2 {
		path := must(onboarding.WritePackage(t.TempDir(), must(onboarding.PackageFiles(in))(t)))(t)
		archives = append(archives, must(os.ReadFile(path))(t))
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same input made two packages")
	}
}

func TestPackageReadsBackAndUnpacks(t *testing.T) {
	p := newPlatform(t)
	files := must(onboarding.PackageFiles(packageInput(t, p)))(t)
	archive := must(onboarding.WritePackage(t.TempDir(), files))(t)
	read := must(onboarding.ReadPackage(bytes.NewReader(must(os.ReadFile(archive))(t))))(t)
	same := slices.EqualFunc(files, read, func(a, b onboarding.File) bool {
		return a.Path == b.Path && a.Mode == b.Mode && bytes.Equal(a.Data, b.Data) && a.ModTime.Equal(b.ModTime)
	})
	if !same {
		t.Fatal("it reads back as something else")
	}
	dir := t.TempDir()
	if err := onboarding.WriteFolder(dir, read); err != nil {
		t.Fatal(err)
	}
	if err := onboarding.WriteFolder(dir, read); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("unpacked over itself: %v", err)
	}
	config := must(onboarding.LoadConfig(filepath.Join(dir, "edge-package-hq-sync", "config", "sync.json")))(t)
	p.connect(t, must(config.ClientTLS())(t))
}

func TestPackageInputThatCannotWorkIsRefused(t *testing.T) {
	p := newPlatform(t)
	for name, spoil := range map[string]func(*onboarding.PackageInput){
		"component with a slash": func(in *onboarding.PackageInput) { in.Component = "../hq" },
		"another component":      func(in *onboarding.PackageInput) { in.Component = "other" },
		"another tenant":         func(in *onboarding.PackageInput) { in.Tenant = "beta" },
		"another partition":      func(in *onboarding.PackageInput) { in.Partition = "lab" },
		"no gateway":             func(in *onboarding.PackageInput) { in.GatewayAddr = "" },
		"no server name":         func(in *onboarding.PackageInput) { in.ServerName = "" },
		"gateway with a quote":   func(in *onboarding.PackageInput) { in.GatewayAddr = "g';reboot;':50052" },
		"no identity":            func(in *onboarding.PackageInput) { in.Identity = onboarding.Identity{} },
	} {
		t.Run(name, func(t *testing.T) {
			in := packageInput(t, p)
			spoil(&in)
			if files, err := onboarding.PackageFiles(in); err == nil {
				t.Errorf("made %d files", len(files))
			}
		})
	}
}

// TestNamesStayText has a name that would be a command, a control sequence and
// markup if it got anywhere it could act.
func TestNamesStayText(t *testing.T) {
	in := packageInput(t, newPlatform(t))
	in.Name = "HQ'; $(reboot) `id`\n\x1b[31m\u202e<script>| x"
	for _, f := range must(onboarding.PackageFiles(in))(t) {
		text := string(f.Data)
		if strings.Contains(text, "reboot") != strings.HasSuffix(f.Path, "README.md") {
			t.Errorf("%s has the name in it", f.Path)
		}
		if strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, " <script") {
			t.Errorf("%s has it raw", f.Path)
		}
	}
}

// archiveOf is a package as somebody else might make it.
func archiveOf(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	for _, h := range entries {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name string, size int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size}
}

// TestHostilePackageIsRefused has one row for each trick an archive can play.
func TestHostilePackageIsRefused(t *testing.T) {
	const top = "edge-package-x/"
	many := make([]tar.Header, 100)
	for n := range many {
		many[n] = file(top+strings.Repeat("a", n+1), 1)
	}
	folders := make([]tar.Header, 100)
	for n := range folders {
		folders[n] = tar.Header{Typeflag: tar.TypeDir, Name: top + strings.Repeat("a", n+1) + "/"}
	}
	big := make([]tar.Header, 12)
	for n := range big {
		big[n] = file(top+strings.Repeat("b", n+1), 1<<20)
	}
	for name, test := range map[string]struct {
		archive []byte
		want    string
	}{
		"dot-dot":             {archiveOf(t, file(top+"../../etc/passwd", 1)), "not a name below"},
		"absolute":            {archiveOf(t, file("/etc/passwd", 1)), "not a name below"},
		"backslashes":         {archiveOf(t, file(top+`..\..\x`, 1)), "not a name below"},
		"control characters":  {archiveOf(t, file(top+"a\x1b[2J", 1)), "not a name below"},
		"outside the folder":  {archiveOf(t, file("elsewhere/x", 1)), "not a name below"},
		"two folders":         {archiveOf(t, file(top+"x", 1), file("edge-package-y/x", 1)), "not below the package's folder"},
		"not in a folder":     {archiveOf(t, file("edge-package-x", 1)), "not in the package's folder"},
		"symbolic link":       {archiveOf(t, tar.Header{Typeflag: tar.TypeSymlink, Name: top + "x", Linkname: "/etc/passwd"}), "neither a file nor a folder"},
		"hard link":           {archiveOf(t, tar.Header{Typeflag: tar.TypeLink, Name: top + "x", Linkname: "/etc/passwd"}), "neither a file nor a folder"},
		"device":              {archiveOf(t, tar.Header{Typeflag: tar.TypeChar, Name: top + "x", Devmajor: 1, Devminor: 5}), "neither a file nor a folder"},
		"named pipe":          {archiveOf(t, tar.Header{Typeflag: tar.TypeFifo, Name: top + "x"}), "neither a file nor a folder"},
		"the same file twice": {archiveOf(t, file(top+"x", 1), file(top+"x", 1)), "twice"},
		"bomb: one file":      {archiveOf(t, file(top+"x", 64<<20)), "larger than"},
		"bomb: all files":     {archiveOf(t, big...), "unpacks to more"},
		"many files":          {archiveOf(t, many...), "unpacks to more"},
		"many folders":        {archiveOf(t, folders...), "unpacks to more"},
		"a large archive":     {make([]byte, 5<<20), "larger than"},
		"no checksums":        {archiveOf(t, file(top+"x", 1)), "no SHA256SUMS"},
		"empty checksums":     {archiveOf(t, file(top+"x", 1), file(top+"SHA256SUMS", 0)), "does not list"},
		"nothing":             {archiveOf(t), "no SHA256SUMS"},
		"not an archive":      {[]byte("edge package"), "gzip"},
		"cut short":           {archiveOf(t, file(top+"x", 1))[:40], "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := onboarding.ReadPackage(bytes.NewReader(test.archive))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestChangedPackageIsRefused(t *testing.T) {
	files := must(onboarding.PackageFiles(packageInput(t, newPlatform(t))))(t)
	files[0].Data = append(slices.Clone(files[0].Data), '\n')
	archive := must(onboarding.WritePackage(t.TempDir(), files))(t)
	_, err := onboarding.ReadPackage(bytes.NewReader(must(os.ReadFile(archive))(t)))
	if err == nil || !strings.Contains(err.Error(), "changed") {
		t.Fatal(err)
	}
}

// TestUnpackingStaysInside tries names and links that lead out.
func TestUnpackingStaysInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "edge-package-x.next")); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{"edge-package-x/a", "edge-package-x/../../b"}, {"edge-package-x/a", "/b"}, {"../b/c"}, {"edge-package-x/a", "edge-package-y/b"}} {
		var files []onboarding.File
		for _, n := range names {
			files = append(files, onboarding.File{Path: n, Mode: 0o644})
		}
		if err := onboarding.WriteFolder(dir, files); err == nil {
			t.Errorf("%q was unpacked", names)
		}
	}
	if err := onboarding.WriteFolder(dir, []onboarding.File{{Path: "edge-package-x/a", Mode: 0o644}}); err != nil {
		t.Error(err)
	}
	if left := must(os.ReadDir(outside))(t); len(left) != 0 {
		t.Errorf("wrote outside: %v", left)
	}
	if left := must(os.ReadDir(dir))(t); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func FuzzReadPackage(f *testing.F) {
	files := must(onboarding.PackageFiles(packageInput(f, newPlatform(f))))(f)
	f.Add(must(os.ReadFile(must(onboarding.WritePackage(f.TempDir(), files))(f)))(f))
	f.Add(archiveOf(f, file("edge-package-x/../y", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := onboarding.ReadPackage(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, r := range read {
			if !fs.ValidPath(r.Path) || !filepath.IsLocal(r.Path) || !strings.HasPrefix(r.Path, "edge-package-") || r.Mode&^0o755 != 0 {
				t.Fatalf("let through %q with mode %v", r.Path, r.Mode)
			}
		}
	})
}
