package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd"
	"edgesync/cmd/cmdutil"
	"edgesync/store/postgres/pgtest"
)

// names are what the names in examples and pages stand for on this machine:
// what they call a host is a port of loopback here, what they call a system's
// folder is one of the test's, a plain serve or faker listens on ports of its
// own, and nothing is installed on the machine that tests it.
func (w *world) names(a addrs, database string) []string {
	names := []string{
		"gateway.example.com:50052", a.gateway, "localhost:50052", a.gateway, "127.0.0.1:50052", a.gateway,
		"platform.example.com:9465", a.admin, ":9465", a.admin, "127.0.0.1:9464", a.metrics,
		"https://acme.armis.com", w.inventory.URL, "https://netbox.acme.example", w.inventory.URL,
		"postgres://edgesync@db.example.com/edgesync", "'" + database + "'",
		"/run/secrets/armis", w.path("secrets", "armis"), "/etc/bash_completion.d", w.path("etc", "bash_completion.d"),
		"/usr/local/share/zsh/site-functions", w.path("zsh"), "/usr/local/share/man/man1", w.path("man"),
		"/var/lib/edgesync", w.path("lib"), "/etc/edgesync/", w.path("edge-package-branch-sync") + "/",
		"| man -l -", "| cat >/dev/null", "| ssh vault 'cat >wednesday.backup'", "| cat >/dev/null",
		"enroll --install", "enroll",
		"edgesync serve", "edgesync serve --listen " + a.gateway + " --ca-listen " + a.ca + " --metrics-listen " + a.metrics,
		"edgesync faker", "edgesync faker --listen 127.0.0.1:0",
		"edgesync demo", "edgesync demo --devices 50", "--devices 50000", "--devices 50",
	}
	for name, id := range w.ids {
		names = append(names, name, id)
	}
	return names
}

// staying are the commands that go on until they are interrupted, with what they
// say once they work.
var staying = map[string]string{
	"edgesync serve":      "platform is served",
	"edgesync run":        "configuration applied",
	"edgesync faker":      "endpoint",
	"edgesync event tail": "service.onboarded|source.created",
}

// onTerminal are the commands that take a terminal over, with what is on it then
// and the key that leaves them.
var onTerminal = map[string]struct{ shows, key, code string }{
	"edgesync tui":     {"acme", "q", "0"},
	"edgesync onboard": {"Whose network it stands in", "C-c", "1"},
}

// live are the examples that want the platform served, and hq-sync online. They
// change it, if at all, in what no other asks for. All others have a platform
// of their own that nobody serves.
var live = map[string]bool{
	"edgesync service sync-now": true, "edgesync source sync-now": true, "edgesync source test": true,
	"edgesync run": true, "edgesync enroll": true, "edgesync doctor": true, "edgesync operator add": true, "edgesync event tail": true,
}

// commands are all there are, but those that only print their help.
func commands(root *cobra.Command) []*cobra.Command {
	found := []*cobra.Command{}
	for _, child := range root.Commands() {
		found = append(found, commands(child)...)
	}
	if !root.HasSubCommands() || root.Example != "" || root.HasLocalFlags() {
		found = append(found, root)
	}
	return found
}

func commandTree() *cobra.Command {
	streams, _, _ := cmdutil.TestStreams("")
	return cmd.NewRoot(&cmdutil.Factory{IO: streams, Env: func(string) (string, bool) { return "", false }, Now: time.Now})
}

// lines are the commands of an example, each on one line.
func lines(example string) []string {
	var found []string
	for line := range strings.Lines(strings.ReplaceAll(example, "\\\n", "")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	return found
}

// TestExamples runs every example in help, every page of the docs and the
// pipelines in docs/examples, on one small platform.
func TestExamples(t *testing.T) {
	w := newWorld(t)
	t.Run("help", w.testHelp)
	t.Run("pages", w.testPages)
}

func (w *world) testHelp(t *testing.T) {
	for _, c := range commands(commandTree()) {
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "_"), func(t *testing.T) {
			if c.Example == "" {
				t.Fatalf("%s has no Example: give it one, it is run here", c.CommandPath())
			}
			t.Parallel()
			w.tryCommand(t, c.CommandPath(), lines(c.Example))
		})
	}
}

