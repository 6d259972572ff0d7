package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const (
	testVersion = "v1.2.3-4-gabcdef0"
	testEpoch   = "1700000000"
)

// made is a release for this host, made once.
var made = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "edgesync-dist-*")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "dist"), makeIn("..", filepath.Join(dir, "dist"))
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dist, _ := made(); dist != "" {
		_ = os.RemoveAll(filepath.Dir(dist))
	}
	os.Exit(code)
}

func makeIn(root, out string) error {
	release, err := newRelease(root, testVersion, func(string) (string, bool) { return testEpoch, true })
	if err != nil {
		return err
	}
	release.commit = strings.Repeat("a", 40)
	targets, err := parseTargets("host")
	return errors.Join(err, release.make(out, targets))
}

func dist(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("packages are made on Linux")
	}
	dir, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// TestSameSourcesMakeTheSameBytes makes the release again from a copy of the
// sources in another folder, under another umask, time zone and language.
func TestSameSourcesMakeTheSameBytes(t *testing.T) {
	first := dist(t)
	copied := copySources(t)
	t.Setenv("TZ", "Pacific/Chatham")
	t.Setenv("LC_ALL", "C")
	second := filepath.Join(t.TempDir(), "elsewhere", "dist")
	if err := makeIn(copied, second); err != nil {
		t.Fatal(err)
	}
	names := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
	if a, b := names(first), names(second); !slices.Equal(a, b) || len(a) != 5 {
		t.Fatalf("made %v and %v", a, b)
	}
	for _, name := range names(first) {
		if !bytes.Equal(read(t, filepath.Join(first, name)), read(t, filepath.Join(second, name))) {
			t.Errorf("%s differs", name)
		}
	}
	if out, err := command(first, nil, "sha256sum", "--check", "--strict", "SHA256SUMS"); err != nil || strings.Count(string(out), ": OK") != 4 {
		t.Errorf("checksums: %s, %v", out, err)
	}
}

