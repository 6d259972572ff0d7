// Command screenshots draws the pictures of docs/images: it runs the real program
// on demo data in a terminal (tmux), presses keys, and writes what is on the
// screen as SVG. Call it with the program's path, from the repository's root.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	columns, rows = 100, 28
	images        = "docs/images"
	patience      = 2 * time.Minute
)

// shots are the pictures: the keys that lead to each, and words that tell that
// it is there.
var shots = []struct {
	name string
	keys []string
	wait string
}{
	{"overview", []string{"1"}, "● 4 success"},
	{"integrations", []string{"2"}, "New Source"},
	{"new-source", []string{"n"}, "Sync service"},
	{"wizard", []string{"Escape", "a", "Enter", "Plant 7", "Enter", "Enter", "Enter", "Enter", "Enter"}, "Nothing is created yet"},
	{"services", []string{"Escape", "Escape", "Escape", "Escape", "Escape", "3"}, "HEARTBEAT"},
	{"devices", []string{"4", "/", "10.1", "Enter"}, "HOSTNAME"},
	{"device", []string{"Enter"}, "Why it is one device"},
	{"events", []string{"Escape", "5"}, "EVENT"},
	{"tenants", []string{"6"}, "PLATFORM SYNC"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: screenshots PROGRAM")
		os.Exit(2)
	}
	if err := draw(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func draw(program string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "shots")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	socket := filepath.Join(dir, "s")
	if _, err := tmux(socket, "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows),
		"cd "+dir+" && env NO_COLOR= TERM=xterm-256color "+program+" demo --devices 2000"); err != nil {
		return err
	}
	defer func() { _, _ = tmux(socket, "kill-server") }()
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	for i, shot := range shots {
		if i == 0 { // The first waits for the program itself.
			if _, err := await(socket, "● live"); err != nil {
				return err
			}
		}
		for _, key := range shot.keys {
			if _, err := tmux(socket, "send-keys", "-t", ":0", key); err != nil {
				return err
			}
			time.Sleep(300 * time.Millisecond) // An Escape and a key after it are no Alt.
		}
		screen, err := await(socket, shot.wait)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(images, shot.name+".svg"), []byte(picture(screen)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// await looks until the screen says what it should, and a moment longer.
func await(socket, word string) (string, error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		screen, err := tmux(socket, "capture-pane", "-p", "-t", ":0")
		if err != nil {
			return "", err
		}
		if strings.Contains(screen, word) {
			time.Sleep(300 * time.Millisecond)
			return tmux(socket, "capture-pane", "-e", "-p", "-t", ":0")
		}
	}
	return "", errors.New("the screen never said " + word)
}

func tmux(socket string, args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-u", "-S", socket}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}
