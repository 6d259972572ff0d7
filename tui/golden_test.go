package tui

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/tui/live"
	"edgesync/tui/ui"
)

var update = flag.Bool("update", false, "write the golden files")

var sizes = []struct{ width, height int }{{80, 24}, {120, 40}}

// TestGoldens draws every page empty, while it waits, full, and when the
// platform does not answer.
func TestGoldens(t *testing.T) {
	states := []struct {
		name     string
		snapshot live.Snapshot
	}{
		{"loading", live.Snapshot{}},
		{"empty", emptyPlatform()},
		{"full", fullPlatform()},
		{"error", live.Snapshot{Problem: "the platform does not answer", RetryAt: clock.Add(4e9)}},
	}
	for _, size := range sizes {
		for _, state := range states {
			p := &platform{}
			switch state.name {
			case "full":
				p.devices = manyDevices(60)
			case "error":
				p.refuse = status.Error(codes.Unavailable, "the platform does not answer")
			}
			s := newScreen(t, p, size.width, size.height)
			s.live(state.snapshot)
			for i, page := range s.model.pages {
				if state.name != "loading" || page.Name() != "Devices" {
					s.press(fmt.Sprint(i + 1))
				} else {
					s.model.active = i // Its search is under way.
				}
				golden(t, s, fmt.Sprintf("%s-%s", strings.ToLower(strings.ReplaceAll(page.Name(), " ", "-")), state.name))
			}
		}
	}
}

// TestGoldenDialogs draws what stands over the pages.
func TestGoldenDialogs(t *testing.T) {
	for _, size := range sizes {
		p := &platform{devices: manyDevices(60), detail: deviceDetail()}
		s := newScreen(t, p, size.width, size.height)
		s.live(fullPlatform())
		for _, dialog := range []struct {
			name string
			keys []string
		}{
			{"help", []string{"1", "?"}},
			{"new-source", []string{"2", "n"}},
			{"source-detail", []string{"2", "enter"}},
			{"edit-source", []string{"2", "e"}},
			{"retractions", []string{"2", "h"}},
			{"remove-source", []string{"2", "d"}},
			{"service-detail", []string{"3", "down", "enter"}},
			{"rename-service", []string{"3", "r"}},
			{"device-detail", []string{"4", "enter"}},
			{"choose-tenant", []string{"4", "t"}},
			{"event-detail", []string{"5", "enter"}},
			{"tenant-detail", []string{"6", "enter"}},
			{"new-tenant", []string{"6", "c"}},
			{"wizard-tenant", []string{"2", "a"}},
			{"wizard-name", []string{"2", "a", "enter", "Site B"}},
			{"wizard-review", []string{"2", "a", "enter", "Site B", "enter", "enter", "enter", "enter", "enter"}},
		} {
			s.press(dialog.keys...)
			golden(t, s, "dialog-"+dialog.name)
			for range 8 {
				s.press("esc")
			}
			if len(s.model.dialogs) != 0 {
				t.Fatalf("%s is still open", dialog.name)
			}
		}
	}
}

// golden compares the screen's text with what was kept, and holds it to what
// every screen must be: as large as the window, with nothing in it that moves
// the cursor.
func golden(t *testing.T, s *screen, name string) {
	t.Helper()
	text := plain(s.text())
	lines := strings.Split(text, "\n")
	if len(lines) != s.model.height {
		t.Errorf("%s: %d lines in a window of %d", name, len(lines), s.model.height)
	}
	for i, line := range lines {
		if w := width(line); w > s.model.width {
			t.Errorf("%s: line %d is %d cells wide in a window of %d", name, i+1, w, s.model.width)
		}
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Errorf("%s: line %d has %U in it", name, i+1, r)
			}
		}
		lines[i] = strings.TrimRight(line, " ")
	}
	text = strings.Join(lines, "\n") + "\n"
	path := filepath.Join("testdata", "golden", fmt.Sprintf("%s-%dx%d.txt", name, s.model.width, s.model.height))
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test ./tui -update and look at it", err)
	}
	if string(want) != text {
		t.Errorf("%s is not as it was (go test ./tui -update keeps it):\n%s\nwant:\n%s", path, text, want)
	}
}

func TestEverySizeFromTheSmallestUpIsDrawnWhole(t *testing.T) {
	p := &platform{devices: manyDevices(60)}
	for width := ui.MinWidth; width <= 130; width += 7 {
		for height := ui.MinHeight; height <= 50; height += 11 {
			s := newScreen(t, p, width, height)
			s.live(fullPlatform())
			for i := range s.model.pages {
				s.press(fmt.Sprint(i + 1))
				check(t, s)
				s.press("enter")
				check(t, s)
				s.press("esc")
			}
			s.press("2", "n")
			check(t, s)
			s.press("esc", "a")
			check(t, s)
		}
	}
}

func check(t *testing.T, s *screen) {
	t.Helper()
	lines := strings.Split(plain(s.text()), "\n")
	if len(lines) != s.model.height {
		t.Fatalf("%d × %d: %d lines", s.model.width, s.model.height, len(lines))
	}
	for _, line := range lines {
		if w := width(line); w > s.model.width {
			t.Fatalf("%d × %d: a line of %d cells: %s", s.model.width, s.model.height, w, line)
		}
	}
}

func TestASmallerWindowSaysWhatItNeeds(t *testing.T) {
	s := newScreen(t, &platform{}, 59, 15)
	s.wants("60 × 16")
}
