package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A secret that was asked for before a suspension stood on the screen after it: a
// shell gives the terminal back with echo.
func TestASecretIsNotShownAfterASuspension(t *testing.T) {
	host, terminal := openPTY(t)
	defer host.Close()
	self, err := os.Executable()
	must(t, err)
	program := filepath.Join(t.TempDir(), "edgesync")
	must(t, os.Symlink(self, program)) // testscript.Main goes by the name it is called by.
	cmd := exec.Command(program, "enroll", "--dir", filepath.Join(t.TempDir(), "edge"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()

	modes := func() *unix.Termios {
		found, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		must(t, err)
		return found
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("waited for " + what)
			}
		}
	}
	echoes := func() bool { return modes().Lflag&unix.ECHO != 0 }
	stopped := func() bool {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "stat"))
		must(t, err)
		return bytes.Contains(stat, []byte(") T "))
	}
	until("a question without echo", func() bool { return !echoes() })
	_, err = host.WriteString("\x1a")
	must(t, err)
	until("the process to stop", stopped)
	if !echoes() {
		t.Error("a shell would have no echo")
	}
	must(t, cmd.Process.Signal(syscall.SIGCONT))
	until("no echo again", func() bool { return !echoes() })
}
