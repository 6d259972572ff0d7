package cmd_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// in is the world as a test in it sees it: what that starts ends with it.
func (w *world) in(t *testing.T) *world {
	within := *w
	within.t = t
	return &within
}

// command is a process with a platform. It and what it starts are a group of
// their own, so that nothing of it stays.
func (w *world) command(state, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(slices.Clip(w.env), "EDGESYNC_STATE_DIR="+state, "PATH="+w.path("bin")+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (w *world) run(state string, args ...string) string {
	w.t.Helper()
	return w.do(w.command(state, w.dir, "edgesync", args...))
}

func (w *world) do(cmd *exec.Cmd) string {
	w.t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%s: %v: %s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out)
}

func (w *world) read(into any, state string, args ...string) {
	w.t.Helper()
	must(w.t, json.Unmarshal([]byte(w.run(state, args...)), into))
}

// start runs the program in the background until it is stopped or the test ends.
func (w *world) start(state string, verb string, args ...string) (stop func()) {
	w.t.Helper()
	cmd := w.command(state, w.dir, "edgesync", append([]string{verb}, args...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	must(w.t, cmd.Start())
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || w.t.Failed() {
			w.t.Logf("%s: %v:\n%s", verb, err, log.String())
		}
	}
	w.t.Cleanup(stop)
	if verb == "serve" { // Else the next command would open the state itself.
		eventually(w.t, "the platform's socket", func() bool { _, err := os.Stat(filepath.Join(state, "admin.sock")); return err == nil })
	}
	return stop
}

// until repeats a command until its output holds a text.
func (w *world) until(state, text string, args ...string) {
	w.t.Helper()
	eventually(w.t, strings.Join(args, " ")+" to say "+text, func() bool { return strings.Contains(w.run(state, args...), text) })
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond) // Between two looks.
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copyTree copies the files of a platform that nobody has open.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.Mkdir(target, info.Mode().Perm())
		case !entry.Type().IsRegular():
			return nil // A socket that was left.
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	}))
}