// copySources copies what git knows of the tree.
func copySources(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	out, err := command("..", nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Skipf("no repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join("..", name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		target := filepath.Join(to, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(target), 0o700)
		}
		if err == nil {
			err = os.WriteFile(target, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestArchiveHasAllThatIsNeeded(t *testing.T) {
	files := untar(t, read(t, only(t, dist(t), "*.tar.gz")))
	top := "edgesync_1.2.3+4.abcdef0_linux_" + runtime.GOARCH + "/"
	for _, name := range []string{"edgesync", "LICENSE", "README.md", "THIRD-PARTY-LICENSES", "serve.yaml", "man/man1/edgesync.1", "man/man1/edgesync-source-add.1",
		"completions/edgesync.bash", "completions/_edgesync", "completions/edgesync.fish", "completions/edgesync.ps1",
		"systemd/edgesync-serve.service", "systemd/edgesync-run.service", "systemd/edgesync-platform-sync.service"} {
		if len(files[top+name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range files {
		if !strings.HasPrefix(name, top) {
			t.Errorf("%s is outside its folder", name)
		}
	}
	for _, module := range []string{"google.golang.org/grpc ", "modernc.org/sqlite ", "Go go1"} {
		if !bytes.Contains(files[top+"THIRD-PARTY-LICENSES"], []byte("\n"+module)) {
			t.Errorf("no licence of %s", module)
		}
	}
	if !bytes.Contains(files[top+"man/man1/edgesync.1"], []byte("Nov 2023")) {
		t.Error("a manual page is not dated as the sources are")
	}
	binary := filepath.Join(t.TempDir(), "edgesync")
	if err := os.WriteFile(binary, files[top+"edgesync"], 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := command(".", nil, binary, "version", "-o", "json")
	var version struct{ Version, Commit, Time string }
	if err != nil || json.Unmarshal(out, &version) != nil || version.Version != testVersion || version.Commit != strings.Repeat("a", 40) || version.Time != "2023-11-14T22:13:20Z" {
		t.Errorf("it says %s, %v", out, err)
	}
	if out, err := exec.Command("ldd", binary).CombinedOutput(); err == nil {
		t.Errorf("it is not static: %s", out)
	}
	checkSettings(t, binary, files[top+"serve.yaml"])
	checkCompletion(t, files[top+"completions/edgesync.bash"], filepath.Dir(binary))
}

// checkCompletion has a shell complete what a user began to type.
func checkCompletion(t *testing.T, script []byte, bin string) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	// Without the package bash-completion these are not there.
	const typed = `
_get_comp_words_by_ref() { words=(edgesync serve con); cword=2; cur=con; prev=serve; }
__ltrim_colon_completions() { :; }
COMP_WORDS=(edgesync serve con) COMP_CWORD=2 COMP_LINE='edgesync serve con' COMP_POINT=18 COMP_TYPE=9
__start_edgesync edgesync con serve
printf '%s\n' "${COMPREPLY[@]}"
complete -p edgesync
`
	out, err := command(bin, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, bash, "-c", string(script)+typed)
	if lines := strings.Fields(string(out)); err != nil || len(lines) < 2 || lines[0] != "config" || !strings.Contains(string(out), "-F __start_edgesync edgesync") {
		t.Errorf("completed to %q: %v", out, err)
	}
}

// checkSettings has the file of settings name every setting, with its default.
func checkSettings(t *testing.T, binary string, file []byte) {
	t.Helper()
	type setting struct {
		Setting, Origin string
		Value           any
	}
	show := func(config string) map[string]setting {
		out, err := command(t.TempDir(), []string{"EDGESYNC_STATE_DIR=", "EDGESYNC_DATABASE="}, binary, "serve", "config", "show", "-o", "json", "--config", config)
		var list []setting
		if err != nil || json.Unmarshal(out, &list) != nil {
			t.Fatalf("show settings: %s, %v", out, err)
		}
		found := map[string]setting{}
		for _, s := range list {
			found[s.Setting] = s
		}
		return found
	}
	dir := t.TempDir()
	plain, spoken := filepath.Join(dir, "plain.yaml"), filepath.Join(dir, "spoken.yaml")
	var uncommented strings.Builder
	for line := range strings.Lines(string(file)) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
			line = rest
		}
		uncommented.WriteString(line)
	}
	for path, text := range map[string]string{plain: string(file), spoken: uncommented.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defaults, said := show(plain), show(spoken)
	for name, s := range said {
		if defaults[name].Origin == "file" || s.Origin != "file" {
			t.Errorf("%s comes from %s, and from %s when all is spoken out: say it in files/serve.yaml, behind a #", name, defaults[name].Origin, s.Origin)
		}
		a, b := marshal(t, defaults[name].Value), marshal(t, s.Value)
		if a != b && !slices.Contains([]string{"database", "database_password_file", "event_retention", "state_dir"}, name) {
			t.Errorf("%s is %s by default, and the file says %s", name, a, b)
		}
	}
}

func marshal(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBillOfMaterials(t *testing.T) {
	var bill cdx.BOM
	data := read(t, only(t, dist(t), "*.cdx.json"))
	if err := cdx.NewBOMDecoder(bytes.NewReader(data), cdx.BOMFileFormatJSON).Decode(&bill); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{}
	for _, component := range *bill.Components {
		if component.PackageURL == "" || component.Version == "" || refs[component.BOMRef] {
			t.Errorf("component %+v", component)
		}
		refs[component.BOMRef] = true
	}
	for _, dependency := range *(*bill.Dependencies)[0].Dependencies {
		if !refs[dependency] {
			t.Errorf("%s is no component", dependency)
		}
	}
	found := 0
	for ref := range refs {
		for _, want := range []string{"pkg:golang/std@go", "pkg:golang/google.golang.org/grpc@v", "pkg:golang/modernc.org/sqlite@v"} {
			if strings.HasPrefix(ref, want) {
				found++
			}
		}
	}
	if found != 3 || len(refs) < 50 || bill.Metadata.Timestamp != "2023-11-14T22:13:20Z" {
		t.Errorf("%d of 3 known among %d components, made at %s", found, len(refs), bill.Metadata.Timestamp)
	}
}

// untar is what regular files an archive holds.
func untar(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if !header.ModTime.Equal(time.Unix(1_700_000_000, 0)) || header.Uid != 0 || header.Mode&^0o755 != 0 {
				t.Errorf("%s: %v, %d, %o", header.Name, header.ModTime, header.Uid, header.Mode)
			}
			if files[header.Name], err = io.ReadAll(archive); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The rpm is looked at with rpm's own tool where there is one.
func TestRPM(t *testing.T) {
	path := only(t, dist(t), "*.rpm")
	rpm, err := exec.LookPath("rpm")
	if err != nil {
		if data := read(t, path); !bytes.HasPrefix(data, []byte{0xed, 0xab, 0xee, 0xdb}) {
			t.Error("it has no rpm's lead")
		}
		t.Skip("rpm is not installed: the package was not looked into")
	}
	db := "--dbpath=" + t.TempDir()
	out, err := command(".", nil, rpm, db, "-qp", "--qf", "%{NAME} %{VERSION} %{RELEASE} %{LICENSE} %{BUILDHOST} %{BUILDTIME}\n", path)
	if err != nil || string(out) != "edgesync 1.2.3+4.abcdef0 1 Apache-2.0 localhost "+testEpoch+"\n" {
		t.Errorf("it says %s, %v", out, err)
	}
	out, err = command(".", nil, rpm, db, "-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES} %{FILEFLAGS:fflags}\n]", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-rwxr-xr-x root /usr/bin/edgesync \n", "-rw-r--r-- root /etc/edgesync/serve.yaml cn\n", "/usr/share/zsh/site-functions/_edgesync"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out, err := command(".", nil, rpm, db, "--checksig", "--nosignature", path); err != nil {
		t.Errorf("%s, %v", out, err)
	}
	if scripts, err := command(".", nil, rpm, db, "-qp", "--scripts", path); err != nil || !strings.Contains(string(scripts), "useradd --system") {
		t.Errorf("%s, %v", scripts, err)
	}
}

func TestScriptsAreClean(t *testing.T) {
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed")
	}
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		if out, err := exec.Command(shellcheck, "--shell=sh", "--enable=all", "--exclude=SC2312,SC2250,SC2248,SC2292", filepath.Join("files", name)).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
