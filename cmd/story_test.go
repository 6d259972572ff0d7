package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// terminal is the program in a real terminal of 80 × 24, driven by keys.
type terminal struct {
	t      *testing.T
	socket string
	dir    string
	env    []string
	shot   int
}

// newTerminal starts a terminal with a shell in dir. The program is this test
// binary under its own name.
func newTerminal(t *testing.T, dir string) *terminal {
	t.Helper()
	if raceDetector {
		t.Skip("it is about what a person sees: the pages' own tests run under the race detector")
	}
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no tmux: CI installs it")
		}
		t.Skip("SKIPPED: THERE IS NO TMUX: the terminal interface is not tried in a real terminal: install tmux")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "edgesync")); err != nil {
		t.Fatal(err)
	}
	// A socket's path is short; the test's directory may not be.
	sockets, err := os.MkdirTemp("", "tmux")
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, socket: filepath.Join(sockets, "s"), dir: dir, env: append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"), "EDGESYNC_STATE_DIR="+filepath.Join(dir, "state"), "HOME="+dir,
		"LC_ALL=C.UTF-8", "TMUX=", "TERM=xterm-256color",
	)}
	term.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", dir, "sh")
	t.Cleanup(func() {
		term.tmux("kill-server")
		_ = os.RemoveAll(sockets)
	})
	return term
}

func (x *terminal) tmux(args ...string) string {
	x.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-u", "-S", x.socket}, args...)...)
	cmd.Env = x.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		x.t.Fatalf("tmux %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// keys presses keys by tmux's names for them.
func (x *terminal) keys(keys ...string) {
	x.t.Helper()
	for _, key := range keys {
		x.tmux("send-keys", "-t", ":0", key)
	}
}

// text types.
func (x *terminal) text(text string) {
	x.t.Helper()
	x.tmux("send-keys", "-t", ":0", "-l", text)
}

func (x *terminal) screen() string { x.t.Helper(); return x.tmux("capture-pane", "-p", "-t", ":0") }

// sees waits until all words are on the screen, keeps it as text and returns it.
func (x *terminal) sees(words ...string) string {
	x.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		screen, missing := x.screen(), ""
		for _, word := range words {
			if !strings.Contains(screen, word) {
				missing = word
			}
		}
		if missing == "" {
			x.shot++
			x.keep(screen)
			return screen
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("the terminal does not show %q:\n%s", missing, screen)
		}
		time.Sleep(20 * time.Millisecond) // Between two looks.
	}
}

// keep writes a screen where EDGESYNC_SCREENS says.
func (x *terminal) keep(screen string) {
	dir := os.Getenv("EDGESYNC_SCREENS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.txt", x.shot)), []byte(screen), 0o644); err != nil {
		x.t.Fatal(err)
	}
}

// appears waits for a file below the test's directory.
func (x *terminal) appears(path string) {
	x.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		if _, err := os.Stat(filepath.Join(x.dir, path)); err == nil {
			return
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("%s does not appear", path)
		}
		time.Sleep(20 * time.Millisecond) // Between two looks.
	}
}

// background starts the program beside the terminal until the test ends.
func (x *terminal) background(args ...string) (stop func()) {
	x.t.Helper()
	cmd := exec.Command(filepath.Join(x.dir, "bin", "edgesync"), args...)
	cmd.Env, cmd.Dir = x.env, x.dir
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if x.t.Failed() {
			x.t.Logf("%s said:\n%s", args[0], log.String())
		}
	}
	x.t.Cleanup(stop)
	if args[0] == "serve" { // Else the terminal would open the state itself.
		x.appears(filepath.Join("state", "admin.sock"))
	}
	return stop
}