// tryCommand runs the examples of a command, where the files they name are: on
// the platform that is served, or each on one of its own.
func (w *world) tryCommand(t *testing.T, path string, examples []string) {
	dir, state, ports := t.TempDir(), w.live, w.addrs
	must(t, os.WriteFile(filepath.Join(dir, "new-key"), []byte("canary\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "sync.json"), []byte(`{"kv_address": "kv:50057", "sources": {"netbox": {"type": "netbox", "endpoint": "https://netbox.acme.example",
		"credentials": {"api_token": "canary"}}}}`), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "passphrase"), []byte("correct horse canary\n"), 0o600))
	if strings.HasSuffix(path, " restore") {
		w.run(w.idle, "backup", filepath.Join(dir, "monday.backup"), "--passphrase-file", filepath.Join(dir, "passphrase"))
	}
	must(t, os.Symlink(w.path("edge-package-hq-sync"), filepath.Join(dir, "edge-package-hq-sync")))
	if !live[path] {
		ports = newAddrs(t)
	}
	for i, example := range examples {
		if !live[path] && (i == 0 || path != "edgesync") {
			state = filepath.Join(dir, "state", strconv.Itoa(i))
			w.stage(t, path, example, state)
		}
		database := ""
		if strings.Contains(example, "postgres://") {
			if !pgtest.Available() {
				t.Logf("SKIPPED: NO POSTGRESQL: %s", example)
				continue
			}
			database = pgtest.Database(t)
		}
		if path == "edgesync enroll" { // A token is good for one.
			w.run(w.live, "onboard", "--tenant", "globex", "--name", "Lab Sync", "--mode", "token", "--out", dir, "--no-input")
			must(t, os.Rename(filepath.Join(dir, "join-token-lab-sync.jwt"), filepath.Join(dir, "join-token-hq-sync.jwt")))
		}
		script := strings.NewReplacer(w.names(ports, database)...).Replace(example)
		if screen, ok := onTerminal[path]; ok && !strings.Contains(example, "--no-input") {
			w.tryOnTerminal(t, dir, state, script, screen.shows, screen.key, screen.code)
			continue
		}
		works := staying[path]
		if strings.Contains(example, "--once") {
			works = ""
		}
		w.try(t, w.command(state, dir, "bash", "-c", "set -o pipefail\n"+script), example, works)
	}
}

// stage makes the platform that the examples of a command begin with.
func (w *world) stage(t *testing.T, path, example, state string) {
	from := w.idle
	switch path {
	case "edgesync", "edgesync bootstrap":
		return
	case "edgesync restore", "edgesync store restore":
		if strings.Contains(example, "monday.backup") {
			return
		}
	case "edgesync tenant create":
		from = w.path("bare")
	case "edgesync source add":
		from = w.path("onboarded")
	}
	must(t, os.MkdirAll(filepath.Dir(state), 0o755))
	copyTree(t, from, state)
}

// try runs a script that must end well: by itself, or interrupted once it has
// said that it works.
func (w *world) try(t *testing.T, script *exec.Cmd, shown, works string) {
	t.Helper()
	var out output
	script.Stdout, script.Stderr = &out, &out
	script.Env = append(script.Env, "PATH="+w.path("bin")+":"+os.Getenv("PATH"))
	must(t, script.Start())
	ended := make(chan error, 1)
	go func() { ended <- script.Wait() }()
	group, interrupted, deadline := -script.Process.Pid, works == "", time.After(2*patience)
	defer syscall.Kill(group, syscall.SIGKILL)
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s\n%v\n%s", shown, err, out.String())
			}
			return
		case <-deadline:
			t.Fatalf("%s\nit does not end:\n%s", shown, out.String())
		case <-time.After(20 * time.Millisecond): // Between two looks.
			if !interrupted && regexp.MustCompile(works).MatchString(out.String()) {
				interrupted = true
				_ = syscall.Kill(group, syscall.SIGINT)
			}
		}
	}
}

// tryOnTerminal runs a command in a real terminal, and leaves it by a key.
func (w *world) tryOnTerminal(t *testing.T, dir, state, script, shows, key, code string) {
	x := newTerminal(t, t.TempDir())
	x.text("cd " + dir + "; EDGESYNC_STATE_DIR=" + state + " " + script + "; echo left with $?")
	x.keys("Enter")
	x.sees(shows)
	x.keys(key)
	x.sees("left with " + code)
}

// output is what a process has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
