// Package docs_test holds the code to what docs/ARCHITECTURE.md says of it.
package docs_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "edgesync/"

// rooms are the top level's folders, and nothing else belongs there.
var rooms = []string{
	"admin", "agent", "certs", "cmd", "core", "deploy", "dire", "docs", "faker", "gateway",
	"onboarding", "packaging", "proto", "seal", "store", "syncrun", "tui",
}

// imports lists, for each package of the module, what it reaches: itself, its
// imports and theirs. Tests are left out: they may cross any wall.
func imports(t *testing.T, format string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", "nobadger,nomysql,nobbolt,nopgx", "-f", format, "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	found := map[string][]string{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		found[fields[0]] = fields[1:]
	}
	return found
}

func within(pkg, room string) bool {
	return pkg == module+room || strings.HasPrefix(pkg, module+room+"/")
}

func TestNoRoomReachesWhatItMustNot(t *testing.T) {
	bans := []struct{ room, banned, reason string }{
		{"syncrun", "store", "an edge host's runtime must not carry the platform"},
		{"syncrun", "core", "an edge host's runtime must not carry the platform"},
		{"syncrun", "dire", "an edge host's runtime must not carry the platform"},
		{"tui", "store", "the terminal interface speaks the admin API only"},
		{"tui", "core", "the terminal interface speaks the admin API only"},
		{"tui", "dire", "the terminal interface speaks the admin API only"},
		{"onboarding", "store", "onboarding works on hosts that have no platform"},
		{"onboarding", "core", "onboarding works on hosts that have no platform"},
		{"onboarding", "dire", "onboarding works on hosts that have no platform"},
		{"gateway", "store", "the gateway asks core, which binds a tenant once"},
		{"gateway", "core", "the gateway states what it needs as an interface of its own"},
		{"core", "store", "core declares the store it needs; adapters implement it"},
		{"core", "gateway", "core is asked by the gateway, never the other way round"},
		{"core", "admin", "core is asked by the admin API, never the other way round"},
		{"admin", "store", "the admin API is over core"},
		{"store", "gateway", "a store keeps rows and knows no protocol"},
		{"certs", "core", "identity is decided without the platform"},
		{"certs", "store", "identity is decided without the platform"},
		{"proto", "core", "the protocol stands by itself"},
	}
	for pkg, reached := range imports(t, `{{.ImportPath}} {{join .Deps " "}}`) {
		for _, ban := range bans {
			if !within(pkg, ban.room) {
				continue
			}
			for _, dep := range reached {
				if within(dep, ban.banned) {
					t.Errorf("%s reaches %s: %s", pkg, dep, ban.reason)
				}
			}
		}
	}
}

func TestOnlyItsOwnersImportALibrary(t *testing.T) {
	owners := []struct {
		library string
		rooms   []string
		reason  string
	}{
		{"github.com/smallstep/certificates", []string{"certs"}, "the authority is certs' alone"},
		{module + "certs/ca", []string{"certs", "core", "cmd"}, "the enrolment server belongs to the platform"},
		{module + "store/sqlite", []string{"cmd"}, "only the wiring names a store adapter"},
		{module + "store/postgres", []string{"cmd"}, "only the wiring names a store adapter"},
		{"modernc.org/sqlite", []string{"store/sqlite"}, "what the stores share knows no driver"},
		{"github.com/jackc/pgx", []string{"store/postgres"}, "what the stores share knows no driver"},
		{"go.opentelemetry.io/otel/sdk", []string{"cmd"}, "where traces go is decided by the wiring"},
		{"go.opentelemetry.io/otel/exporters", []string{"cmd"}, "where traces go is decided by the wiring"},
		{"github.com/tink-crypto/tink-go", []string{"seal"}, "encryption at rest has one home"},
	}
	for pkg, direct := range imports(t, `{{.ImportPath}} {{join .Imports " "}}`) {
		for _, owner := range owners {
			for _, dep := range direct {
				if dep != owner.library && !strings.HasPrefix(dep, owner.library+"/") {
					continue
				}
				if strings.HasPrefix(pkg, owner.library) {
					continue
				}
				if !slices.ContainsFunc(owner.rooms, func(room string) bool { return within(pkg, room) }) {
					t.Errorf("%s imports %s: %s", pkg, dep, owner.reason)
				}
			}
		}
	}
}

func TestDireImportsTheStandardLibraryOnly(t *testing.T) {
	for pkg, direct := range imports(t, `{{.ImportPath}} {{join .Imports " "}}`) {
		if !within(pkg, "dire") || pkg == module+"dire/diretest" {
			continue
		}
		for _, dep := range direct {
			if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") || first == strings.TrimSuffix(module, "/") {
				t.Errorf("%s imports %s: identity is decided by a pure function of its input", pkg, dep)
			}
		}
	}
}

func TestTopLevelStaysShort(t *testing.T) {
	out, err := exec.Command("git", "-C", "..", "ls-files").Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	files := []string{".ci", ".gitignore", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum"}
	for path := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(strings.TrimSpace(path), "/")
		if !slices.Contains(rooms, top) && !slices.Contains(files, top) {
			t.Errorf("%s is on the top level, which docs/ARCHITECTURE.md keeps to the rooms", top)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for pkg, doc := range imports(t, `{{.ImportPath}} {{if .GoFiles}}{{.Doc}}{{else}}(tests only){{end}}`) {
		if len(doc) == 0 && !strings.Contains(pkg, "/proto/") {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, ".pb.go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if lines := bytes.Count(data, []byte("\n")); lines > 500 {
			t.Errorf("%s has %d lines: past 500 an idea is missing", path, lines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