func (x *terminal) run(args ...string) string {
	x.t.Helper()
	cmd := exec.Command(filepath.Join(x.dir, "bin", "edgesync"), args...)
	cmd.Env, cmd.Dir = x.env, x.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		x.t.Fatalf("edgesync %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func addresses(t *testing.T, n int) []string {
	t.Helper()
	found := make([]string, n)
	for i := range found {
		var err error
		if found[i], err = freeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestR05_R08_R09_StoryInARealTerminal is the whole way of an operator without a
// manual, from an empty platform to a device and why it is what it is.
func TestR05_R08_R09_StoryInARealTerminal(t *testing.T) {
	t.Parallel()
	x := newTerminal(t, t.TempDir())
	addr := addresses(t, 3)
	gateway, ca, inventory := addr[0], addr[1], addr[2]
	x.run("bootstrap", "--gateway-addr", gateway, "--ca-addr", ca)
	x.background("serve", "--listen", gateway, "--ca-listen", ca, "--metrics-listen", "")
	x.background("faker", "--listen", inventory, "--armis", "300", "--netbox", "200", "--seed", "7")

	x.text("edgesync; echo left with $?")
	x.keys("Enter")
	x.sees("● live", "There is no tenant yet. Make one: page 6, key c.")
	x.keys("6", "c")
	x.sees("New tenant")
	x.text("acme")
	x.keys("C-s")
	x.sees("tenant acme is created")

	x.keys("2")
	x.sees("New Source  disabled: no sync service exists to run it: add one first", "Add Edge Sync Service")
	x.keys("a")
	x.sees("Whose network it stands in")
	x.keys("Enter")
	x.sees("What the sync service is called")
	x.text("HQ Sync")
	x.keys("Enter", "Enter")
	x.sees("Gateway  " + gateway)
	x.keys("Enter")
	x.sees("✓ the platform's gateway answers")
	x.keys("Enter", "Enter")
	x.sees("Nothing is created yet", "hq-sync")
	if services := x.run("service", "list", "--tenant", "acme", "-o", "json"); strings.TrimSpace(services) != "[]" {
		t.Fatalf("created before it was confirmed: %s", services)
	}
	x.keys("Escape")
	x.sees("Hand over as")
	x.keys("Enter", "Enter")
	x.sees("Nothing is created yet")
	x.keys("Enter")
	x.sees("is onboarded", "edge-package-hq-sync.tar.gz", "waiting for its first Hello")

	unpack := exec.Command("tar", "-xzf", "edge-package-hq-sync.tar.gz")
	unpack.Dir = x.dir
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	x.background("run", "--config", "edge-package-hq-sync/config/sync.json", "--data-dir", "data")
	x.sees("● online", "s adds its first source")

	x.keys("s")
	x.sees("New Source", "HQ Sync  ● online, edge")
	x.keys("Tab")
	x.text("hq-armis")
	x.keys("Tab", "Tab", "Tab")
	x.text("http://" + inventory)
	x.keys("Tab")
	x.text("edgesync-demo-secret")
	if strings.Contains(x.sees("••••"), "demo-secret") {
		t.Fatal("the credential is on the screen")
	}
	x.keys("C-t")
	x.sees("not saved yet", "✓ it answers", "300 devices", "10.")
	if sources := x.run("source", "list", "--tenant", "acme", "-o", "json"); strings.TrimSpace(sources) != "[]" {
		t.Fatalf("the test saved it: %s", sources)
	}
	x.keys("Enter", "C-s")
	x.sees("HQ Sync runs it")
	x.sees("hq-armis", "● success")

	x.keys("4")
	x.sees("300 devices")
	x.keys("/")
	x.text("10.")
	x.keys("Enter")
	x.sees("devices", "10.")
	x.keys("Enter")
	x.sees("Why it is one device", "made by")
	x.keys("End")
	x.sees("hq-armis")
	x.keys("Escape")
	x.sees("enter why")
	x.keys("3")
	x.sees("HQ Sync", "● online")
	x.keys("Down", "Enter")
	x.sees("Sync service HQ Sync", "outbox", "Runs", "acme/hq-armis", "300 devices")
	x.keys("S")
	x.sees("Sync of all sources of HQ Sync", "✓ done")
	x.keys("Enter", "q", "q")
	x.sees("left with 0")
}

// TestTerminalStaysSane ends the interface at any step by Ctrl-C, resizes it,
// interrupts plain questions, and takes its platform away.
func TestTerminalStaysSane(t *testing.T) {
	t.Parallel()
	x := newTerminal(t, t.TempDir())
	addr := addresses(t, 2)
	serve := []string{"serve", "--listen", addr[0], "--ca-listen", addr[1], "--metrics-listen", ""}
	x.run("bootstrap", "--gateway-addr", addr[0], "--ca-addr", addr[1])
	stop := x.background(serve...)
	x.run("tenant", "create", "acme")
	wizard := []string{"2", "a", "Enter", "x", "Enter", "Enter", "Enter", "Enter", "Enter"}
	for _, steps := range [][]string{
		{}, wizard[:2], wizard[:4], wizard[:5], wizard[:6], wizard[:7], wizard, {"4", "/", "1"}, {"4", "D"}, {"3", "Enter"}, {"6", "c", "x"}, {"6", "d", "acm"}, {"?"},
	} {
		x.text("clear; edgesync tui; stty -a | grep -o -- ' -*echo ' ; echo left with $?")
		x.keys("Enter")
		x.sees("● live")
		x.keys(steps...)
		x.tmux("resize-window", "-t", ":0", "-x", "40", "-y", "10")
		x.sees("Make it 60 × 16")
		x.tmux("resize-window", "-t", ":0", "-x", "60", "-y", "16")
		x.sees("● live")
		x.tmux("resize-window", "-t", ":0", "-x", "80", "-y", "24")
		x.keys("C-c")
		x.sees(" echo\n", "left with 0")
	}
	for _, asking := range []struct{ command, asked, answer string }{
		{"source add lab --tenant acme --type armis --endpoint http://127.0.0.1:1", "secret_key", "s3cr"},
		{"onboard --accessible", "Tenant, one of acme", "ac"},
		{"tenant remove acme", "it cannot be undone", "y"},
		{"tui --accessible", "What now", "te"},
	} {
		x.text("clear; edgesync " + asking.command + "; stty -a | grep -o -- ' -*echo ' ; echo left")
		x.keys("Enter")
		x.sees(asking.asked)
		x.text(asking.answer)
		x.keys("C-c")
		x.sees(" echo\n", "left\n")
	}
	for _, list := range []string{"service", "source"} {
		if found := x.run(list, "list", "--tenant", "acme", "-o", "json"); strings.TrimSpace(found) != "[]" {
			t.Errorf("left %s", found)
		}
	}
	x.text("clear; edgesync tui; echo left with $?")
	x.keys("Enter")
	x.sees("● live")
	stop()
	x.sees("edgesync serve is not running") // It looks at the platform by itself now and then,
	x.run("tenant", "create", "globex")     // and keeps nobody from it.
	x.keys("6")
	x.sees("globex")
	x.background(serve...)
	x.sees("● live")
	x.keys("q")
	x.sees("left with 0")
}
