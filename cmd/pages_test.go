package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgesync/store/postgres/pgtest"
)

// A page's sh blocks are one session of a shell, from the first to the last. A
// block that cannot run here says so behind the sh, and is only read by bash:
// needs-systemd, needs-docker, needs-debian, whatever it needs. One that needs
// curl runs where there is curl.

// block is a fenced block of a page.
type block struct {
	line           int
	language, text string
	// marks are what stands behind the language.
	marks []string
}

// runs tells whether a block can be run on this machine.
func (b block) runs() bool {
	for _, mark := range b.marks {
		if _, err := exec.LookPath("curl"); mark != "needs-curl" || err != nil {
			return false
		}
	}
	return true
}

// readBlocks finds the fenced blocks, those in lists too.
func readBlocks(page string) []block {
	var found []block
	open, indent, number := false, "", 0
	for line := range strings.Lines(page) {
		number++
		text := strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(text, "```") && open:
			last := &found[len(found)-1]
			last.text += strings.TrimPrefix(line, indent)
		case !strings.HasPrefix(text, "```"):
		case open:
			open = false
		default:
			open, indent = true, line[:strings.Index(line, "`")]
			words := append(strings.Fields(strings.Trim(text, "`")), "")
			found = append(found, block{line: number, language: words[0], marks: words[1 : len(words)-1]})
		}
	}
	return found
}

// pages are those that people write, by their paths from the repository's root.
func pages(t *testing.T) []string {
	found := []string{"README.md", "CONTRIBUTING.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md", "docs/examples/*.md", "deploy/*.md", "deploy/*/*.md", "deploy/*/*/*.md"} {
		more, err := filepath.Glob(filepath.Join("..", pattern))
		must(t, err)
		for _, path := range more {
			found = append(found, filepath.ToSlash(strings.TrimPrefix(path, "../")))
		}
	}
	return found
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	must(t, err)
	return string(text)
}

// beginnings are what a page's session begins with, where that is not a copy of
// the platform that nobody serves: nothing at all, nothing but a database, or
// the platform while it is served.
var beginnings = map[string]string{
	"README.md": "nothing", "docs/first-hour.md": "nothing", "docs/running-the-platform.md": "nothing",
	"docs/scaling-out.md": "database", "docs/troubleshooting.md": "served", "docs/onboarding-in-ci.md": "served",
	"docs/watching.md": "served",
}

func (w *world) testPages(t *testing.T) {
	for _, page := range pages(t) {
		blocks := slices.DeleteFunc(readBlocks(readPage(t, page)), func(b block) bool { return b.language != "sh" })
		if len(blocks) == 0 {
			continue
		}
		// Short: the path of a socket in the test's folder must be.
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			for _, b := range blocks {
				checkBlock(t, page, b)
			}
			t.Parallel()
			w.in(t).tryPage(page, slices.DeleteFunc(blocks, func(b block) bool { return !b.runs() }))
		})
	}
}

// checkBlock has bash read a block, which runs nothing.
func checkBlock(t *testing.T, page string, b block) {
	for _, mark := range b.marks {
		if !strings.HasPrefix(mark, "needs-") {
			t.Errorf("%s:%d: %q says nothing to the test: say needs-SOMETHING where a block cannot be run", page, b.line, mark)
		}
	}
	read := exec.Command("bash", "-n")
	read.Stdin = strings.NewReader(b.text)
	if out, err := read.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v: %s", page, b.line, err, out)
	}
}

// tryPage runs the blocks of a page one after the other in one shell.
func (w *world) tryPage(page string, blocks []block) {
	t := w.t
	dir, state, ports, database := t.TempDir(), w.live, w.addrs, ""
	if beginnings[page] != "served" {
		state, ports = filepath.Join(dir, "state"), newAddrs(t)
	}
	switch beginnings[page] {
	case "":
		copyTree(t, w.idle, state)
	case "database":
		if !pgtest.Available() {
			t.Skip("SKIPPED: NO POSTGRESQL")
		}
		database = pgtest.Database(t)
	}
	// What goes on in the background ends with the page.
	script := "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"
	for _, b := range blocks {
		script += fmt.Sprintf("echo '== %s:%d' >&2\n%s\n", page, b.line, b.text)
	}
	script = strings.NewReplacer(w.pageNames(dir, ports, database)...).Replace(script)
	w.try(trial{script: w.command(state, dir, "bash", "-c", script), shown: page})
}

// pageNames are the names of examples, and what only pages have: a second
// platform's ports on the same host, and time to wait.
func (w *world) pageNames(dir string, ports addrs, database string) []string {
	more := addresses(w.t, 4)
	return append(w.names(dir, ports, database),
		"127.0.0.1:8480", more[0], ":50062", more[1], ":9453", more[2], "127.0.0.1:9474", more[3], "sleep 1", "sleep 0.05")
}
