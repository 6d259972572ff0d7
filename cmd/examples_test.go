package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	t.Parallel()
	if raceDetector {
		t.Skip("it is about texts: the scripts run the same commands under the race detector")
	}
	w := newWorld(t)
	t.Run("help", w.testHelp)
	t.Run("pages", w.testPages)
	t.Run("pipelines", w.testPipelines)
}

func (w *world) testHelp(t *testing.T) {
	run := map[string]bool{}
	for _, c := range commands(commandTree()) {
		if c.Example != "" && run[c.Example] {
			continue // The same command in another place.
		}
		run[c.Example] = true
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "_"), func(t *testing.T) {
			if !strings.Contains(c.Example, c.CommandPath()) {
				t.Fatalf("%s has no Example of itself: give it one, it is run here", c.CommandPath())
			}
			t.Parallel()
			w.in(t).tryCommand(c.CommandPath(), lines(c.Example))
		})
	}
}

// tryCommand runs the examples of a command: on the platform that is served, or
// each on one of its own.
func (w *world) tryCommand(path string, examples []string) {
	dir, state, ports := "", w.live, w.addrs
	if strings.HasPrefix(path, "edgesync serve") {
		ports = newAddrs(w.t)
	}
	for i, example := range examples {
		if i == 0 || !stories[path] {
			if dir = w.workplace(); !live[path] {
				state = filepath.Join(dir, "state")
				w.stage(path, state)
			}
		}
		w.tryExample(path, example, dir, state, ports)
	}
}

func (w *world) tryExample(path, example, dir, state string, ports addrs) {
	database := ""
	if strings.Contains(example, "postgres://") {
		if !pgtest.Available() {
			w.t.Logf("SKIPPED: NO POSTGRESQL: %s", example)
			return
		}
		database = pgtest.Database(w.t)
	}
	if prepare := before[path]; prepare != nil {
		prepare(w, dir, state, example)
	}
	script := strings.NewReplacer(w.names(dir, ports, database)...).Replace(example)
	shown := path
	if strings.Contains(example, "--accessible") {
		shown += " --accessible"
	}
	if screen, ok := onTerminal[shown]; ok && !strings.Contains(example, "--no-input") {
		w.tryOnTerminal(dir, state, script, screen)
		return
	}
	works := staying[path]
	if strings.Contains(example, "--once") || path == "edgesync event export" && !strings.Contains(example, "--follow") {
		works = ""
	}
	w.try(trial{script: w.command(state, dir, "bash", "-c", "set -o pipefail\n"+script), shown: example, works: works})
}

// workplace is a folder with the files that examples name.
func (w *world) workplace() string {
	dir := w.t.TempDir()
	must(w.t, os.WriteFile(filepath.Join(dir, "new-key"), []byte("canary\n"), 0o600))
	must(w.t, os.WriteFile(filepath.Join(dir, "serve.yaml"), []byte("log_format: json\n"), 0o600))
	must(w.t, os.Symlink(w.path("edge-package-hq-sync"), filepath.Join(dir, "edge-package-hq-sync")))
	must(w.t, os.Mkdir(filepath.Join(dir, "lib"), 0o700))
	return dir
}

// trial is a script that must end well.
type trial struct {
	script *exec.Cmd
	// shown is what a reader sees of it.
	shown string
	// works is what one that stays says once it works: it is interrupted then.
	works string
	// meanwhile is done again and again while it runs.
	meanwhile func()
}

// try runs a script to its end.
func (w *world) try(x trial) {
	t := w.t
	t.Helper()
	var out output
	x.script.Stdout, x.script.Stderr = &out, &out
	must(t, x.script.Start())
	ended := make(chan error, 1)
	go func() { ended <- x.script.Wait() }()
	group, interrupted, deadline := -x.script.Process.Pid, x.works == "", time.After(2*patience)
	defer syscall.Kill(group, syscall.SIGKILL)
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s\n%v\n%s", x.shown, err, out.String())
			}
			return
		case <-deadline:
			t.Fatalf("%s\nit does not end:\n%s", x.shown, out.String())
		case <-time.After(20 * time.Millisecond): // Between two looks.
			if x.meanwhile != nil {
				x.meanwhile()
			}
			if !interrupted && regexp.MustCompile(x.works).MatchString(out.String()) {
				interrupted = true
				_ = syscall.Kill(group, syscall.SIGINT)
			}
		}
	}
}

// tryOnTerminal runs a command in a real terminal, and leaves it by a key.
func (w *world) tryOnTerminal(dir, state, script string, screen screen) {
	x := newTerminal(w.t, w.t.TempDir())
	x.text("cd " + dir + "; EDGESYNC_STATE_DIR=" + state + " " + script + "; echo left with $?")
	x.keys("Enter")
	x.sees(screen.shows)
	x.keys(screen.key)
	x.sees("left with " + screen.code)
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
