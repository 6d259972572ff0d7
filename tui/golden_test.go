package tui

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "edgesync/proto/admin/v1"
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

// TestGoldenDialogs draws what stands over the pages and in their place.
func TestGoldenDialogs(t *testing.T) {
	offline := status.Error(codes.Unavailable, `test source "dc2": sync service "HQ Sync" is offline: start it on its host, then try again`)
	draft := []string{"2", "n", "tab", "dc2", "tab", "tab", "tab", "https://armis.example", "ctrl+t"}
	dialogs := []struct {
		name string
		keys []string
		set  func(*platform)
	}{
		{"help", []string{"1", "?"}, nil},
		{"new-source", []string{"2", "n"}, nil},
		{"test-draft", draft, nil},
		{"test-draft-wrong", draft, func(p *platform) { p.test = &adminv1.TestSourceResponse{Reason: "token", Message: "status 401\x1b[2J"} }},
		{"test-draft-offline", draft, func(p *platform) { p.refuse = offline }},
		{"test-source", []string{"2", "t"}, nil},
		{"sync-source", []string{"2", "S"}, nil},
		{"search-sources", []string{"2", "/", "armis"}, nil},
		{"source-detail", []string{"2", "enter"}, nil},
		{"edit-source", []string{"2", "e"}, nil},
		{"retractions", []string{"2", "h"}, nil},
		{"remove-source", []string{"2", "d"}, nil},
		{"service-detail", []string{"3", "down", "enter"}, nil},
		{"revoke-service", []string{"3", "down", "R"}, nil},
		{"rename-service", []string{"3", "r"}, nil},
		{"search-devices", []string{"4", "/", "host-000001"}, nil},
		{"device-detail", []string{"4", "enter"}, nil},
		{"split-device", []string{"4", "enter", "x", "down", "space"}, nil},
		{"merge-devices", []string{"4", "space", "space", "m"}, nil},
		{"duplicates", []string{"4", "D"}, nil},
		{"shared", []string{"4", "D", "enter", "space"}, nil},
		{"choose-tenant", []string{"4", "t"}, nil},
		{"event-detail", []string{"5", "enter"}, nil},
		{"tenant-detail", []string{"6", "enter"}, nil},
		{"new-tenant", []string{"6", "c"}, nil},
		{"suspend-tenant", []string{"6", "s"}, nil},
		{"remove-tenant", []string{"6", "d", "glo"}, nil},
		{"long-error", []string{"2", "space"}, func(p *platform) { p.refuse = offline }},
	}
	for _, size := range sizes {
		for _, dialog := range dialogs {
			p := &platform{devices: manyDevices(60), detail: deviceDetail()}
			s := newScreen(t, p, size.width, size.height)
			s.live(fullPlatform())
			s.press("4") // Its devices are read before anything is refused.
			if dialog.set != nil {
				dialog.set(p)
			}
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

// out is this process's own, and as long as the path that is drawn in its place.
var out = fmt.Sprintf("/tmp/edgesync-%06d", os.Getpid()%1_000_000)

// TestGoldenWizard draws each step of the wizard, also in the smallest window.
func TestGoldenWizard(t *testing.T) {
	if err := os.MkdirAll(out, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(out) })
	for _, size := range append(sizes, struct{ width, height int }{ui.MinWidth, ui.MinHeight}) {
		s := newScreen(t, &platform{}, size.width, size.height)
		snapshot := fullPlatform()
		s.live(snapshot)
		step := func(name string, keys ...string) {
			t.Helper()
			s.press(keys...)
			golden(t, s, "wizard-"+name)
		}
		step("tenant", "2", "a")
		step("tenant-wrong", "esc", "a")
		step("name", "enter", "Site 工場 B")
		step("name-wrong", "tab", "ctrl+u", "no partition", "enter")
		step("gateway", "ctrl+u", "default", "enter")
		step("gateway-wrong", "ctrl+u", "nowhere", "enter")
		step("handover-package", "ctrl+u", "127.0.0.1:1", "enter")
		step("handover-token", "right", "tab", "ctrl+u", out, "tab")
		step("review", "2h", "enter")
		step("waiting", "enter")
		made := service("svc-new", "acme", "Site 工場 B", "online", time.Second)
		made.FirstHelloAt, made.CertSerial = ago(time.Second), "7392"
		snapshot.Tenants[0].Services = append(snapshot.Tenants[0].Services, made)
		s.live(snapshot)
		step("online")
	}
	s := newScreen(t, &platform{}, 80, 24)
	s.live(emptyPlatform())
	s.press("2", "a", "enter", "Site B", "enter", "enter", "enter", "tab", "ctrl+u", "/proc/nowhere", "enter", "enter")
	golden(t, s, "wizard-refused")
}

// TestGoldenOperators draws what operators see who may not do everything.
func TestGoldenOperators(t *testing.T) {
	for name, caller := range map[string]*adminv1.Operator{
		"viewer":       {Name: "vera", Role: "viewer"},
		"bound-tenant": {Name: "bob", Role: "operator", Tenant: "acme"},
	} {
		s := newScreen(t, &platform{devices: manyDevices(5)}, 80, 24)
		snapshot := fullPlatform()
		if snapshot.Caller = caller; caller.GetTenant() != "" {
			snapshot.Tenants = snapshot.Tenants[:1]
		}
		s.live(snapshot)
		for i, page := range s.model.pages {
			s.press(fmt.Sprint(i + 1))
			golden(t, s, name+"-"+strings.ToLower(strings.ReplaceAll(page.Name(), " ", "-")))
		}
	}
}

// golden compares the screen's text with what was kept, and holds it to what
// every screen must be: as large as the window, with nothing in it that moves
// the cursor.
func golden(t *testing.T, s *screen, name string) {
	t.Helper()
	text := strings.ReplaceAll(plain(s.text()), out, "/tmp/edgesync-golden")
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
