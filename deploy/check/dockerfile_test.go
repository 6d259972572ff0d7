package check

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDockerfile(t *testing.T) {
	parsed, err := parser.Parse(bytes.NewReader(read(t, "../Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range parsed.Warnings {
		t.Error(warning.Short)
	}
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) { t.Errorf("%s: %s", rule, message) }}))
	if err != nil {
		t.Fatal(err)
	}
	last := stages[len(stages)-1]
	if last.BaseName != "scratch" {
		t.Errorf("the image is of %s", last.BaseName)
	}
	user, built := "", ""
	for _, command := range last.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.CopyCommand:
			if c.From != stages[0].Name {
				t.Errorf("%s copies from %q", c, c.From)
			}
		case *instructions.EntrypointCommand:
			if !slices.Equal(c.CmdLine, []string{"/usr/bin/edgesync"}) || c.PrependShell {
				t.Errorf("the image runs %v", c.CmdLine)
			}
		}
	}
	if user != "65532:65532" {
		t.Errorf("the image runs as %q", user)
	}
	for _, command := range stages[0].Commands {
		if run, ok := command.(*instructions.RunCommand); ok && strings.Contains(strings.Join(run.CmdLine, " "), "go build") {
			built = strings.Join(run.CmdLine, " ")
		}
	}
	// It is built as it is built elsewhere.
	makefile := string(read(t, "../../Makefile"))
	tags := regexp.MustCompile(`(?m)^TAGS +:= (.*)$`).FindStringSubmatch(makefile)
	if tags == nil || !strings.Contains(built, "-tags "+tags[1]+" ") || !strings.Contains(built, "CGO_ENABLED=0") || !strings.Contains(built, "-X edgesync/cmd/cmdutil.Version=") {
		t.Errorf("it is built by %s", built)
	}
	module := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(read(t, "../../go.mod")))
	if stages[0].BaseName != "golang:"+module[1]+"-bookworm" {
		t.Errorf("it is built with %s, and the module is of Go %s", stages[0].BaseName, module[1])
	}
}

// TestImageIsBuiltOfAllThatItNeeds has what is not sent to the builder be nothing
// that the program is made of.
func TestImageIsBuiltOfAllThatItNeeds(t *testing.T) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, "../Dockerfile.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	const format = `{{if .Module}}{{if .Module.Main}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	list := exec.Command("go", "list", "-deps", "-tags", "nobadger,nomysql,nobbolt,nopgx", "-f", format, "./cmd/edgesync")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skip("no repository")
	}
	root := strings.TrimSpace(string(top)) + "/"
	needed := strings.Fields(string(out))
	for _, path := range append(needed, root+"go.mod", root+"go.sum") {
		name := strings.TrimPrefix(path, root)
		if no, err := ignored.MatchesOrParentMatches(name); err != nil || no {
			t.Errorf("%s is not sent to the builder (%v)", name, err)
		}
	}
	for _, name := range []string{".git/HEAD", "deploy/secrets/database-password", "docs/SPEC.md", "dist/SHA256SUMS", "state/keyset.json"} {
		if no, err := ignored.MatchesOrParentMatches(name); err != nil || !no {
			t.Errorf("%s is sent to the builder (%v)", name, err)
		}
	}
	if len(needed) < 100 {
		t.Errorf("only %d files are needed", len(needed))
	}
}
